"""Recorded terminal output as lines of text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_mux.transcript.text import Lines, text_of

WORDS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=12).map(str.encode)
SEQUENCES = st.sampled_from(
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
HOSTILE = st.binary(max_size=80) | st.lists(
    st.sampled_from([b"\xc2", b"\x9b", b"\x1b", b"[", b"]", b"31", b"\x07", b"m", b"\x08", b"\r", b"H", b"\n"])
).map(b"".join)


def shown(data: bytes) -> list[str]:
    lines = Lines()
    done = [text_of(raw) for _, raw in lines.feed(data, 1)]
    rest = lines.rest()
    return [*done, text_of(rest[1])] if rest else done


@given(HOSTILE)
def test_text_drives_no_terminal(data: bytes) -> None:
    """Whatever was recorded, no control is left but tab; with colours only whole colour sequences besides."""
    for _, raw in Lines().feed(data + b"\n", 1):
        for char in text_of(raw):
            assert char == "\t" or not (ord(char) < 32 or 0x7F <= ord(char) < 0xA0)
        for char in re.sub(r"\x1b\[[0-9;:]*m", "", text_of(raw, colours=True)):
            assert char == "\t" or not (ord(char) < 32 or 0x7F <= ord(char) < 0xA0)


@given(st.lists(st.lists(WORDS | SEQUENCES, max_size=8), max_size=5))
def test_sequences_vanish_and_words_stay(rows: list[list[bytes]]) -> None:
    """Line by line the words remain, in order, and nothing else."""
    recorded = b"".join(b"".join(row) + b"\r\n" for row in rows)
    expected = [b"".join(part for part in row if not part.startswith(b"\x1b")).decode() for row in rows]
    assert shown(recorded) == expected


@given(st.lists(WORDS | SEQUENCES | st.sampled_from([b"\r\n", b"\n", b"\x1b[3;4H", b"\x1b[A"]), max_size=12), st.data())
def test_cuts_change_nothing(parts: list[bytes], data: st.DataObject) -> None:
    """In pieces of any size, cut within sequences and characters, the same lines come out."""
    recorded = b"".join(parts)
    at = sorted(data.draw(st.lists(st.integers(0, len(recorded)), max_size=5)))
    lines = Lines()
    cut = [
        raw
        for begin, end in zip([0, *at], [*at, len(recorded)], strict=True)
        for _, raw in lines.feed(recorded[begin:end], 1)
    ]
    whole = Lines()
    assert cut == [raw for _, raw in whole.feed(recorded, 1)]
    assert lines.rest() == whole.rest()


@pytest.mark.parametrize(
    ("recorded", "lines"),
    [
        (b"10%\r50%\r100%\r\ndone\r\n", ["100%", "done"]),
        (b"working\r\r\n", ["working"]),
        (b"a\x08b\x07", ["b"]),
        (b"ab\x08 \x08c", ["ac"]),
        (b"\x08\x08x", ["x"]),
        ("ü\x08o".encode(), ["o"]),
        (b"tab\there", ["tab\there"]),
        (b"one\n\ntwo", ["one", "", "two"]),
        ("\x9b31mred".encode(), ["\ufffd31mred"]),
        (b"\xc2\x07\x9b31mred", ["\ufffd\ufffd31mred"]),
        ("grün · ›".encode(), ["grün · ›"]),
        (b"name\x1b[5Cvalue", ["name     value"]),
        (b"old\x1b[1Gnew", ["new"]),
        (b"\x1b[2J\x1b[H\x1b[1;1Htop\x1b[2;1Hbottom\x1b[K", ["top", "bottom"]),
        (b"no end\x1b[3", ["no end"]),
    ],
)
def test_what_a_terminal_would_show(recorded: bytes, lines: list[str]) -> None:
    """The last version of a line counts, backspaces take back, what stands on other rows is another line."""
    assert shown(recorded) == lines


def test_colours_end_with_their_line() -> None:
    """On request they stay, and the next line is not coloured by them."""
    assert text_of(b"\x1b[31mred\x1b[2K", colours=True) == "\x1b[31mred\x1b[0m"
    assert text_of(b"plain\x1b[2K", colours=True) == "plain"


def test_a_line_without_an_end_is_cut_and_has_its_time() -> None:
    """After 64 KiB; each line has the time of its last piece."""
    lines = Lines()
    assert lines.feed(b"begin", 1) == []
    assert lines.feed(b" end\nnext", 2) == [(2, b"begin end")]
    assert lines.rest() == (2, b"next")
    assert [len(raw) for _, raw in lines.feed(b"x" * 70_000, 3)] == [70_004]
    assert lines.rest() is None
