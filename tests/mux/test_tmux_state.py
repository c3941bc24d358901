"""What one line of a listing says."""

from __future__ import annotations

import pytest

from intercom_mux.mux.base import SurfaceState
from intercom_mux.mux.tmux_state import parse_state


def test_a_title_may_hold_tabs() -> None:
    """Everything after the last separator is the title."""
    line = "%3\t41\t0\t\t\t0\tlead\tclaude\ta\tb 'c' %9\t"
    assert parse_state(line) == SurfaceState("%3", 41, False, None, "a\tb 'c' %9\t", "claude", False, "lead")


@pytest.mark.parametrize(
    ("status", "signalled", "told"),
    [("0", "", 0), ("127", "", 127), ("", "9", 137), ("", "KILL", 137), ("", "SIGTERM", 143), ("", "", None)],
)
def test_every_way_tmux_tells_a_death(status: str, signalled: str, told: int | None) -> None:
    """A signal comes as a number or, where the system names signals, as a name; tmux 3.2 is silent about it."""
    state = parse_state(f"%0\t1\t1\t{status}\t{signalled}\t1\t\tsh\t")
    assert (state.is_dead, state.exit_status, state.is_in_mode) == (True, told, True)
