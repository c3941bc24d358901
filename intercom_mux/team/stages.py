"""What `up` and `down` do themselves before and after the daemon's part: the layout's commands, and worktrees.

What runs git and commands is imported by a team that has some.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import TeamError
from intercom_mux.team import state as team_states

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from intercom_mux.team.plan import TeamPlan
    from intercom_mux.team.state import TeamState
    from intercom_mux.team.worktrees import Prepared

Json = dict[str, Any]


def starts_something(plan: TeamPlan) -> bool:
    """Return whether a peer of the plan has no live program: else its commands have been run already."""
    from intercom_mux.team import processes

    team = team_states.load(plan.id)
    known = team.peers if team is not None else {}
    procs = [known[peer.name].proc if peer.name in known else None for peer in plan.peers if not peer.is_reused]
    return any(proc is None or not processes.is_alive(proc) for proc in procs)


def before_up(plan: TeamPlan, on_event: Callable[[Json], None]) -> None:
    """Run the plan's `before_up`.

    Raises:
        TeamError: `E_COMMAND`: one failed; nothing was started.
    """
    _run("before_up", plan, on_event)


def after_up(plan: TeamPlan, on_event: Callable[[Json], None]) -> None:
    """Run the plan's `after_up`.

    Raises:
        TeamError: `E_COMMAND`: one failed whose failure aborts.
    """
    _run("after_up", plan, on_event)


def _run(stage: str, plan: TeamPlan, on_event: Callable[[Json], None]) -> None:
    from intercom_mux.team.commands import environment, run_stage

    env = environment(plan.name, plan.project, plan.socket, stage)
    for failure in run_stage(stage, getattr(plan, stage), env, lambda line: on_event(_output(stage, line))):
        on_event({"type": "event", "event": "warning", "message": failure.message})


def before_down(team: TeamState, on_line: Callable[[str], None]) -> None:
    """Run the team's `before_down`, all of it; failures are told as lines, for `down` goes on."""
    if not team.before_down:
        return
    from intercom_mux.team.commands import environment, run

    env = environment(team.name, str(team.project), str(team.socket or ""), "before_down")
    for command in team.before_down:
        try:
            run("before_down", command, env, lambda line: on_line(f"before_down | {line}"))
        except TeamError as error:
            on_line(error.message)


def prepare_worktrees(plan: TeamPlan, on_event: Callable[[Json], None]) -> Prepared | None:
    """Have the worktrees of the plan's peers there, if it wants any; who gets none is in `failed`, for the daemon."""
    wanted = {peer.name: peer.worktree for peer in plan.peers if peer.worktree is not None}
    if not wanted:
        return None
    from intercom_mux.team import worktrees
    from intercom_mux.team.commands import environment

    env = environment(plan.name, plan.project, plan.socket, "setup")
    prepared = worktrees.prepare(plan.id, wanted, env, lambda peer, line: on_event(_output(f"setup of {peer}", line)))
    for notice in prepared.notices:
        on_event({"type": "event", "event": "warning", "message": notice})
    return prepared


def take_back_worktrees(team_id: str, made: Collection[str]) -> None:
    """Remove worktrees that a failed start has made, unless there is work or a program in them."""
    from intercom_mux.team import processes, worktrees

    with suppress(TeamError):
        team = team_states.load(team_id)
        procs = {peer.name: peer.proc for peer in team.peers.values()} if team is not None else {}
        alive = {name for name, proc in procs.items() if proc is not None and processes.is_alive(proc)}
        worktrees.clear(team_id, set(made) - alive)


def _output(what: str, line: str) -> Json:
    return {"type": "event", "event": "output", "what": what, "line": line}
