"""Starting and ending single peers of a running team, inside its daemon; the rules about whom stand elsewhere.

`start_peers` and `end_peer` are each other's inverse but for the session: it and its mail go with `forget_peers`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from intercom_mux import paths
from intercom_mux.client import identity as identities
from intercom_mux.errors import TeardownError
from intercom_mux.layout.model import Arrangement
from intercom_mux.mux.base import Respawning, SurfaceSpec
from intercom_mux.mux.environment import base_environment
from intercom_mux.team import native_place, peer_files, processes, status_log
from intercom_mux.team.retire import adopt, release, retire
from intercom_mux.team.state import PeerState
from intercom_mux.team.tokens import token_of
from intercom_mux.transcript.recording import pipe_for
from intercom_mux.transcript.secrets import secrets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.team.plan import PeerPlan, TeamPlan
    from intercom_mux.team.running import RunningTeam

REGISTER_TIMEOUT_S = 10.0
ASK_MARGIN = 0.85
"""Part of an agent's tool time limit that a blocking ask may use."""


async def start_peers(
    running: RunningTeam, plan: TeamPlan, wanted: Sequence[PeerPlan], *, in_place: bool = False
) -> list[str]:
    """Register the peers, open their surfaces, look at them, and return their names: an agent may speak at once.

    One that ran before keeps its session, with its mail; `in_place` its dead surface too, if the multiplexer can. What
    a failure leaves is the caller's to take back.

    Raises:
        MultiplexerError: No surface was opened.
        BrokerError: The broker refuses a peer.
    """
    peer_files.keep_profiles(plan.id, plan.profiles)
    running.profiles = peer_files.team_profiles(plan.id)
    ready_to_exec: dict[str, peer_files.Started] = {}
    dead = await asyncio.to_thread(_dead_surfaces, running, wanted) if in_place else {}
    for peer in wanted:
        token = await _clear_remains(running, peer.name, keeps_surface=peer.name in dead)
        ready = ready_to_exec[peer.name] = peer_files.complete(peer, plan.id)
        running.state.peers[peer.name] = PeerState(
            name=peer.name,
            role=peer.role,
            agent=peer.profile,
            cwd=Path(peer.cwd),
            session_id=peer.session_id,
            token=token or token_of(peer.session_id),
            spec_digest=peer.digest,
            routes=list(peer.routes),
            reply=peer.reply,
            port=ready.port,
            secret=ready.secret,
            origin=peer.origin,
        )
    _order(running, plan)
    # Tokens and names are on disk before anything of them runs, so that `down` works after any crash.
    running.save()
    started = [running.start_peer(peer.name) for peer in wanted]
    await asyncio.gather(*(peer.registered(REGISTER_TIMEOUT_S) for peer in started))
    specs = [_surface(running, plan, peer, ready_to_exec[peer.name]) for peer in wanted]
    if agent_dirs := {Path(peer.place) for peer in wanted if peer.place}:
        await asyncio.to_thread(native_place.serve, agent_dirs)
    arrangement = Arrangement.of(plan.arrange)
    surfaces = {}
    for spec in (spec for spec in specs if spec.name in dead):
        await asyncio.to_thread(cast("Respawning", running.mux).respawn, dead[spec.name], spec)
        surfaces[spec.name] = dead[spec.name]
    fresh = [spec for spec in specs if spec.name not in dead]
    if fresh:
        surfaces |= await asyncio.to_thread(running.mux.open, running.state.name, arrangement, fresh)
    for name, surface in surfaces.items():
        running.peers[name].adopt(surface)
    await _note_processes(running, list(surfaces))
    return list(surfaces)


async def take_in(running: RunningTeam, plan: TeamPlan, wanted: Sequence[PeerPlan]) -> None:
    """Make sessions that registered by themselves peers of the team; nothing is started. Idempotent.

    Raises:
        IntercomError: The broker refuses one of them.
    """
    for peer in wanted:
        before = running.state.peers.get(peer.name)
        if before is not None and before.session_id != peer.session_id:
            await asyncio.to_thread(release, running.state, [before] if before.is_reused else [])
        state = PeerState(
            peer.name, peer.role, peer.profile, Path(peer.cwd), peer.session_id, token="", origin=peer.origin
        )
        await asyncio.to_thread(adopt, running.state, state)
        running.state.peers[peer.name] = state
    _order(running, plan)
    running.save()


def _dead_surfaces(running: RunningTeam, wanted: Sequence[PeerPlan]) -> dict[str, str]:
    """Return name → surface of the peers whose dead surface can have a program again."""
    if not isinstance(running.mux, Respawning):
        return {}
    live = running.mux.states() or {}
    surfaces = {peer.name: running.state.peers[peer.name].surface or "" for peer in wanted}
    return {name: surface for name, surface in surfaces.items() if surface in live and live[surface].is_dead}


async def end_peer(running: RunningTeam, name: str, *, grace_s: float = 2.0, keeps_surface: bool = False) -> None:
    """End a peer's program and all that it has started, and close its surface; its session goes on. Idempotent.

    A reused session is left alone.

    Raises:
        TeardownError: Processes survived KILL; they are named.
    """
    state = running.state.peers[name]
    if state.is_reused:
        return
    survivors = await asyncio.to_thread(_end, running, state, grace_s, keeps_surface)
    if survivors:
        raise TeardownError(
            f"{len(survivors)} processes of {name} survived: {', '.join(map(str, survivors))}",
            hint="look at them with ps; then try again",
            survivors=[{"pid": proc.pid, "command": proc.command} for proc in survivors],
        )


async def forget_peers(running: RunningTeam, names: Sequence[str], reason: str) -> None:
    """Have peers that do not run be no part of the team: who waits for them hears `reason`, a reused one is let go.

    With the last of them the multiplexer's server ends.
    """
    states = [running.state.peers[name] for name in names if name in running.state.peers]
    for state in states:
        await running.drop_peer(state.name, status_log.ENDED)
    await asyncio.to_thread(retire, running.state, states, reason)
    if not running.state.peers:
        await asyncio.to_thread(running.mux.shutdown)
        running.state.server = None
    running.save()


def _order(running: RunningTeam, plan: TeamPlan) -> None:
    """Have the team's peers stand in the order of the plan."""
    states = running.state.peers
    planned = {peer.name: states[peer.name] for peer in plan.peers if peer.name in states}
    running.state.peers = {**planned, **states}


async def _clear_remains(running: RunningTeam, name: str, *, keeps_surface: bool = False) -> str | None:
    """Close the dead surface of a peer that is started again; return its token: the session goes on, with its mail."""
    state = running.state.peers.get(name)
    if state is None:
        return None
    if state.is_reused:
        await asyncio.to_thread(release, running.state, [state])
    if state.surface and not keeps_surface:
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
    env = {**ready.env, paths.IDENTITY_VARIABLE: str(file)}
    ours = [("INTERCOM_MUX_TOKEN", secret) for secret in (state.token, state.secret) if secret]
    secrets = [*ours, *secrets_of({**base_environment(), **env}, plan.secrets)]
    return SurfaceSpec(
        name=peer.name,
        argv=ready.argv,
        cwd=Path(peer.cwd),
        env=env,
        unset=peer.unset,
        log=pipe_for(plan.id, peer.name, secrets),
    )


def _supervisor(plan: TeamPlan, peer: PeerPlan) -> identities.Supervisor | None:
    """Return who decides for a peer; None for the supervisor itself, and in a team without one."""
    if plan.supervisor is None or plan.supervisor == peer.name:
        return None
    sessions = {each.name: each.session_id for each in plan.peers}
    if plan.supervisor not in sessions:
        return None
    index = list(sessions).index(peer.name)
    return identities.Supervisor(sessions[plan.supervisor], plan.supervisor, plan.id, peer.role, index)


async def _note_processes(running: RunningTeam, names: list[str]) -> None:
    """Look at the team, and write down which processes belong to it, by pid and start time."""
    seen = await running.look()
    for name in names:
        state = running.state.peers[name]
        surface = seen.get(state.surface or "")
        process = processes.identify(surface.pid) if surface is not None else None
        if process is not None:
            state.pid, state.started = process.pid, process.started
    server = await asyncio.to_thread(running.mux.server_pid)
    running.state.server = processes.identify(server) if server else None
    running.save()


def _end(running: RunningTeam, state: PeerState, grace_s: float, keeps_surface: bool) -> list[Any]:
    """Close a peer's surface and end all that its program has started; return the survivors."""
    file = paths.peer_identity_file(running.state.id, state.name)
    roots = [state.proc] if state.proc else []
    begun = processes.snapshot(roots, str(file))
    if state.surface and not keeps_surface:
        running.mux.close(state.surface)
        state.surface = None

    def rescan(met: Any) -> tuple[Any, ...]:
        return processes.snapshot(roots, str(file), met=met).doomed

    survivors = processes.end(begun.doomed, grace_s=grace_s, rescan=rescan)
    file.unlink(missing_ok=True)
    peer_files.remove(running.state.id, state.name)
    return survivors
