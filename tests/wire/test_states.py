"""The table of delivery states."""

from __future__ import annotations

import itertools

import pytest

from intercom_mux.wire import states
from intercom_mux.wire.states import OPEN_STATES, TERMINAL_STATES, TRANSITIONS, can_advance

ALL = sorted(OPEN_STATES | TERMINAL_STATES)


def test_the_table_knows_every_state() -> None:
    """Each state has its row, and no row leads out of the table."""
    assert set(TRANSITIONS) == set(ALL)
    assert set().union(*TRANSITIONS.values()) <= set(ALL)
    assert not OPEN_STATES & TERMINAL_STATES


@pytest.mark.parametrize(("state", "to"), list(itertools.product(ALL, ALL)))
def test_every_pair_is_allowed_or_refused_as_the_picture_says(state: str, to: str) -> None:
    """Open states may end in any way; the end is final; only what was sent can be received or come back."""
    if state in TERMINAL_STATES:
        expected = False
    elif to in TERMINAL_STATES:
        expected = True
    else:
        expected = (state, to) in {
            (states.QUEUED, states.SENT),
            (states.SENT, states.RECEIVED),
            (states.SENT, states.QUEUED),
            (states.RECEIVED, states.QUEUED),
            (states.RECEIVED, states.RECEIVED),
        }
    assert can_advance(state, to) is expected


def test_every_open_state_can_reach_done() -> None:
    """Nothing is stuck."""
    assert all(states.DONE in TRANSITIONS[state] for state in OPEN_STATES)
