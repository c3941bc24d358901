"""Changing a team that runs, inside its daemon: add peers, kill some, start some again. All idempotent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import TeamError
from intercom_mux.team import plan_file, status_log
from intercom_mux.team.bring_up import alive_peers, apply
from intercom_mux.team.peer_life import end_peer, forget_peers
from intercom_mux.team.plan import TeamPlan
from intercom_mux.team.state import no_such_peer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intercom_mux.team.running import RunningTeam

Json = dict[str, Any]

_AT_WORK = ("starting", "thinking", "tool", "blocked")


async def carry_out(running: RunningTeam, request: Json, emit: Callable[[Json], None]) -> None:
    """Carry out an `add`, `kill` or `restart` (`team/control.py`).

    Raises:
        TeamError: A peer is unknown (`E_NO_PEER`), reused (`E_REUSED`), at work (`E_PEER_BUSY`), or ended at once.
        TeardownError: Processes survived.
    """
    match request["type"]:
        case "add":
            plan, failed = TeamPlan.from_json(request["plan"]), request.get("failed", {})
            await add(running, plan, emit, wait_ready=request["wait"], failed=failed)
        case "kill":
            await kill(running, request["peers"], emit, idle_only=request["idle_only"])
        case "restart":
            await restart(running, request["peers"], emit, wait_ready=request["wait"])


async def add(
    running: RunningTeam,
    part: TeamPlan,
    emit: Callable[[Json], None],
    *,
    wait_ready: bool,
    failed: Mapping[str, str],
) -> None:
    """Add the peers of `part` to the team; those that live already stay as they are. `failed` are as of `apply`."""
    before = plan_file.recorded(running.state)
    await running.look()
    alive = alive_peers(running)
    names = {peer.name for peer in part.peers}
    missing = [peer.name for peer in part.peers if peer.name not in alive]
    whole = replace(before, peers=(*(peer for peer in before.peers if peer.name not in names), *part.peers))
    emit({"type": "event", "event": "plan", "missing": missing, "running": sorted(names & alive)})
    await apply(running, whole, missing, emit, wait_ready=wait_ready, failed=failed)


async def kill(running: RunningTeam, names: Sequence[str], emit: Callable[[Json], None], *, idle_only: bool) -> None:
    """End peers for good, in the order given; what is no peer is told as `absent`, a reused one is `released`."""
    busy = [name for name in names if name in running.peers and running.peers[name].status.startswith(_AT_WORK)]
    if idle_only and busy:
        raise TeamError(
            f"at work: {', '.join(busy)}",
            code="E_PEER_BUSY",
            hint="wait until they are idle, or end them all the same with `--force`",
            peers=busy,
        )
    for name in names:
        state = running.state.peers.get(name)
        if state is None:
            emit({"type": "event", "event": "absent", "peer": name})
            continue
        await running.disconnect(name, status_log.ENDED)
        await end_peer(running, name)
        await forget_peers(running, [name], f"{name} was ended by `intercom-mux kill`")
        _strike(running, name)
        emit({"type": "event", "event": "released" if state.is_reused else "ended", "peer": name})


async def restart(
    running: RunningTeam, names: Sequence[str], emit: Callable[[Json], None], *, wait_ready: bool
) -> None:
    """End peers and start them from what they were last planned as; their sessions go on, with mail and open asks."""
    plan = plan_file.recorded(running.state)
    planned = {peer.name for peer in plan.peers}
    for name in names:
        if name not in running.state.peers or name not in planned:
            raise no_such_peer(running.state, name)
        if running.state.peers[name].is_reused:
            raise TeamError(
                f"{name} is a session that registered by itself: it is never restarted",
                code="E_REUSED",
                hint=f"restart it where it runs, or `intercom-mux kill {name}` to let go of it",
            )
    emit({"type": "event", "event": "plan", "missing": list(names), "running": []})
    for name in names:
        await running.disconnect(name)
        await end_peer(running, name)
    await apply(running, plan, names, emit, wait_ready=wait_ready)


def _strike(running: RunningTeam, name: str) -> None:
    """Take a peer out of the plan that the team runs by."""
    try:
        plan = plan_file.recorded(running.state)
    except TeamError:
        return
    plan_file.keep(replace(plan, peers=tuple(peer for peer in plan.peers if peer.name != name)))
