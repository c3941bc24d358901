"""How text falls into terminal cells. Pure."""

from __future__ import annotations

import re
import unicodedata

_TAB_WIDTH = 4
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(line: str) -> str:
    """Return one line that cannot steer a terminal: tabs expanded, control and direction characters made visible."""
    if line.isascii() and line.isprintable():
        return line
    return _CONTROL.sub(_visible, line.expandtabs(_TAB_WIDTH))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\ufffd"


def cells(text: str) -> int:
    """Return how many cells printable `text` takes on a row without end."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def rows(text: str, width: int) -> int:
    """Return how many rows the terminal needs for one printable line when it wraps by itself; at least 1."""
    if text.isascii():
        return max(1, -(-len(text) // width))
    row, column = 1, 0
    for character in text:
        size = _width(character)
        if column + size > width:
            row, column = row + 1, 0
        column += size
    return row


def head(text: str, width: int) -> str:
    """Return the longest start of `text` that fits into `width` cells."""
    if text.isascii():
        return text[:width]
    taken = 0
    for index, character in enumerate(text):
        taken += _width(character)
        if taken > width:
            return text[:index]
    return text


def fitted(text: str, width: int) -> str:
    """Return `text`, its middle replaced by ` … ` when it is longer than `width` cells (at least 8)."""
    if cells(text) <= width:
        return text
    start = head(text, (width - 3) * 2 // 3)
    end = head(text[::-1], width - 3 - cells(start))[::-1]
    return f"{start} … {end}"


def wrap(line: str, width: int) -> list[str]:
    """Break one printable line at blanks into rows of at most `width` cells; further rows keep its indent.

    A word longer than a row is broken anywhere. No character but blanks at the breaks is lost.
    """
    width = max(width, 4)
    indent = " " * min(len(line) - len(line.lstrip(" ")), width // 2)
    found = []
    rest = line
    while cells(rest) > width:
        row = head(rest, width)
        at_word = row.rfind(" ") if rest[len(row)] != " " else len(row)
        if at_word > len(indent):
            row = row[:at_word]
        found.append(row.rstrip(" "))
        rest = indent + rest[len(row) :].lstrip(" ")
    return [*found, rest.rstrip(" ")]
