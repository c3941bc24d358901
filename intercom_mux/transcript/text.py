"""Recorded terminal output as lines of text. Pure.

Not a terminal: what a program paints by moving the cursor becomes lines in the order in which it was painted.
"""

from __future__ import annotations

import re

_LINE_MAX_BYTES = 65_536
_HELD_BYTES = 4096
_PAD_MAX = 200
_ESCAPE = re.compile(
    rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC
    rb"|\x1b[PX^_].*?\x1b\\"  # DCS, SOS, PM, APC
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    rb"|\x1b[ -/]*[0-~]"
    rb"|\n",
    re.DOTALL,
)
_UNFINISHED = re.compile(rb"\x1b(?:\][^\x07\x1b]*\x1b?|[PX^_](?:(?!\x1b\\).)*|\[[0-?]*[ -/]*|[ -/]*)\Z", re.DOTALL)
_OTHER_ROW = re.compile(rb"\x1b\[[0-9;]*[ABEFHfd]|\x1b\[\??[23]J|\x1b[DEMc]")
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_RIGHT = re.compile(rb"\x1b\[([0-9]*)C")
_COLUMN = re.compile(rb"\x1b\[([0-9]*)[G`]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_CONTROL_BUT_COLOUR = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]|\x1b(?!\\[[0-9;:]*m)")
_C1 = re.compile("[\x80-\x9f]")


class Lines:
    """Cuts output that comes in pieces into lines, each with the time of its end.

    A line ends with LF, where the cursor goes to another row, or after 64 KiB.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._at = 0

    def feed(self, data: bytes, at: int) -> list[tuple[int, bytes]]:
        """Take what came at `at`; return time and bytes, without the line end, of the lines that are whole now."""
        if not data:
            return []
        self._at = at
        data = self._rest + data
        lines: list[tuple[int, bytes]] = []
        begin = 0
        for token in _ESCAPE.finditer(data):
            is_end = token[0] == b"\n"
            if is_end or _OTHER_ROW.fullmatch(token[0]):
                raw = data[begin : token.start()]
                # A cursor that only passes by leaves no empty line.
                if is_end or text_of(raw).strip():
                    lines.append((at, raw))
                begin = token.end()
        self._rest = data[begin:]
        if len(self._rest) > _LINE_MAX_BYTES:
            lines.append((at, self._rest))
            self._rest = b""
        return lines

    def rest(self) -> tuple[int, bytes] | None:
        """Return the line that has not ended, without a control sequence that has only begun; None if there is none."""
        unfinished = _UNFINISHED.search(self._rest, max(0, len(self._rest) - _HELD_BYTES))
        raw = self._rest[: unfinished.start()] if unfinished else self._rest
        return (self._at, raw) if text_of(raw) else None


def text_of(raw: bytes, *, colours: bool = False) -> str:
    """Return one line as a terminal would leave it, with colours on request and no other control but tab.

    A line that was overprinted keeps its last version, backspaces take back, moves to the right are blanks.
    """
    if b"\x08" in raw:
        colours = False
    text = _ESCAPE.sub(lambda token: _meaning(token[0], colours=colours), raw).rstrip(b"\r").rpartition(b"\r")[2]
    if b"\x08" in text:
        text = _taken_back(text)
    control = _CONTROL_BUT_COLOUR if colours else _CONTROL
    shown = _C1.sub("\ufffd", control.sub("", text.decode("utf-8", "replace")))
    return f"{shown}\x1b[0m" if "\x1b" in shown else shown


def _meaning(token: bytes, *, colours: bool) -> bytes:
    if colours and _COLOUR.fullmatch(token):
        return token
    if right := _RIGHT.fullmatch(token):
        return b" " * min(int(right[1] or 1), _PAD_MAX)
    if column := _COLUMN.fullmatch(token):
        return b"\r" if int(column[1] or 1) <= 1 else b" "
    return b""


def _taken_back(text: bytes) -> bytes:
    kept: list[str] = []
    for char in text.decode("utf-8", "surrogateescape"):
        if char != "\x08":
            kept.append(char)
        elif kept:
            kept.pop()
    return "".join(kept).encode("utf-8", "surrogateescape")
