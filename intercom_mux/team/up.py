"""`up`, seen from the command: lock the team, have a broker and a daemon, hand the plan over, follow its progress."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.mux.tmux_version import require_tmux
from intercom_mux.team import control
from intercom_mux.team.daemon_process import is_listening
from intercom_mux.team.lock import team_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.team.daemon_process import SpareDaemon
    from intercom_mux.team.plan import TeamPlan

Json = dict[str, Any]

SILENCE_S = 120.0
"""Longest time between two events of a daemon at work; agents may take a minute to be ready."""


def up(
    plan: TeamPlan,
    spare: SpareDaemon,
    on_event: Callable[[Json], None],
    *,
    action: str,
    wait_ready: bool = True,
    on_wait: Callable[[str], None] | None = None,
) -> None:
    """Bring the team to its plan: what runs stays, what is missing starts. Idempotent.

    `spare` becomes the team's daemon unless it has one. On return every peer of the plan lives, and is ready where its
    program can show that (unless `wait_ready` is off).

    `on_event` is told `handed-over` first: from then on the daemon goes on even if this call is interrupted; then what
    the daemon tells: `waiting` for an earlier start of the team, `plan`, `opened`, and one event per peer.

    Raises:
        MultiplexerError: tmux is missing, too old, or refused.
        BrokerError: No broker could be started.
        TeamError: A peer ended at once; what this call started is gone again.
    """
    require_tmux()
    with team_lock(paths.team_state_dir(plan.id), action, on_wait):
        lifecycle.ensure_running()
        if not is_listening(plan.id):
            spare.serve(plan.id)
        request = {"type": "apply", "plan": plan.to_json(), "environment": dict(os.environ), "wait": wait_ready}
        on_event({"type": "event", "event": "handed-over"})
        for event in control.request(plan.id, request, timeout_s=SILENCE_S):
            on_event(event)
