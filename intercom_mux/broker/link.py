"""The broker's socket of a client: what is still to be written to it, and how it ends."""

from __future__ import annotations

import selectors
import time
from typing import TYPE_CHECKING

from intercom_mux.wire.frames import Splitter

if TYPE_CHECKING:
    import socket

OUTPUT_PAUSE_BYTES = 1_048_576
"""A client that has this much unread gets nothing more read from it."""

OUTPUT_MAX_BYTES = 16 * 1_048_576
"""A client that has this much unread is cut; what it has not confirmed is redelivered."""

LINGER_S = 1.0
"""How long a refused client may take to read the reason: closing with unread input would reset the connection."""


class Link:
    """One client socket, non-blocking. `mask` is what its selector watches it for, 0 = not at all.

    `is_paused`: the core wants no more of it now. `paid_until` is the monotonic time by which what it sent would have
    been due at the rate that a `Throttle` allows; nothing is read from it while it `is_throttled`.
    """

    __slots__ = (
        "id",
        "is_closing",
        "is_paused",
        "is_throttled",
        "linger_until",
        "mask",
        "output",
        "output_bytes",
        "paid_until",
        "sock",
        "splitter",
    )

    def __init__(self, link_id: int, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.id = link_id
        self.sock = sock
        self.splitter = Splitter()
        self.output: list[bytes] = []
        self.output_bytes = 0
        self.is_closing = self.is_paused = self.is_throttled = False
        self.paid_until = self.linger_until = 0.0
        self.mask = selectors.EVENT_READ

    def put(self, data: bytes) -> None:
        """Have `flush` write `data` behind what waits already."""
        self.output.append(data)
        self.output_bytes += len(data)

    def flush(self) -> None:
        """Write what the socket takes.

        A client that hung up may have left something to read, its last receipts: only the read side ends a link.
        """
        if not self.output:
            return
        data = self.output[0] if len(self.output) == 1 else b"".join(self.output)
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(data)
        self.output = [data[sent:]] if sent < len(data) else []
        self.output_bytes = len(data) - sent

    @property
    def is_too_slow(self) -> bool:
        """Whether more is unread than the broker keeps for a client."""
        return self.output_bytes > OUTPUT_MAX_BYTES

    @property
    def wanted_mask(self) -> int:
        """What to wait for now: room while something is left to write, frames unless it must slow down."""
        wants_frames = self.output_bytes < OUTPUT_PAUSE_BYTES and not (self.is_paused or self.is_throttled)
        return (selectors.EVENT_READ if wants_frames else 0) | (selectors.EVENT_WRITE if self.output else 0)

    def begin_close(self) -> None:
        """End politely: its output first, then FIN, then a moment for it to hang up."""
        self.is_closing = True
        self.linger_until = time.monotonic() + LINGER_S
