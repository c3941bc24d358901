"""A recorded terminal output as text."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.cli.log_text import plain, print_log
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

words = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=12).map(str.encode)
sequences = st.sampled_from(
    [
        b"\x1b[0m",
        b"\x1b[38;5;208m",
        b"\x1b[?2004h",
        b"\x1b[2K",
        b"\x1b]2;a title\x07",
        b"\x1b]8;;http://x/\x1b\\",
        b"\x1bP1$r0m\x1b\\",
        b"\x1b(B",
        b"\x1b=",
        b"\x1b7",
    ]
)
lines = st.lists(words | sequences, max_size=8)


@pure
@given(
    st.binary(max_size=80) | st.lists(st.sampled_from([b"\xc2", b"\x9b", b"\x1b", b"[", b"\x07", b"m"])).map(b"".join)
)
def test_plain_text_drives_no_terminal(data: bytes) -> None:
    """Whatever was recorded, no escape, no C0 control but tab and newline, and no C1 control is left."""
    shown = plain(data)
    assert not set(shown) & (set(range(32)) - {9, 10} | {127})
    assert not any(0x80 <= ord(char) < 0xA0 for char in shown.decode(errors="ignore"))


@pure
@given(st.lists(lines, max_size=5))
def test_sequences_vanish_and_words_stay(rows: list[list[bytes]]) -> None:
    """Line by line the words remain, in order, and nothing else; doing it twice changes nothing."""
    recorded = b"\r\n".join(b"".join(row) for row in rows)
    expected = b"\n".join(b"".join(part for part in row if not part.startswith(b"\x1b")) for row in rows)
    assert plain(recorded) == expected
    assert plain(expected) == expected


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        (b"10%\r50%\r100%\r\ndone\r\n", b"100%\ndone\n"),
        (b"working\r\r\n", b"working\n"),
        (b"a\x08b\x07", b"ab"),
        (b"tab\there", b"tab\there"),
        ("\x9b31mred".encode(), "\ufffd31mred".encode()),
        (b"\xc2\x07\x9b31mred", "\ufffd31mred".encode()),
        ("grün · ›".encode(), "grün · ›".encode()),
    ],
)
def test_overprinting_and_controls(recorded: bytes, shown: bytes) -> None:
    """The last version of a line counts, bells and backspaces go, text of any language stays."""
    assert plain(recorded) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, ""), (2, "three\nfour\n"), (9, "one\ntwo\nthree\nfour\n")])
def test_the_end_of_a_log(home: Path, capfdbinary: pytest.CaptureFixture[bytes], count: int, shown: str) -> None:
    """The last lines are printed, as many as were asked for."""
    file = home / "a.log"
    file.write_bytes(b"one\r\ntwo\r\n\x1b[31mthree\x1b[0m\r\nfour\r\n")
    print_log(file, lines=count, follow=False, raw=False)
    assert capfdbinary.readouterr().out == shown.encode()


def test_a_raw_log_is_as_it_was(home: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """`--raw` prints the bytes; a log that is not there prints nothing."""
    file = home / "a.log"
    print_log(file, lines=5, follow=False, raw=True)
    file.write_bytes(b"\x1b[31mred\x1b[0m\n")
    print_log(file, lines=5, follow=False, raw=True)
    assert capfdbinary.readouterr().out == b"\x1b[31mred\x1b[0m\n"


def test_following_a_log(home: Path) -> None:
    """What comes is printed as text even if a sequence comes in pieces, also after the log has begun anew."""
    file, shown = home / "a.log", home / "shown"
    script = (
        "import pathlib, sys; from intercom_mux.cli.log_text import print_log; "
        "print_log(pathlib.Path(sys.argv[1]), lines=9, follow=True, raw=False)"
    )
    with shown.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-I", "-c", script, str(file)], stdout=out)
    try:
        file.write_bytes(b"first line\r\n\x1b[3")
        wait_until(lambda: shown.read_bytes() == b"first line\n", what="the beginning")
        with file.open("ab") as log:
            log.write(b"1mred\x1b[0m\r\n")
        wait_until(lambda: shown.read_bytes() == b"first line\nred\n", what="the rest")
        file.write_bytes(b"anew\n")
        wait_until(lambda: shown.read_bytes() == b"first line\nred\nanew\n", what="the new log")
    finally:
        process.kill()
        process.wait()
