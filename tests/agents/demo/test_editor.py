"""The line editor."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.demo.editor import Editor, Key

ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
BEGIN, END = b"\x1b[200~", b"\x1b[201~"


@pytest.mark.parametrize(
    ("typed", "events", "draft"),
    [
        (b"hello\r", ["hello"], ""),
        (b"one\rtwo\nthr", ["one", "two"], "thr"),
        (b"helk\x7flo", [], "hello"),
        (b"\x7f\x08", [], ""),
        (b"away\x15stay", [], "stay"),
        (b"two words \x17", [], "two "),
        (b"\x03", [Key.QUIT], ""),
        (b"x\x03", [Key.QUIT], "x"),
        (b"\x04", [Key.QUIT], ""),
        (b"x\x04", [], "x"),
        (b"  \r\r", [], ""),
        (b"a\x1b[Ab\x1b[1;5Cc\x1bOPd", [], "abcd"),
        (b"\x1b]11;rgb:0/0/0\x07a\x1b]x\x1b\\b", [], "ab"),
        (b"\x1b]typed\r", ["]typed"], ""),
        (b"ESC then Enter\x1b\r", ["ESC then Enter"], ""),
        (b"\x1b" + BEGIN + b"p" + END, [], "p"),
        ("é日本".encode(), [], "é日本"),
        (b"\xff", [], "\ufffd"),
    ],
)
def test_keys(typed: bytes, events: list[str | Key], draft: str) -> None:
    """Each key does what a shell's user expects of it."""
    editor = Editor()
    assert (editor.feed(typed), editor.draft) == (events, draft)


def test_a_paste_is_text_whatever_it_holds() -> None:
    """Inside a bracketed paste Enter, Ctrl-C and escape sequences are text; line ends become newlines."""
    editor = Editor()
    assert editor.feed(BEGIN + b"a\r\nb\rc\x03\x04\x15\x1b[A\x1b[200~" + END) == []
    assert editor.draft == "a\nb\nc\x03\x04\x15\x1b[A\x1b[200~"
    assert editor.feed(b"\r") == ["a\nb\nc\x03\x04\x15\x1b[A\x1b[200~"]


def test_the_end_of_input_submits_what_is_left() -> None:
    """Neither a draft nor an open paste is lost."""
    editor = Editor()
    editor.feed(b"x" + BEGIN + b"a\nb\x1b[2")
    assert editor.end() == ["xa\nb\x1b[2"]
    assert editor.end() == []


@ANYWHERE
@given(
    st.lists(
        st.sampled_from([BEGIN, END, b"\r", b"a", "é".encode(), b"\x1b", b"[A", b"\x7f", b"\x1b]0;t\x07"])
        | st.binary(max_size=4)
    ),
    st.lists(st.integers(1, 5), min_size=1),
)
def test_portions_make_no_difference(pieces: list[bytes], sizes: list[int]) -> None:
    """However the bytes are cut, the same is submitted and the same is left."""
    data = b"".join(pieces)
    whole, cut = Editor(), Editor()
    expected = whole.feed(data)
    got, position, turn = [], 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        got += cut.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    assert (got, cut.draft, cut.is_pasting) == (expected, whole.draft, whole.is_pasting)


@ANYWHERE
@given(
    st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])).filter(
        lambda text: "\x1b[201~" not in text
    )
)
def test_a_pasted_text_arrives_as_it_is(text: str) -> None:
    """Every character but a carriage return goes through a paste unchanged."""
    editor = Editor()
    editor.feed(BEGIN + text.encode() + END)
    assert editor.draft == text or text.endswith(("\x1b", "\x1b[", "\x1b[2", "\x1b[20", "\x1b[201"))
