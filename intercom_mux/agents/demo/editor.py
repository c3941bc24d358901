"""The line editor: bytes from a keyboard or a multiplexer become a draft and submissions. Pure.

Keys: Enter submits, Backspace, Ctrl-U clears, Ctrl-W takes a word, Ctrl-C quits, Ctrl-D quits on an empty draft. Inside
a bracketed paste every byte is text. Arrows and other escape sequences are ignored.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from enum import Enum

PASTE_BEGIN = "\x1b[200~"
PASTE_END = "\x1b[201~"

_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[\]P_^][^\x00-\x1f]*(?:\x07|\x1b\\)|[^\[O\]P_^\x00-\x1f])", re.DOTALL
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O|[\]P_^][^\x00-\x1f]*\x1b?)?")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f]+")


class Key(Enum):
    """What the editor reports besides submissions."""

    QUIT = "quit"


@dataclass(slots=True)
class Editor:
    """Holds what is typed but not submitted: `draft`, lines separated by newline."""

    draft: str = ""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )
    _pending: str = ""
    _pasted: list[str] = field(default_factory=list)
    is_pasting: bool = False
    """True between the begin and the end of a bracketed paste."""

    def feed(self, data: bytes) -> list[str | Key]:
        """Take bytes in any portions and return, in order, the drafts submitted and the keys to act on.

        Blank drafts are not submitted.
        """
        text = self._pending + self._decoder.decode(data)
        self._pending = ""
        events: list[str | Key] = []
        while text:
            text = self._take_paste(text) if self.is_pasting else self._take_key(text, events)
        return events

    def end(self) -> list[str | Key]:
        """Take the end of the input: an open paste ends too, and what is left is submitted."""
        if self.is_pasting:
            self._take_paste(self._pending + PASTE_END)
        return self._submit()

    def _submit(self) -> list[str | Key]:
        draft, self.draft = self.draft, ""
        return [draft] if draft.strip() else []

    def _take_paste(self, text: str) -> str:
        """Move pasted text to the side until its end, then into the draft; return what follows the paste."""
        pasted, end, rest = text.partition(PASTE_END)
        if not end:
            kept = _partial_suffix(pasted, PASTE_END)
            self._pending = pasted[len(pasted) - kept :]
            self._pasted.append(pasted[: len(pasted) - kept])
            return ""
        self.draft += "".join((*self._pasted, pasted)).replace("\r\n", "\n").replace("\r", "\n")
        self._pasted.clear()
        self.is_pasting = False
        return rest

    def _take_key(self, text: str, events: list[str | Key]) -> str:
        """Act on the first key of `text` and return what follows it."""
        if match := _PLAIN.match(text):
            self.draft += match[0]
            return text[match.end() :]
        if text[0] == "\x1b":
            return self._take_sequence(text)
        key, rest = text[0], text[1:]
        if key in "\r\n":
            events += self._submit()
        elif key in "\x7f\x08":
            self.draft = self.draft[:-1]
        elif key == "\x15":
            self.draft = ""
        elif key == "\x17":
            self.draft = re.sub(r"\S*\s*\Z", "", self.draft)
        elif key == "\x03" or (key == "\x04" and not self.draft):
            events.append(Key.QUIT)
        elif key == "\t":
            self.draft += key
        return rest

    def _take_sequence(self, text: str) -> str:
        """Begin a paste, or pass over an escape sequence; an unfinished one waits for its other bytes."""
        if text.startswith(PASTE_BEGIN):
            self.is_pasting = True
            return text[len(PASTE_BEGIN) :]
        if match := _SEQUENCE.match(text):
            return text[match.end() :]
        if _UNFINISHED.fullmatch(text):
            self._pending = text
            return ""
        return text[1:]


def _partial_suffix(text: str, word: str) -> int:
    """Return the length of the longest end of `text` that `word` starts with."""
    return next((size for size in range(len(word) - 1, 0, -1) if text.endswith(word[:size])), 0)
