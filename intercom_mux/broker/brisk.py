"""Waiting for clients. While one frame follows another at once, the broker looks again instead of going to sleep.

To wake a process takes longer than to carry a message, most of all on a machine that is otherwise idle. A wait that was
short makes the next one begin with looks; the first time that these find nothing the broker sleeps again. So a frame by
itself costs nothing more, and an exchange at most `LOOK_S` at its end.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    Events = list[tuple[selectors.SelectorKey, int]]

LOOK_S = 0.0002


class BriskWait:
    """Waits on `selector`. Never looks where there is one processor: nobody could send meanwhile."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        clock: Callable[[], float] = time.monotonic,
        processors: int | None = os.cpu_count(),
    ) -> None:
        self._selector = selector
        self._clock = clock
        self._may_look = (processors or 1) > 1
        self._is_brisk = False

    def select(self, timeout: float) -> Events:
        """Return what is ready, as `selectors.BaseSelector.select` does; `timeout` is in seconds."""
        begun = self._clock()
        if self._is_brisk:
            until = begun + min(LOOK_S, timeout)
            while self._clock() < until:
                if events := self._selector.select(0):
                    return events
        events = self._selector.select(timeout)
        self._is_brisk = self._may_look and not self._is_brisk and bool(events) and self._clock() - begun < LOOK_S
        return events
