"""Which messages were being typed, on disk: what a crash must not make anyone type twice.

One line per step, `typing KEY`, `untyped KEY` (nothing was sent after all) or `done KEY`, appended and flushed; it
survives the death of the process. A key is `[session id of the peer, message id]` as JSON, for senders choose the ids
of messages and two may choose the same. Only the team daemon writes it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Key = tuple[str, str]
"""Session id of the peer that receives, id of the message."""

_MAX_DONE = 2_000


class TypingLog:
    """The log at `path`; it is shortened when opened, so that it never grows without bound.

    A line that was cut is left out: its step had not begun.
    """

    def __init__(self, path: Path) -> None:
        self.typing: set[Key] = set()
        self.done: dict[Key, None] = {}
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
            value = json.loads(text)
        except ValueError:
            return
        match value:
            case [str(session_id), str(message_id)]:
                self._take(step, (session_id, message_id))

    def _take(self, step: str, key: Key) -> None:
        if step == "typing":
            self.typing.add(key)
        elif step == "untyped":
            self.typing.discard(key)
        elif step == "done":
            self.typing.discard(key)
            self.done[key] = None

    def note(self, key: Key, step: str) -> None:
        """Write one step, `typing`, `untyped` or `done`; it is with the kernel on return.

        Raises:
            OSError: It cannot be written.
        """
        self._stream.write(_line(step, key))
        self._stream.flush()
        self._take(step, key)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _line(step: str, key: Key) -> str:
    return f"{step} {json.dumps(key)}\n"
