"""A small model of a terminal's screen: what a program has drawn, as text.

Knows printing with wrap, CR, LF, BS, TAB, cursor movement, erasing, save and restore, the alternate screen, and titles.
Colours and modes are skipped. Enough for shells, line editors and the demo agent.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

_SEQUENCE = re.compile(
    r"\x1b(?:\[([?>=]?)([0-9;]*)([ -/]*)([@-~])|\]([^\x07\x1b]*)(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[^\[\]])"
)
_PARTIAL = re.compile(r"\x1b(?:\[[^@-~]*|\][^\x07]*)?$")


class Screen:
    """`rows` of text with a cursor; lines that scroll out go to `history`."""

    def __init__(self, columns: int = 100, rows: int = 30) -> None:
        self.columns, self.rows = columns, rows
        self.history: list[str] = []
        self.title = ""
        self._lines: list[list[str]] = [[] for _ in range(rows)]
        self._x = self._y = 0
        self._saved = (0, 0)
        self._main: list[list[str]] | None = None
        self._rest = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data: bytes) -> None:
        """Draw what a program printed; sequences cut in two are completed by the next call."""
        text = self._rest + self._decode(data)
        self._rest = ""
        while text:
            escape = text.find("\x1b")
            plain, text = (text, "") if escape < 0 else (text[:escape], text[escape:])
            for char in plain:
                self._put(char)
            if not text:
                return
            match = _SEQUENCE.match(text)
            if match is None:
                if _PARTIAL.match(text):
                    self._rest = text
                    return
                text = text[1:]
                continue
            self._sequence(match)
            text = text[match.end() :]

    def text(self, history: int = 0) -> str:
        """Return the screen, with up to `history` lines above it, trailing blank lines included."""
        shown = ["".join(line).rstrip() for line in self._lines]
        return "\n".join([*(self.history[-history:] if history else []), *shown])

    def _put(self, char: str) -> None:
        if char == "\r":
            self._x = 0
        elif char == "\n":
            self._feed_line()
        elif char == "\b":
            self._x = max(0, self._x - 1)
        elif char == "\t":
            self._x = min(self.columns - 1, (self._x // 8 + 1) * 8)
        elif char >= " " and char != "\x7f":
            self._draw(char)

    def _draw(self, char: str) -> None:
        width = 2 if unicodedata.east_asian_width(char) in "WF" else 0 if unicodedata.combining(char) else 1
        if self._x + width > self.columns:
            self._x = 0
            self._feed_line()
        line = self._lines[self._y]
        line.extend(" " * (self._x + max(width, 1) - len(line)))
        if width == 0:
            line[max(0, self._x - 1)] += char
            return
        line[self._x] = char
        if width == 2:
            line[self._x + 1] = ""
        self._x += width

    def _feed_line(self) -> None:
        if self._y < self.rows - 1:
            self._y += 1
            return
        line = self._lines.pop(0)
        if self._main is None:
            self.history.append("".join(line).rstrip())
        self._lines.append([])

    def _sequence(self, match: re.Match[str]) -> None:
        private, numbers, _, final, command = match.groups()
        if command is not None:
            kind, _, text = command.partition(";")
            if kind in ("0", "2"):
                self.title = text
            return
        if final is None:
            return
        values = [int(number) if number else 0 for number in (numbers or "").split(";")]
        if private:
            if private == "?" and final in "hl" and values[0] in (47, 1047, 1049):
                self._switch(is_on=final == "h")
            return
        first = max(1, values[0])
        if final in "ABCDGdHf":
            self._move(final, first, max(1, values[1]) if len(values) > 1 else 1)
        elif final == "J":
            self._erase_screen(values[0])
        elif final == "K":
            self._erase_line(values[0])
        elif final == "P":
            del self._lines[self._y][self._x : self._x + first]
        elif final == "@":
            self._lines[self._y][self._x : self._x] = [" "] * first
        elif final == "s":
            self._saved = (self._x, self._y)
        elif final == "u":
            self._x, self._y = self._saved

    def _move(self, final: str, first: int, second: int) -> None:
        x, y = {
            "A": (self._x, self._y - first),
            "B": (self._x, self._y + first),
            "C": (self._x + first, self._y),
            "D": (self._x - first, self._y),
            "G": (first - 1, self._y),
            "d": (self._x, first - 1),
        }.get(final, (second - 1, first - 1))
        self._x, self._y = min(max(x, 0), self.columns - 1), min(max(y, 0), self.rows - 1)

    def _erase_line(self, how: int) -> None:
        line = self._lines[self._y]
        if how == 0:
            del line[self._x :]
        elif how == 1:
            line[: self._x + 1] = [" "] * min(len(line), self._x + 1)
        else:
            line.clear()

    def _erase_screen(self, how: int) -> None:
        if how in (2, 3):
            self._lines = [[] for _ in range(self.rows)]
            return
        self._erase_line(how)
        for line in self._lines[self._y + 1 :] if how == 0 else self._lines[: self._y]:
            line.clear()

    def _switch(self, *, is_on: bool) -> None:
        if is_on and self._main is None:
            self._main = self._lines
            self._lines = [[] for _ in range(self.rows)]
        elif not is_on and self._main is not None:
            self._lines, self._main = self._main, None
