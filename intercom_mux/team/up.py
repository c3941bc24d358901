"""`up`, seen from the command: lock the team, have a broker and a daemon, hand the plan over, follow its progress."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.errors import IntercomError, TeamError
from intercom_mux.team import control, stages
from intercom_mux.team import state as team_states
from intercom_mux.team.daemon_process import is_listening, serve_in_surface
from intercom_mux.team.lock import team_lock
from intercom_mux.team.multiplexer import cmux_of, require
from intercom_mux.team.plan import TeamPlan
from intercom_mux.team.spare_daemon import SpareDaemon

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.team.state import TeamState

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
    the daemon tells: `waiting` for an earlier start of the team, `plan`, `opened`, and one event per peer. The layout's
    own commands and the set-up of worktrees are run here: their `output` lines come before and after.

    Raises:
        MultiplexerError: The multiplexer is missing, too old, or refused.
        BrokerError: No broker could be started.
        TeamError: A peer ended at once, or a command of the layout failed that aborts (`E_COMMAND`): what this call
            started is gone again. Or some peers could not be started (`E_NOT_STARTED`): the others run.
    """
    team = team_states.load(plan.id)
    mux = team.mux if team else plan.mux
    if any(not peer.is_reused for peer in plan.peers):
        require(mux)
    with team_lock(paths.team_state_dir(plan.id), action, on_wait):
        has_commands = bool(plan.before_up or plan.after_up) and stages.starts_something(plan)
        if has_commands:
            stages.before_up(plan, on_event)
        lifecycle.ensure_running()

        def hand_over(failed: dict[str, str], tell: Callable[[Json], None]) -> None:
            if not is_listening(plan.id):
                _begin(plan, mux, spare)
            request = {"type": "apply", "plan": plan.to_json(), "environment": dict(os.environ), "wait": wait_ready}
            tell({"type": "event", "event": "handed-over"})
            for event in control.request(plan.id, {**request, "failed": failed}, timeout_s=SILENCE_S):
                tell(event)

        _start(plan, hand_over, on_event, has_commands=has_commands)


def _start(
    plan: TeamPlan,
    hand_over: Callable[[dict[str, str], Callable[[Json], None]], None],
    on_event: Callable[[Json], None],
    *,
    has_commands: bool,
) -> None:
    """Have the plan's worktrees there, hand it over, run `after_up`; what fails is taken back whole."""
    prepared = stages.prepare_worktrees(plan, on_event)
    opened: list[str] = []
    not_started: dict[str, str] = {}

    def tell(event: Json) -> None:
        if event["event"] == "opened":
            opened.extend(event["peers"])
        elif event["event"] == "not-started":
            not_started[event["peer"]] = event["reason"]
        on_event(event)

    failed = {name: error.message for name, error in prepared.failed.items()} if prepared else {}
    try:
        hand_over(failed, tell)
        if has_commands:
            _after_up(plan, opened, on_event)
    except IntercomError as error:
        if prepared and error.code != "E_DAEMON":
            stages.take_back_worktrees(plan.id, prepared.made)
        raise
    if not_started:
        raise TeamError(
            "".join(f"{name} was not started: {reason}\n" for name, reason in not_started.items()).rstrip(),
            code="E_NOT_STARTED",
            hint="mend that, then run `intercom-mux up` again; the other peers run",
            peers=not_started,
        )


def _after_up(plan: TeamPlan, opened: list[str], on_event: Callable[[Json], None]) -> None:
    try:
        stages.after_up(plan, on_event)
    except TeamError:
        request = {"type": "kill", "peers": opened, "idle_only": False}
        for _ in control.request(plan.id, request, timeout_s=SILENCE_S):
            pass
        raise


def change(
    team: TeamState,
    request: Json,
    on_event: Callable[[Json], None],
    *,
    action: str,
    on_wait: Callable[[str], None] | None = None,
) -> None:
    """Have the team's daemon carry out `add`, `kill` or `restart`; a daemon that died is brought back for it.

    Raises:
        TeamError: The team went down meanwhile (`E_NO_TEAM`), or what the daemon reports (`team/change.py`).
        BrokerError: No broker could be started.
    """
    with team_lock(paths.team_state_dir(team.id), action, on_wait):
        if team_states.load(team.id) is None:
            raise TeamError(f"team {team.name} is down", code="E_NO_TEAM", hint="start it with `intercom-mux up`")
        if request["type"] == "kill" and request["idle_only"]:
            _check_worktrees(team.id, request["peers"])
        lifecycle.ensure_running()

        def hand_over(failed: dict[str, str], tell: Callable[[Json], None]) -> None:
            if not is_listening(team.id):
                with SpareDaemon() as spare:
                    _serve(team.id, team.mux, team.socket, spare)
            frame = {"environment": dict(os.environ), **request, "failed": failed}
            for event in control.request(team.id, frame, timeout_s=SILENCE_S):
                tell(event)

        if request["type"] == "add":
            _start(TeamPlan.from_json(request["plan"]), hand_over, on_event, has_commands=False)
        else:
            hand_over({}, on_event)
        if request["type"] == "kill":
            _clear_worktrees(team.id, request["peers"], on_event)


def _check_worktrees(team_id: str, peers: list[str]) -> None:
    from intercom_mux.team import worktrees

    for peer in peers:
        if lost := worktrees.unsaved(team_id, peer):
            hint = "commit and merge it, or end the peer with `--force`: its worktree then stays"
            raise TeamError(f"{peer} has work in its worktree: {lost}", code="E_PEER_BUSY", hint=hint, peers=[peer])


def _clear_worktrees(team_id: str, peers: list[str], on_event: Callable[[Json], None]) -> None:
    """Remove the worktrees of peers that were ended, as `down` does."""
    from intercom_mux.team import worktrees

    for kept in worktrees.clear(team_id, peers):
        on_event({"type": "event", "event": "warning", "message": f"{kept.peer}: {kept.told}"})


def _begin(plan: TeamPlan, mux: str, spare: SpareDaemon) -> None:
    """Have a daemon for the team. From the first step on `down` finds the team, whatever becomes of us."""
    known = team_states.load(plan.id)
    is_new = known is None or not known.peers
    if is_new:
        team_states.save(team_states.new_state(plan))
    try:
        _serve(plan.id, mux, Path(plan.socket), spare)
    except IntercomError:
        if is_new:
            team_states.remove(plan.id)
        raise


def _serve(team_id: str, mux: str, socket: Path | None, spare: SpareDaemon) -> None:
    """Have a daemon for the team: `spare`, or where that could not reach the multiplexer, one in a surface."""
    if mux == "cmux" and socket is not None:
        serve_in_surface(team_id, cmux_of(team_id, socket))
    else:
        spare.serve(team_id)
