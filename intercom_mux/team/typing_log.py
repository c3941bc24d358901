"""Which messages were being typed, on disk: what a crash must not make anyone type twice.

One line per step, `typing ID`, `untyped ID` (nothing was sent after all) or `done ID`, with the id as JSON, appended
and flushed; it survives the death of the process. Only the team daemon writes it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MAX_DONE = 2_000


class TypingLog:
    """The log at `path`; it is shortened when opened, so that it never grows without bound.

    A line that was cut is left out: its step had not begun.
    """

    def __init__(self, path: Path) -> None:
        self.typing: set[str] = set()
        self.done: dict[str, None] = {}
        whole, _, _ = path.read_bytes().rpartition(b"\n") if path.exists() else (b"", b"", b"")
        for line in whole.decode(errors="replace").split("\n"):
            self._take_line(line)
        recent = list(self.done)[-_MAX_DONE:]
        fresh = path.with_suffix(".new")
        fresh.write_text(
            "".join([*(_line("done", one) for one in recent), *(_line("typing", one) for one in self.typing)])
        )
        fresh.replace(path)
        self._stream = path.open("a")

    def _take_line(self, line: str) -> None:
        step, _, text = line.partition(" ")
        try:
            message_id = json.loads(text)
        except ValueError:
            return
        if isinstance(message_id, str):
            self._take(step, message_id)

    def _take(self, step: str, message_id: str) -> None:
        if step == "typing":
            self.typing.add(message_id)
        elif step == "untyped":
            self.typing.discard(message_id)
        elif step == "done":
            self.typing.discard(message_id)
            self.done[message_id] = None

    def note(self, message_id: str, step: str) -> None:
        """Write one step, `typing`, `untyped` or `done`; it is with the kernel on return."""
        self._take(step, message_id)
        self._stream.write(_line(step, message_id))
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _line(step: str, message_id: str) -> str:
    return f"{step} {json.dumps(message_id)}\n"
