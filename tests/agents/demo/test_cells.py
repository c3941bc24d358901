"""Text and terminal cells."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.demo.cells import cells, fitted, head, printable, rows, wrap

ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
LINE = st.text().map(printable)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a   b"),
        ("\x1b[31mred", "␛[31mred"),
        ("a\x9b\x7f", "a\ufffd␡"),
        ("\u202eevil", "\ufffdevil"),
        ("日本", "日本"),
    ],
)
def test_no_text_can_steer_the_terminal(text: str, shown: str) -> None:
    """Control and direction characters become visible marks."""
    assert printable(text) == shown


@ANYWHERE
@given(st.text())
def test_printable_leaves_no_control_character(text: str) -> None:
    """Nothing below blank, DEL, C1 or surrogate is left, and what is printable already stays."""
    shown = printable(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", shown)
    assert printable(shown) == shown


def test_wide_and_combining_characters_are_counted_as_terminals_do() -> None:
    """CJK takes two cells, a combining mark none."""
    assert (cells("日本"), cells("e\u0301"), cells("abc")) == (4, 1, 3)
    assert (rows("日本", 3), rows("abcd", 4), rows("abcde", 4), rows("", 4)) == (2, 1, 2, 1)


@ANYWHERE
@given(LINE, st.integers(4, 40))
def test_wrapping_keeps_the_text_and_the_width(line: str, width: int) -> None:
    """Rows fit, and joined without blanks they are the line."""
    broken = wrap(line, width)
    assert all(cells(row) <= width for row in broken)
    assert re.sub(" +", "", "".join(broken)) == re.sub(" +", "", line)


def test_wrapped_rows_keep_their_indent() -> None:
    """A line breaks at blanks, and its further rows stand below its first word."""
    assert wrap("  one two three", 9) == ["  one two", "  three"]
    assert wrap("abcdefgh", 4) == ["abcd", "efgh"]


@ANYWHERE
@given(LINE, st.integers(8, 60))
def test_a_fitted_text_fits_and_keeps_its_start(line: str, width: int) -> None:
    """What is too long loses its middle only."""
    short = fitted(line, width)
    assert cells(short) <= width
    assert (short == line) == (cells(line) <= width) or " … " in line
    assert line.startswith(head(short, 2)) or cells(line) < 3
