"""What may be put into a terminal."""

from __future__ import annotations

import unicodedata

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.mux.base import typeable

anything = st.text(st.characters(exclude_categories=()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anything)
def test_only_tab_and_line_feed_control(text: str) -> None:
    """Of any text, what is typed has no other control character, can be encoded, and stays as it is a second time."""
    typed = typeable(text)
    typed.encode()
    assert {char for char in typed if unicodedata.category(char) == "Cc"} <= {"\t", "\n"}
    assert typeable(typed) == typed


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=("Cc", "Cs"), include_characters="\t\n")))
def test_ordinary_text_is_unchanged(text: str) -> None:
    """Letters, marks, emoji, tabs and line feeds pass untouched."""
    assert typeable(text) == text


def test_line_ends_become_line_feeds() -> None:
    """CRLF and a lone CR are one line end each; a CR that stayed would press Enter."""
    assert typeable("a\r\nb\rc\n\r\nd") == "a\nb\nc\n\nd"
