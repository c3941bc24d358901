"""The rate at which frames are read from each connection: who sends faster is read from more slowly, never cut.

It keeps a program that has run wild from filling the disk; that it starves nobody else is due to the server's turns,
which read a bounded piece from everybody who has something.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intercom_mux.broker.link import Link


class Throttle:
    """A token bucket per connection: `burst` frames at once, `per_second` in the long run."""

    def __init__(self, burst: int, per_second: int) -> None:
        self._seconds_each = 1 / per_second
        self._burst_s = burst / per_second
        self._throttled: dict[Link, float] = {}

    def spend(self, link: Link, frames: int) -> bool:
        """Take tokens for frames that were read; whether reading must pause until `rested` returns the link."""
        now = time.monotonic()
        link.paid_until = max(link.paid_until, now) + frames * self._seconds_each
        if link.paid_until - now <= self._burst_s:
            return False
        self._throttled[link] = link.paid_until - self._burst_s
        link.is_throttled = True
        return True

    def rested(self) -> list[Link]:
        """Return the links that may be read from again; each once."""
        if not self._throttled:
            return []
        now = time.monotonic()
        links = [link for link, until in self._throttled.items() if until <= now]
        for link in links:
            self.forget(link)
        return links

    def timeout(self, at_most: float) -> float:
        """Return how many seconds may pass before `rested` must be called."""
        if not self._throttled:
            return at_most
        return min(at_most, max(0.0, min(self._throttled.values()) - time.monotonic()))

    def forget(self, link: Link) -> None:
        """Stop throttling a link, such as one that is closed."""
        link.is_throttled = False
        self._throttled.pop(link, None)
