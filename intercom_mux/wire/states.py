"""The life of one accepted message, as a table. Every transition stands here; the core asks `can_advance`.

    queued ──> sent ──> received ──> done
      └──────────┴─────────┴──────> done | expired | cancelled | superseded | parked | refused

`sent` and `received` go back to `queued` when their receiver is lost. Terminal states are final. Pure.
"""

from __future__ import annotations

QUEUED = "queued"
SENT = "sent"
RECEIVED = "received"
DONE = "done"
EXPIRED = "expired"
CANCELLED = "cancelled"
SUPERSEDED = "superseded"
PARKED = "parked"
REFUSED = "refused"

OPEN_STATES = frozenset({QUEUED, SENT, RECEIVED})
"""A message in one of these is held by the broker and redelivered."""

TERMINAL_STATES = frozenset({DONE, EXPIRED, CANCELLED, SUPERSEDED, PARKED, REFUSED})

TRANSITIONS: dict[str, frozenset[str]] = {
    QUEUED: frozenset({SENT}) | TERMINAL_STATES,
    SENT: frozenset({QUEUED, RECEIVED}) | TERMINAL_STATES,
    RECEIVED: frozenset({QUEUED, RECEIVED}) | TERMINAL_STATES,
    **{state: frozenset() for state in TERMINAL_STATES},
}


def can_advance(state: str, to: str) -> bool:
    """Return whether a message in `state` may enter `to`."""
    return to in TRANSITIONS[state]
