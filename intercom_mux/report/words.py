"""Times, spans and hostile text as a report writes them. Pure."""

from __future__ import annotations

import html
import re
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Controls, what turns the direction of text, what has no width, and halves of characters."""

_MARKED_UP = re.compile(r"([\\`*_{}\[\]<>|#~!&$@]|:(?=//))")


def seen(text: str) -> str:
    """Return the text with what a reader would not see, or be deceived by, spelled out as ⟨U+202E⟩."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def escaped(text: str) -> str:
    """Return the text for HTML and SVG, in an element or a quoted attribute."""
    return html.escape(seen(text), quote=True)


def one_line(text: str, chars: int) -> str:
    """Return the beginning of the text on one line, the unseen spelled out, not escaped."""
    flat = " ".join(seen(text[: 4 * chars]).split())
    return flat if len(flat) <= chars and len(text) <= 4 * chars else f"{flat[: chars - 1]}…"


def in_markdown(text: str) -> str:
    """Return the text on one line, to be read in a table cell as it is."""
    return _MARKED_UP.sub(r"\\\1", " ".join(seen(text).split())).replace("\\<", "&lt;")


def span(milliseconds: int | None) -> str:
    """Return a span of time in the two greatest units that it has, "–" for none."""
    if milliseconds is None:
        return "–"
    if milliseconds < 10_000:
        return f"{milliseconds / 1000:.1f} s"
    seconds = round(milliseconds / 1000)
    for size, unit, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // below
            return f"{seconds // size} {unit} {rest} {small}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"


def moment(milliseconds: int, zone: tzinfo, *, is_short: bool = False) -> str:
    """Return a point of time; the short form is the time of the day."""
    return datetime.fromtimestamp(milliseconds / 1000, zone).strftime("%H:%M:%S" if is_short else "%Y-%m-%d %H:%M:%S")
