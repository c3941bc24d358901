"""The picture, as bytes."""

from __future__ import annotations

import re

import pytest

from intercom_mux.agents.demo.screen import Screen


class Paper:
    """What a screen wrote, and the size it is told."""

    def __init__(
        self, columns: int = 40, height: int = 10, *, has_colour: bool = False, is_terminal: bool = True
    ) -> None:
        self.size = (columns, height)
        self.written: list[str] = []
        self.screen = Screen(self.written.append, lambda: self.size, is_terminal=is_terminal, has_colour=has_colour)

    def last(self) -> str:
        return re.sub(r"\x1b\[\?25[lh]", "", self.written[-1])


@pytest.mark.parametrize(
    ("draft", "shown"),
    [
        ("", "› "),
        ("hello", "› hello"),
        ("[intercom] from a · ask 1\nbody\nmore", "› [intercom] from a · ask 1 (+2 lines)"),
        ("\x1b[2J", "› ␛[2J"),
    ],
)
def test_the_composer_shows_the_first_line_of_the_draft(draft: str, shown: str) -> None:
    """A draft of several lines is its first one and how many more there are."""
    paper = Paper()
    paper.screen.compose(draft, [])
    assert paper.last() == shown


def test_the_transcript_goes_above_the_composer() -> None:
    """The composer is erased, the text printed, the composer drawn again."""
    paper = Paper()
    paper.screen.compose("dra", [])
    paper.screen.show("one\ntwo")
    assert paper.last() == "\r\x1b[Jone\r\ntwo\r\n› dra"


def test_a_composer_of_several_rows_is_erased_whole() -> None:
    """Rows are counted at the width of now, for the terminal reflows them when it is resized."""
    paper = Paper(columns=20)
    paper.screen.compose("x" * 30, [])
    paper.size = (10, 10)
    paper.screen.compose("y", [])
    assert paper.last() == "\r\x1b[3A\x1b[J› y"


def test_a_long_draft_keeps_its_start_and_end() -> None:
    """The composer takes three rows at most."""
    paper = Paper(columns=20)
    paper.screen.compose("start " + "x" * 500 + " end", [])
    assert re.fullmatch(r"› start x+ … x+ end", paper.last())
    assert len(paper.last()) <= 60


def test_what_waits_is_shown_above_the_draft() -> None:
    """Submissions that are not begun stay in sight, the newest three by their first line."""
    paper = Paper(height=20)
    paper.screen.compose("draft", ["one\nbody", "two", "three", "four"])
    assert paper.last() == "· 1 more queued\r\n· queued: two\r\n· queued: three\r\n· queued: four\r\n› draft"


def test_the_title_is_set_once_per_change() -> None:
    """OSC 2 names the status; the same status is not written again; closing clears it."""
    paper = Paper()
    paper.screen.title("idle")
    paper.screen.title("idle")
    assert paper.written == ["\x1b]2;demo · idle\x07"]
    paper.screen.close()
    assert paper.written[-1] == "\x1b]2;\x07"


def test_colours_only_where_they_are_wanted() -> None:
    """With colour a style is a graphic rendition; without, and where there is no terminal, nothing but text."""
    coloured, plain, lines = Paper(has_colour=True), Paper(), Paper(has_colour=True, is_terminal=False)
    for paper in (coloured, plain, lines):
        paper.screen.show("text", "bad")
    assert "\x1b[31mtext\x1b[0m" in coloured.last()
    assert "\x1b[31m" not in plain.last()
    assert lines.written == ["text\n"]
