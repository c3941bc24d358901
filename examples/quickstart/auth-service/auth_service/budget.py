"""How many retries the whole process may afford."""

from __future__ import annotations

import threading


class RetryBudget:
    """A token bucket that keeps retries a fraction of the calls.

    Every call deposits `ratio` of a retry, every retry withdraws one. While the provider is healthy the bucket stays
    full and hides single failures; in an outage it runs dry, and the service adds at most `ratio` to the load.
    """

    def __init__(self, ratio: float = 0.1, capacity: float = 10.0) -> None:
        self._ratio = ratio
        self._capacity = capacity
        self._balance = capacity
        self._lock = threading.Lock()

    def deposit(self) -> None:
        """Count one call that was not a retry."""
        with self._lock:
            self._balance = min(self._capacity, self._balance + self._ratio)

    def withdraw(self) -> bool:
        """Take one retry out of the bucket; False when it is empty and the caller must give up."""
        with self._lock:
            if self._balance < 1.0:
                return False
            self._balance -= 1.0
            return True
