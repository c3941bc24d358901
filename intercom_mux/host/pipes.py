"""Reading a pipe with a limit of time."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READ = 65_536

if sys.platform == "win32":
    import queue
    import threading

    @contextmanager
    def reading(descriptor: int) -> Iterator[Callable[[float], bytes | None]]:
        """Give a function that waits so many seconds for bytes: None when none came, b"" at the end.

        A thread reads, as no pipe can be waited for here; it outlives the block when somebody else holds the other end.
        """
        chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_fill, args=(os.dup(descriptor), chunks), daemon=True).start()

        def take(wait_s: float) -> bytes | None:
            try:
                return chunks.get(timeout=max(wait_s, 0.001))
            except queue.Empty:
                return None

        yield take

    def _fill(descriptor: int, chunks: queue.SimpleQueue[bytes]) -> None:
        try:
            while data := os.read(descriptor, _READ):
                chunks.put(data)
        except OSError:
            pass
        os.close(descriptor)
        chunks.put(b"")

else:
    import selectors

    @contextmanager
    def reading(descriptor: int) -> Iterator[Callable[[float], bytes | None]]:
        """Give a function that waits so many seconds for bytes: None when none came, b"" at the end."""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            yield lambda wait_s: os.read(descriptor, _READ) if selector.select(wait_s) else None
