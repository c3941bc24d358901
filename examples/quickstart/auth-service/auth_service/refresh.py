"""Token refresh: one at a time, retried with backoff within a budget."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from auth_service.backoff import Backoff
from auth_service.budget import RetryBudget
from auth_service.provider import IdentityProvider, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth_service.tokens import Token

ATTEMPTS_MAX = 4


class RefreshFailed(Exception):
    """No new token after all retries, and the old one has expired."""


class TokenRefresher:
    """Holds the current token and replaces it when it is stale. Thread-safe."""

    def __init__(
        self,
        provider: IdentityProvider,
        *,
        backoff: Backoff | None = None,
        budget: RetryBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._provider = provider
        self._backoff = backoff or Backoff()
        self._budget = budget or RetryBudget()
        self._clock = clock
        self._sleep = sleep
        self._token: Token | None = None
        self._single_flight = threading.Lock()

    def access_token(self) -> str:
        """Return a token that is good for the next request.

        Single flight: of many threads that find the token stale, one refreshes; the others wait for the lock, look
        again and take the token it brought.
        """
        token = self._token
        if token is None or token.is_stale(self._clock()):
            with self._single_flight:
                token = self._token
                if token is None or token.is_stale(self._clock()):
                    token = self._token = self._refresh_or_keep(token)
        return token.value

    def _refresh_or_keep(self, old: Token | None) -> Token:
        """Return a new token; when the provider is down, the old one for as long as it has not expired."""
        try:
            return self._refresh_with_retries()
        except ProviderUnavailable as error:
            if old is not None and self._clock() < old.expires_at:
                return old
            raise RefreshFailed(str(error)) from error

    def _refresh_with_retries(self) -> Token:
        """Ask the provider up to `ATTEMPTS_MAX` times, as far as the retry budget allows.

        Only `ProviderUnavailable` is retried; a refusal passes through at once.
        """
        self._budget.deposit()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return self._provider.issue()
            except ProviderUnavailable as error:
                if attempt == ATTEMPTS_MAX or not self._budget.withdraw():
                    raise
                self._sleep(self._backoff.wait_s(attempt, error.retry_after_s))
        raise AssertionError("the last attempt returns or raises")
