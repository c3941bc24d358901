"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Exponential backoff with full jitter.

    The ceiling doubles with every attempt up to `longest_s`; the wait is drawn evenly between zero and the ceiling, so
    that callers which failed together do not come back together.
    """

    first_s: float = 0.2
    longest_s: float = 10.0
    source: random.Random = field(default_factory=random.SystemRandom)

    def wait_s(self, attempt: int, retry_after_s: float | None = None) -> float:
        """Return the seconds to wait after failed attempt number `attempt`, counted from 1.

        A `Retry-After` of the server is a lower bound: we wait that long plus the jitter.
        """
        ceiling = min(self.longest_s, self.first_s * 2 ** (attempt - 1))
        jitter = self.source.uniform(0.0, ceiling)
        return jitter if retry_after_s is None else retry_after_s + jitter
