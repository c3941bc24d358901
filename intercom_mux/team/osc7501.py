"""Status that a program writes to its terminal as OSC 7501, read from the raw log of its pane.

`ESC ] 7501 ; state=blocked:app=codex:kind=permission ESC \\` (or BEL). Multiplexers drop it, their pipes do not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOOK_MAX_BYTES = 262_144
"""Most that one look reads; of a larger gain only the end is read, for only the last state counts."""
SEQUENCE_MAX_BYTES = 256

_SEQUENCE = re.compile(rb"\x1b\]7501;([ -~]{0,200}?)(?:\x1b\\|\x07)")
_WORD = re.compile(r"[\w-]{1,32}")
_STATES = {"idle": "idle", "done": "idle", "working": "thinking", "blocked": "blocked"}
CLEARED = ""


class Osc7501Log:
    """Follows the log at `path`, which may not exist yet; of what it holds already only the end is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
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
        with self._path.open("rb") as log:
            size = log.seek(0, 2)
            if size < self._position:
                self._position, self._rest = 0, b""
            start = max(self._position, size - LOOK_MAX_BYTES)
            if start > self._position:
                self._rest = b""
            log.seek(start)
            data = log.read(LOOK_MAX_BYTES)
        self._position = start + len(data)
        return data


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
