"""Applying a plan inside the team daemon: start what is missing, report what differs, take back what fails."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.client import identity as identities
from intercom_mux.errors import TeamError
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.team import native_place, peer_files, processes
from intercom_mux.team.retire import retire
from intercom_mux.team.state import PeerState, TeamState

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.team.peer import TeamPeer
    from intercom_mux.team.plan import PeerPlan, TeamPlan
    from intercom_mux.team.running import RunningTeam

Json = dict[str, Any]

REGISTER_TIMEOUT_S = 10.0
SETTLE_S = 0.15
"""How long a program without a sign of readiness must have lived to count as running."""

LAST_SCREEN_LINES = 12
LAST_WORDS_LOOKS = 8
ASK_MARGIN = 0.85
"""Part of an agent's tool time limit that a blocking ask may use."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a plan means for a running team, as names of peers."""

    missing: list[str]
    running: list[str]
    drifted: list[str]
    extra: list[str]


def compare(plan: TeamPlan, team: TeamState | None, alive: set[str]) -> Difference:
    """Return what is to start, what runs already, what runs but was started from something else, and what is not in
    the plan any more. `alive` are the names whose programs live. Pure.
    """
    known = team.peers if team is not None else {}
    names = [peer.name for peer in plan.peers]
    digests = {peer.name: peer.digest for peer in plan.peers}
    running = [name for name in names if name in alive]
    return Difference(
        missing=[name for name in names if name not in alive],
        running=running,
        drifted=[name for name in running if known[name].spec_digest != digests[name]],
        extra=[name for name in known if name not in digests and name in alive],
    )


async def bring_up(running: RunningTeam, plan: TeamPlan, emit: Callable[[Json], None], *, wait_ready: bool) -> None:
    """Start what the plan misses and wait for it.

    Raises:
        TeamError: A peer ended at once; it is named with its status and last screen, and what this call started is
            taken back.
    """
    running.state.layout_path = Path(plan.layout_path)
    await running.look()
    alive = {name for name, peer in running.peers.items() if peer.state.surface and not peer.has_exited}
    difference = compare(plan, running.state, alive)
    emit({"type": "event", "event": "plan", **_as_json(difference)})
    wanted = [peer for peer in plan.peers if peer.name in difference.missing]
    if not wanted:
        return
    known = set(running.state.peers)
    try:
        await _start(running, plan, wanted, emit)
        await _wait_alive(running, wanted, emit, wait_ready=wait_ready)
    except Exception:
        await _take_back(running, [peer.name for peer in wanted], known)
        raise


def new_state(plan: TeamPlan) -> TeamState:
    """Return the state of a team of which nothing runs yet."""
    return TeamState(
        id=plan.id,
        name=plan.name,
        project=Path(plan.project),
        layout_path=Path(plan.layout_path),
        mux=plan.mux,
        socket=Path(plan.socket),
        created_at=time.time(),
        isolated=plan.is_isolated,
    )


def _as_json(difference: Difference) -> Json:
    return {
        "missing": difference.missing,
        "running": difference.running,
        "drifted": difference.drifted,
        "extra": difference.extra,
    }


async def _start(running: RunningTeam, plan: TeamPlan, wanted: list[PeerPlan], emit: Callable[[Json], None]) -> None:
    """Register the peers, then open their surfaces: an agent may speak as soon as it lives."""
    peer_files.keep_profiles(plan.id, plan.agents)
    running.profiles = peer_files.team_profiles(plan.id)
    ready_to_exec: dict[str, peer_files.Started] = {}
    for peer in wanted:
        token = await _clear_remains(running, peer.name)
        ready = ready_to_exec[peer.name] = peer_files.complete(peer, plan.id)
        running.state.peers[peer.name] = PeerState(
            name=peer.name,
            role=peer.role,
            agent=peer.profile,
            cwd=Path(peer.cwd),
            session_id=peer.session_id,
            token=token or os.urandom(16).hex(),
            spec_digest=peer.digest,
            routes=list(peer.routes),
            reply=peer.reply,
            port=ready.port,
            secret=ready.secret,
        )
    states = running.state.peers
    planned = {peer.name: states[peer.name] for peer in plan.peers if peer.name in states}
    running.state.peers = {**planned, **states}
    # Tokens and names are on disk before anything of them runs, so that `down` works after any crash.
    running.save()
    started = [running.start_peer(peer.name) for peer in wanted]
    await asyncio.gather(*(peer.registered(REGISTER_TIMEOUT_S) for peer in started))
    specs = [_surface(running, plan, peer, ready_to_exec[peer.name]) for peer in wanted]
    await asyncio.to_thread(native_place.serve, {Path(peer.place) for peer in wanted if peer.place})
    surfaces = await asyncio.to_thread(running.mux.open, running.state.name, plan.arrange, specs)
    for name, surface in surfaces.items():
        running.peers[name].adopt(surface)
    await _note_processes(running, list(surfaces))
    emit({"type": "event", "event": "opened", "peers": list(surfaces)})


async def _clear_remains(running: RunningTeam, name: str) -> str | None:
    """Close the dead surface of a peer that is started again; return its token: the session goes on, with its mail."""
    state = running.state.peers.get(name)
    if state is None:
        return None
    if state.surface:
        await asyncio.to_thread(running.mux.close, state.surface)
    await running.drop_peer(name)
    return state.token


def _surface(running: RunningTeam, plan: TeamPlan, peer: PeerPlan, ready: peer_files.Started) -> SurfaceSpec:
    state = running.state.peers[peer.name]
    limit = running.profiles[peer.profile].tool_timeout_s
    file = paths.peer_identity_file(plan.id, peer.name)
    identity = identities.Identity(
        session_id=peer.session_id,
        name=peer.name,
        socket=running.broker,
        scope=plan.id if plan.is_isolated else "",
        team=plan.id,
        token=state.token,
        ask_wait_s=limit * ASK_MARGIN if limit else None,
        supervisor=_supervisor(plan, peer),
    )
    identities.write(file, identity)
    logs = paths.private_dir(paths.team_state_dir(plan.id) / "logs")
    return SurfaceSpec(
        name=peer.name,
        argv=ready.argv,
        cwd=Path(peer.cwd),
        env={**ready.env, paths.IDENTITY_VARIABLE: str(file)},
        unset=peer.unset,
        log=logs / f"{peer.name}.log",
    )


def _supervisor(plan: TeamPlan, peer: PeerPlan) -> identities.Supervisor | None:
    """Return who decides for a peer; None for the supervisor itself, and in a team without one."""
    if plan.supervisor is None or plan.supervisor == peer.name:
        return None
    sessions = {each.name: each.session_id for each in plan.peers}
    index = list(sessions).index(peer.name)
    return identities.Supervisor(sessions[plan.supervisor], plan.supervisor, plan.id, peer.role, index)


async def _note_processes(running: RunningTeam, names: list[str]) -> None:
    """Write down which processes belong to the team, by pid and start time."""
    seen = await asyncio.to_thread(running.mux.states) or {}
    for name in names:
        state = running.state.peers[name]
        surface = seen.get(state.surface or "")
        process = processes.identify(surface.pid) if surface is not None else None
        if process is not None:
            state.pid, state.started = process.pid, process.started
    server = await asyncio.to_thread(running.mux.server_pid)
    running.state.server = processes.identify(server) if server else None
    running.save()


async def _wait_alive(
    running: RunningTeam, wanted: list[PeerPlan], emit: Callable[[Json], None], *, wait_ready: bool
) -> None:
    """Wait until each peer shows that it is ready, or has lived long enough where nothing can show it."""
    begun = asyncio.get_running_loop().time()
    waiting = {peer.name: running.peers[peer.name] for peer in wanted}
    while waiting:
        await running.look()
        lived_s = asyncio.get_running_loop().time() - begun
        for name, peer in list(waiting.items()):
            if peer.has_exited and peer.exit_status != 0:
                raise await _ended_at_once(running, peer)
            event = _verdict(peer, lived_s, wait_ready=wait_ready)
            if event is not None:
                del waiting[name]
                emit({"type": "event", "event": event, "peer": name, "status": peer.status, "after_s": lived_s})
        if waiting:
            await asyncio.sleep(0.02 if lived_s < 1 else 0.1)


def _verdict(peer: TeamPeer, lived_s: float, *, wait_ready: bool) -> str | None:
    if peer.has_exited:
        return "exited"
    if not (peer.shows_readiness and wait_ready):
        return "running" if lived_s >= SETTLE_S else None
    if peer.was_ready:
        return "ready"
    if peer.status.startswith("blocked"):
        return "blocked"
    return "not-ready" if lived_s >= peer.profile.ready_timeout_s else None


async def _last_screen(running: RunningTeam, surface: str) -> str:
    """Return what a dead surface shows; tmux may hear of the death before it has read the last words."""
    for _ in range(LAST_WORDS_LOOKS):
        screen = await asyncio.to_thread(running.mux.capture, surface, 200)
        if screen.strip() and not screen.lstrip().startswith("Pane is dead"):
            break
        await asyncio.sleep(0.03)
    return screen


async def _ended_at_once(running: RunningTeam, peer: TeamPeer) -> TeamError:
    name, surface = peer.state.name, peer.state.surface
    screen = ""
    if surface is not None:
        screen = await _last_screen(running, surface)
    lines = [line for line in screen.rstrip().splitlines() if not line.startswith("Pane is dead")]
    last = "\n".join(f"    {line}" for line in lines[-LAST_SCREEN_LINES:]).rstrip()
    status = peer.status.partition(":")[2]
    return TeamError(
        f"{name} ended at once with status {status}" + (f"; its last screen:\n{last}" if last else ""),
        code="E_PEER_DIED",
        hint=f"mend the command of {name}, then run `intercom-mux up` again; nothing of this start was left running",
        peer=name,
        status=status,
        screen=lines[-LAST_SCREEN_LINES:],
    )


async def _take_back(running: RunningTeam, names: list[str], known: set[str]) -> None:
    """End what a failed start has started; the rest of the team stays as it was.

    Peers `known` before are left as exited ones, with their mail; of the others nothing stays.
    """
    states = [running.state.peers[name] for name in names if name in running.state.peers]
    for state in states:
        await asyncio.to_thread(_end, running, state)
        peer = running.peers.get(state.name)
        if peer is not None and state.name in known:
            peer.observe(None, "")
        else:
            await running.drop_peer(state.name)
    fresh = [state for state in states if state.name not in known]
    await asyncio.to_thread(retire, running.state, fresh, "its start was taken back")
    if not running.state.peers:
        await asyncio.to_thread(running.mux.shutdown)
        running.state.server = None
    running.save()


def _end(running: RunningTeam, state: PeerState) -> None:
    """Close a peer's surface and end all that its program has started."""
    file = paths.peer_identity_file(running.state.id, state.name)
    begun = processes.snapshot([state.proc] if state.proc else [], str(file))
    if state.surface:
        running.mux.close(state.surface)
    processes.end(begun.doomed)
    file.unlink(missing_ok=True)
    peer_files.remove(running.state.id, state.name)
