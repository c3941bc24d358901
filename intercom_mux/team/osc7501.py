"""Status that a program writes to its terminal as OSC 7501, read from its transcript.

`ESC ] 7501 ; state=blocked:app=codex:kind=permission ESC \\` (or BEL). Multiplexers drop it, their pipes do not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from intercom_mux.transcript.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

LOOK_MAX_BYTES = 262_144
"""Most that one look searches; of a larger gain only the end, for only the last state counts."""
SEQUENCE_MAX_BYTES = 256

_SEQUENCE = re.compile(rb"\x1b\]7501;([ -~]{0,200}?)(?:\x1b\\|\x07)")
_WORD = re.compile(r"[\w-]{1,32}")
_STATES = {"idle": "idle", "done": "idle", "working": "thinking", "blocked": "blocked"}
CLEARED = ""


class Osc7501Log:
    """Follows the transcript in `directory`, which may not exist yet; of what it holds only the end is read."""

    def __init__(self, directory: Path) -> None:
        self._reader = Reader(directory)
        self._reader.seek_tail(LOOK_MAX_BYTES)
        self._rest = b""

    def news(self) -> str | None:
        """Return the last status written since the last look, `CLEARED` when it was taken back, None without news."""
        try:
            data = self._rest + self._gain()
        except OSError:
            return None
        found = list(_SEQUENCE.finditer(data))
        self._rest = data[found[-1].end() if found else 0 :][-SEQUENCE_MAX_BYTES:]
        return next((status for one in reversed(found) if (status := _status(one[1].decode())) is not None), None)

    def _gain(self) -> bytes:
        gain = b""
        while pieces := self._reader.read():
            gain = b"".join([gain, *(piece.data for piece in pieces)])[-LOOK_MAX_BYTES:]
        return gain


def _status(text: str) -> str | None:
    """Return the status in the body of a sequence; None for one that tells nothing, a query for example."""
    fields = dict(part.partition("=")[::2] for part in text.split(":"))
    state = fields.get("state")
    if state in ("clear", "error"):
        return CLEARED
    status = _STATES.get(state or "")
    if status != "blocked":
        return status
    kind = _WORD.fullmatch(fields.get("kind", ""))
    return f"blocked:{kind[0] if kind else 'permission'}"
