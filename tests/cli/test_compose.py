"""What a message is made of, and every way it can be wrong before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from intercom_mux.cli import compose
from tests.cli.stage import Peer, run

if TYPE_CHECKING:
    from pathlib import Path


def test_attachments_come_in_order_with_their_language(home: Path) -> None:
    """Files, then snippets by their lines, then context."""
    source = home / "a.py"
    source.write_text("one\ntwo\nthree\n")
    attachments = compose.read_attachments([str(source)], [f"{source}:2-3", f"{source}:1"], ["why"], "text")
    assert attachments == [
        {"type": "file", "name": str(source), "content": "one\ntwo\nthree\n", "language": "python"},
        {"type": "snippet", "name": f"{source}:2-3", "content": "two\nthree", "language": "python"},
        {"type": "snippet", "name": f"{source}:1", "content": "one", "language": "python"},
        {"type": "context", "name": "context", "content": "why"},
    ]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--attach", "nowhere.txt"], "--attach nowhere.txt: No such file"),
        (["--attach", "."], "--attach .: Is a directory"),
        (["--attach", "binary"], "--attach binary: a binary file"),
        (["--attach", "latin"], "--attach latin: not UTF-8"),
        (["--attach", "huge"], "--attach huge: larger than"),
        (["--attach", "half", "--attach", "half"], "more than the 1,000,000 that can be sent"),
        (["--snippet", "lines:5-9"], "--snippet lines:5-9: lines has lines 1 to 3"),
        (["--snippet", "lines:2-1"], "lines has lines 1 to 3"),
        (["--snippet", "lines"], "write FILE:LINE or FILE:FIRST-LAST"),
        (["--file", "lines"], "too many words"),
        (["--file", "nowhere.txt"], "too many words"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_sent_is_a_usage_error(
    options: list[str], problem: str, planner: Peer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, the file and the reason are named, and nothing was sent."""
    (home / "binary").write_bytes(b"a\0b")
    (home / "latin").write_bytes(b"caf\xe9")
    (home / "huge").write_bytes(b"x" * (compose.MESSAGE_MAX_BYTES + 1))
    (home / "half").write_bytes(b"x" * (compose.MESSAGE_MAX_BYTES // 2 + 1))
    (home / "lines").write_text("1\n2\n3\n")
    monkeypatch.chdir(home)
    result = run("send", "planner", "text", *options)
    assert (result.code, result.out) == (2, "")
    assert problem in result.err
    assert planner.texts() == []


def test_the_text_comes_from_one_place(home: Path) -> None:
    """An argument, a file or stdin, never two of them and never blank."""
    file = home / "text.md"
    file.write_text("from a file\n")
    assert compose.read_text(None, str(file)) == "from a file\n"
    assert compose.read_text("word", None) == "word"
    for word, source in ((None, None), ("word", str(file)), (" \n", None)):
        with pytest.raises(click.UsageError):
            compose.read_text(word, source)
