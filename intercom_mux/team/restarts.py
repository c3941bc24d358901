"""When a peer whose program ended is started again: back-off, limit and words. Pure but for the clock it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intercom_mux.layout.model import Restart

WINDOW_S = 600.0
"""Restarts are counted over this time, for the limit and for the wait."""
LONGEST_WAIT_S = 60.0
UNKNOWN_STATUS_S = 1.0
"""How long the status of a program that ended may take to become known; one without any counts as a failure."""


@dataclass(slots=True)
class RestartClock:
    """Follows one peer: tell it of the program's life by `lives` and `ended`, ask `is_due`, tell `begun`.

    `now` is any steadily growing count of seconds, the same for all calls.
    """

    policy: Restart
    _begun: list[float] = field(default_factory=list)
    _ended: float | None = None
    _due: float | None = None
    has_given_up: bool = False

    def lives(self) -> None:
        """Hear that the program runs."""
        self._ended = self._due = None
        self.has_given_up = False

    def ended(self, status: int | None, now: float) -> None:
        """Hear that the program has ended, as often as that is seen; `status` is None while it is not known."""
        if self._ended is None:
            self._ended = now
        if self._due is not None or self.has_given_up or not self._is_wanted(status, now):
            return
        self._forget(now)
        if len(self._begun) >= self.policy.max_retries:
            self.has_given_up = True
        else:
            self._due = now + wait_s(self.policy, len(self._begun))

    def is_due(self, now: float) -> bool:
        """Whether the program is to be started now."""
        return self._due is not None and now >= self._due

    def begun(self, now: float) -> None:
        """Hear that a restart begins; should it fail, the next `ended` counts it."""
        self._begun.append(now)
        self._ended = self._due = None

    def words(self, now: float) -> str:
        """Return what comes next, "" for nothing: "restarting in 4s (2/5)" or "gave up after 5 restarts"."""
        limit = self.policy.max_retries
        if self.has_given_up:
            return f"gave up after {limit} {'restart' if limit == 1 else 'restarts'}"
        if self._due is None:
            return ""
        return f"restarting in {max(0, math.ceil(self._due - now))}s ({len(self._begun) + 1}/{limit})"

    def _is_wanted(self, status: int | None, now: float) -> bool:
        if self.policy.policy == "no":
            return False
        if status is None:
            return self._ended is not None and now - self._ended >= UNKNOWN_STATUS_S
        return self.policy.policy == "always" or status != 0

    def _forget(self, now: float) -> None:
        self._begun = [when for when in self._begun if now - when < WINDOW_S]


def wait_s(policy: Restart, restarts: int) -> float:
    """Return the seconds to wait after `restarts` recent ones: doubled each time, a minute at most. Pure."""
    return float(min(LONGEST_WAIT_S, policy.backoff_s * 2 ** min(restarts, 16)))
