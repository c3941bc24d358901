"""Text that anybody wrote, shown as it is."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.report.words import escaped, in_markdown, one_line, seen, span

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("<>&\"'`|\u202e\x00\n\ud800"), max_size=60)
QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


class Reader(HTMLParser):
    """Collects elements and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += [tag, *(value or "" for _, value in attrs)]

    def handle_data(self, data: str) -> None:
        self.text += data


@QUICK
@given(ANY_TEXT)
def test_no_text_becomes_markup(text: str) -> None:
    """In an element and in an attribute a browser reads back what was written, with the unseen spelled out."""
    reader = Reader()
    reader.feed(f'<p title="{escaped(text)}">{escaped(text)}</p>')
    reader.close()
    assert reader.tags == ["p", seen(text)]
    assert reader.text == seen(text)
    escaped(text).encode("utf-8")


@QUICK
@given(ANY_TEXT)
def test_a_text_stays_in_its_markdown_cell(text: str) -> None:
    """It is one line without an open bar, tag or link."""
    cell = in_markdown(text)
    assert "\n" not in cell
    assert "<" not in cell
    assert "|" not in cell.replace("\\\\", "").replace("\\|", "")


def test_what_cannot_be_seen_is_spelled_out() -> None:
    """Bidirectional controls, escapes, zero widths and halves of characters; line ends and tabs stay."""
    assert seen("a\u202eb\x1bc\u200bd\ud800e\n\t") == "a⟨U+202E⟩b⟨U+001B⟩c⟨U+200B⟩d⟨U+D800⟩e\n\t"


def test_spans_and_lines_are_short() -> None:
    """Two units at most, and one line."""
    told = [span(one) for one in (None, 0, 1_234, 59_600, 61_000, 3_600_000, 90_000_000)]
    assert told == ["–", "0.0 s", "1.2 s", "1 min", "1 min 1 s", "1 h", "1 d 1 h"]
    assert one_line("a\n b  c", 10) == "a b c"
    assert one_line("x" * 1_000_000, 5) == "xxxx…"
