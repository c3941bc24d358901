"""What a token is, and when it counts as stale."""

from __future__ import annotations

from dataclasses import dataclass

EARLY_S = 30.0
"""A token is replaced so many seconds before it expires: a request may be under way that long."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; `expires_at` is in seconds of the clock that the refresher uses."""

    value: str
    expires_at: float

    def is_stale(self, now: float) -> bool:
        """Return whether the token should be replaced before it is used again."""
        return now >= self.expires_at - EARLY_S

    def __repr__(self) -> str:
        """Keep the secret out of logs."""
        return f"Token(value='…', expires_at={self.expires_at})"
