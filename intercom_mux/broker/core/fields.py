"""What operations read from a request and put into its answer: texts, and as many rows as a frame takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.errors import ProtocolError
from intercom_mux.wire.frames import MAX_FRAME_BYTES, dump

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intercom_mux.broker.core.model import Json

ROWS_BYTES = MAX_FRAME_BYTES - 4_096
"""What the rows of one answer may take; the first one always fits."""


def text(frame: Json, key: str) -> str:
    """Return a field of a request, empty if it is not there.

    Raises:
        ProtocolError: It is no string.
    """
    value = frame.get(key, "")
    if type(value) is not str:
        raise ProtocolError(f"mux.{key} must be a string")
    return value


def fitting(rows: Iterable[Json], room: int = ROWS_BYTES) -> list[Json]:
    """Return the first of `rows`, as many as go into `room` bytes of JSON."""
    taken: list[Json] = []
    for row in rows:
        room -= len(dump(row)) + 1
        if room < 0 and taken:
            break
        taken.append(row)
    return taken
