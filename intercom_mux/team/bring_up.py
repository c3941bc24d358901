"""Applying a plan inside the team daemon: start what is missing, report what differs, take back what fails."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux.errors import TeamError
from intercom_mux.team import plan_file, start_order
from intercom_mux.team.peer_life import end_peer, forget_peers, start_peers, take_in
from intercom_mux.team.start_order import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from intercom_mux.team.peer import TeamPeer
    from intercom_mux.team.plan import PeerPlan, TeamPlan
    from intercom_mux.team.running import RunningTeam
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]

SETTLE_S = 0.15
"""How long a program without a sign of readiness must have lived to count as running."""

LAST_SCREEN_LINES = 12
NEVER_RAN = ("126", "127")
"""What shells, `env` and `nice` end with if they cannot run a program."""

LAST_WORDS_LOOKS = 60
HEARTBEAT_S = 20.0
"""How often a long wait tells that it goes on."""


class Difference(NamedTuple):
    """What a plan means for a running team, as names of peers.

    `reused` are sessions to be made its peers, or that are; `extra` are in the file no more; `added` came by `spawn` or
    `scale` and are no drift.
    """

    missing: list[str]
    running: list[str]
    drifted: list[str]
    extra: list[str]
    reused: list[str]
    added: list[str]


def compare(plan: TeamPlan, team: TeamState | None, alive: set[str]) -> Difference:
    """Return what is to start, what runs already, what runs but was started from something else, and what is not in
    the plan any more. `alive` are the names whose programs live. Pure.
    """
    known = team.peers if team is not None else {}
    digests = {peer.name: peer.digest for peer in plan.peers if not peer.is_reused}
    running = [name for name in digests if name in alive]
    others = [peer for peer in known.values() if peer.name not in {each.name for each in plan.peers}]
    return Difference(
        missing=[name for name in digests if name not in alive],
        running=running,
        drifted=[name for name in running if known[name].spec_digest != digests[name]],
        extra=[peer.name for peer in others if peer.is_reused or (peer.origin == "layout" and peer.name in alive)],
        reused=[peer.name for peer in plan.peers if peer.is_reused],
        added=[peer.name for peer in others if peer.origin in ("spawned", "scaled") and peer.name in alive],
    )


async def bring_up(
    running: RunningTeam,
    plan: TeamPlan,
    emit: Callable[[Json], None],
    *,
    wait_ready: bool,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Start what the plan misses and wait for it. `failed` are peers that cannot start, each with the reason.

    Raises:
        TeamError: A peer ended at once; it is named with its status and last screen, and what this call started is
            taken back.
    """
    running.state.layout_path = Path(plan.layout_path)
    await running.look()
    difference = compare(plan, running.state, alive_peers(running))
    emit({"type": "event", "event": "plan", **difference._asdict()})
    whole = _with_added(running, plan)
    names = {*difference.missing, *difference.reused}
    await apply(running, whole, names, emit, wait_ready=wait_ready, failed=failed)


def alive_peers(running: RunningTeam) -> set[str]:
    """Return the names of the team's own peers whose programs live, as was last seen."""
    return {name for name, peer in running.peers.items() if peer.state.surface and not peer.has_exited}


async def apply(
    running: RunningTeam,
    plan: TeamPlan,
    names: Collection[str],
    emit: Callable[[Json], None],
    *,
    wait_ready: bool,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Take in and start the peers of the plan that are in `names`, wait for them, and keep the plan.

    One that is in `failed`, or waits for what never comes, is told by a `not-started` event with its reason.

    Raises:
        TeamError: One ended at once; it is named with its status and last screen, and all that this call started or
            took in is given up.
    """
    known = set(running.state.peers)
    reused = [peer for peer in plan.peers if peer.name in names and peer.is_reused]
    wanted = [peer for peer in plan.peers if peer.name in names and not peer.is_reused]
    try:
        await take_in(running, plan, reused)
        for peer in reused:
            emit({"type": "event", "event": "reused", "peer": peer.name})
        if wanted:
            await _Start(running, plan, emit, wait_ready=wait_ready).run(wanted, failed)
    except Exception:
        await _take_back(running, [peer.name for peer in wanted], known)
        await forget_peers(running, [p.name for p in reused if p.name not in known], "its start was taken back")
        raise
    plan_file.keep(plan)
    running.arm(plan, names)


def _with_added(running: RunningTeam, plan: TeamPlan) -> TeamPlan:
    """Return the plan with the peers that were added to the team since, and that it does not name itself."""
    try:
        before = plan_file.recorded(running.state).peers
    except TeamError:
        return plan
    names = {peer.name for peer in plan.peers}
    added = (peer for peer in before if peer.name in running.state.peers and peer.name not in names)
    return replace(plan, peers=(*plan.peers, *added))


class _Start:
    """One start of peers: those that wait for nobody in one call, the others as what they wait for comes about."""

    def __init__(self, running: RunningTeam, plan: TeamPlan, emit: Callable[[Json], None], *, wait_ready: bool) -> None:
        self._running = running
        self._plan = plan
        self._emit = emit
        self._wait_ready = wait_ready
        self._began = self._told = _now()
        self._begun: dict[str, float] = {}
        self._jobs = {d.peer for peer in plan.peers for d in peer.depends_on if d.condition == "exited-ok"}

    async def run(self, wanted: list[PeerPlan], failed: Mapping[str, str]) -> None:
        """Start all of `wanted` that can be; on return each has shown that it is ready, or lives, or was given up."""
        gone = {name: Progress("failed", "was not started") for name in failed}
        for peer in wanted:
            if peer.name in failed:
                self._give_up(peer, failed[peer.name])
        left = [peer for peer in wanted if peer.name not in failed]
        waiting: dict[str, TeamPeer] = {}
        while left or waiting:
            progress = {peer.name: Progress("waiting") for peer in left} | self._progress(left) | gone
            answers = {peer.name: start_order.verdict(peer.depends_on, progress) for peer in left}
            for peer in (peer for peer in left if answers[peer.name]):
                gone[peer.name] = Progress("failed", "was not started")
                self._give_up(peer, answers[peer.name] or "")
            startable = [peer for peer in left if answers[peer.name] == ""]
            left = [peer for peer in left if answers[peer.name] is None]
            if startable:
                opened = await start_peers(self._running, self._plan, startable)
                self._emit({"type": "event", "event": "opened", "peers": opened})
                self._begun |= dict.fromkeys(opened, _now())
                waiting |= {name: self._running.peers[name] for name in opened}
            else:
                await self._running.look()
            await self._settle(waiting)
            if left or waiting:
                self._tell_of_long_wait(left, waiting)
                await asyncio.sleep(0.02 if _now() - self._began < 1 else 0.1)

    async def _settle(self, waiting: dict[str, TeamPeer]) -> None:
        """Take those that have shown what they are out of `waiting`."""
        for name, peer in list(waiting.items()):
            lived_s = self._lived_s(name)
            if peer.has_exited and peer.exit_status != 0 and name not in self._jobs:
                program = next(plan.argv[0] for plan in self._plan.peers if plan.name == name)
                raise await _ended_at_once(self._running, peer, program)
            event = _verdict(peer, lived_s, wait_ready=self._wait_ready)
            if event is not None:
                del waiting[name]
                self._emit({"type": "event", "event": event, "peer": name, "status": peer.status, "after_s": lived_s})

    def _progress(self, left: list[PeerPlan]) -> dict[str, Progress]:
        """Return how far everybody is that runs and is not about to be started again."""
        names = {peer.name for peer in left}
        return {name: self._progress_of(name, peer) for name, peer in self._running.peers.items() if name not in names}

    def _progress_of(self, name: str, peer: TeamPeer) -> Progress:
        if peer.has_exited:
            is_well = peer.exit_status == 0
            return Progress("exited-ok") if is_well else Progress("failed", f"ended with status {peer.exit_status}")
        lived_s = self._lived_s(name)
        if peer.was_ready and (peer.shows_readiness or lived_s >= SETTLE_S):
            return Progress("ready")
        if peer.shows_readiness and lived_s >= peer.profile.ready_timeout_s:
            return Progress("failed", f"is not ready ({peer.status})")
        return Progress("started")

    def _lived_s(self, name: str) -> float:
        """Return for how long a peer has run, as far as this start knows."""
        return _now() - self._begun.get(name, self._began)

    def _give_up(self, peer: PeerPlan, reason: str) -> None:
        self._emit({"type": "event", "event": "not-started", "peer": peer.name, "reason": reason})

    def _tell_of_long_wait(self, left: list[PeerPlan], waiting: Collection[str]) -> None:
        if _now() - self._told >= HEARTBEAT_S:
            self._told = _now()
            self._emit({"type": "event", "event": "still", "waiting": [*waiting, *(peer.name for peer in left)]})


def _now() -> float:
    return time.monotonic()


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
    """Return what a dead surface shows; tmux may hear of the death before it has read the last words.

    A busy kernel may drop what a program printed in its last milliseconds: the end of a session empties its terminal.
    """
    for _ in range(LAST_WORDS_LOOKS):
        screen = await asyncio.to_thread(running.mux.capture, surface, 200)
        if screen.strip() and not screen.lstrip().startswith("Pane is dead"):
            break
        await asyncio.sleep(0.03)
    return screen


async def _ended_at_once(running: RunningTeam, peer: TeamPeer, program: str) -> TeamError:
    name, surface = peer.state.name, peer.state.surface
    screen = ""
    if surface is not None:
        screen = await _last_screen(running, surface)
    lines = [line for line in screen.rstrip().splitlines() if not line.startswith("Pane is dead")]
    last = "\n".join(f"    {line}" for line in lines[-LAST_SCREEN_LINES:]).rstrip()
    status = peer.status.partition(":")[2]
    never_ran = f", as a program that cannot be run does ({program})" if status in NEVER_RAN else ""
    return TeamError(
        f"{name} ended at once with status {status}{never_ran}" + (f"; its last screen:\n{last}" if last else ""),
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
    fresh = []
    started = [name for name in names if name in running.state.peers]
    # What survives is found again by `down`; here the first failure is the one to tell.
    await asyncio.gather(*(end_peer(running, name) for name in started), return_exceptions=True)
    for name in started:
        peer = running.peers.get(name)
        if peer is not None and name in known:
            peer.observe(None, "")
        else:
            fresh.append(name)
    await forget_peers(running, fresh, "its start was taken back")
