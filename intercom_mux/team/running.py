"""A team that runs, as its daemon holds it: state on disk, multiplexer, peers, and one look at all of them."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from intercom_mux.client.link import now_ms
from intercom_mux.errors import IntercomError
from intercom_mux.team import alarm, message_rules, status_log
from intercom_mux.team import state as team_states
from intercom_mux.team.daemon_screen import DaemonScreen
from intercom_mux.team.multiplexer import multiplexer_of
from intercom_mux.team.notify import Notifier
from intercom_mux.team.peer import TeamPeer
from intercom_mux.team.peer_files import team_profiles
from intercom_mux.team.processes import identify
from intercom_mux.team.restarts import RestartClock
from intercom_mux.team.sidebar import Sidebar
from intercom_mux.team.task_feed import TaskFeed

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from intercom_mux.agents.profile import Channel
    from intercom_mux.mux.base import Multiplexer, SurfaceState
    from intercom_mux.team.plan import TeamPlan
    from intercom_mux.team.state import TeamState
    from intercom_mux.team.typing_log import TypingLog


class RunningTeam:
    """Everything that runs for one team. Lives on the daemon's event loop; `broker` is the broker's socket."""

    def __init__(self, state: TeamState, broker: Path, typing_log: TypingLog) -> None:
        self.state = state
        self.broker = broker
        self.mux: Multiplexer = multiplexer_of(state)
        self.profiles = team_profiles(state.id)
        self.peers: dict[str, TeamPeer] = {}
        self._typing_log = typing_log
        begun_ms = now_ms()
        self._notifier = Notifier(state, self.mux, begun_ms)
        self._sidebar = Sidebar(self.mux, begun_ms)
        self._screen_of_daemon = DaemonScreen(state.name, sys.stdout)
        self._supervisor: str | None = None
        self._feed = TaskFeed(state, broker)
        self._following = asyncio.create_task(self._feed.run())
        self.clocks: dict[str, RestartClock] = {}
        state.daemon = identify(os.getpid())
        for name, peer in state.peers.items():
            if not peer.is_reused:
                self.start_peer(name)
        self.save()

    def start_peer(self, name: str) -> TeamPeer:
        """Connect a peer of the team's state to the broker."""
        state = self.state.peers[name]
        rules = message_rules.load_or_default()
        # What the peer was started with may be less than its profile offers.
        profile = replace(
            self.profiles[state.agent],
            routes=tuple(state.routes),
            reply=cast("Channel", state.reply),
            reply_hint=rules.reply_hint,
            inbound=rules.inbound,
        )
        peer = TeamPeer(self.state, state, profile, self.mux, self._typing_log)
        self.peers[name] = peer
        peer.start(self.broker)
        return peer

    async def disconnect(self, name: str, last: str = status_log.STOPPED) -> None:
        """Hang up for a peer: nothing is given to it or told of it any more, and its mail waits at the broker.

        It is not restarted either. `last` is recorded as what became of it (`team/status_log.py`).
        """
        self.clocks.pop(name, None)
        peer = self.peers.pop(name, None)
        if peer is not None:
            await peer.stop(last)

    def arm(self, plan: TeamPlan, names: Collection[str]) -> None:
        """Have the peers of `names` that run restarted from now on as the plan says, with no restart counted yet."""
        self._supervisor = plan.supervisor
        for peer in plan.peers:
            if peer.name in names and peer.name in self.peers and peer.restart.policy != "no":
                self.clocks[peer.name] = RestartClock(peer.restart)

    async def drop_peer(self, name: str, last: str = status_log.STOPPED) -> None:
        """Disconnect a peer and forget it; its surface is somebody else's business."""
        await self.disconnect(name, last)
        self.state.peers.pop(name, None)

    async def stop(self) -> None:
        """Disconnect every peer; panes run on and mail waits at the broker."""
        self._following.cancel()
        ending = (self._notifier.stop(), *(peer.stop() for peer in self.peers.values()))
        await asyncio.gather(asyncio.wait([self._following]), *ending)

    def save(self) -> None:
        """Write the team's state to disk."""
        team_states.save(self.state)

    @property
    def is_busy(self) -> bool:
        """Whether to look often."""
        return any(peer.is_busy for peer in self.peers.values())

    async def look(self) -> dict[str, SurfaceState]:
        """Look at every surface once, tell each peer what was seen, and return it by surface.

        Surfaces opened meanwhile are left out.
        """
        watched = [(peer, peer.state.surface) for peer in self.peers.values() if peer.state.surface]
        if not watched:
            return {}
        seen = await asyncio.to_thread(self.mux.states) or {}
        for peer, surface in watched:
            state = seen.get(surface)
            screen = await self._screen(peer, state)
            if peer.state.surface == surface:
                peer.observe(state, screen)
        statuses = {name: peer.status for name, peer in self.peers.items()}
        known = self._feed.tasks
        tasks = list((known or {}).values())
        self._notifier.look(statuses, None if known is None else tasks, self._asks_to_person())
        self._screen_of_daemon.look(statuses, tasks)
        await self._sidebar.look(statuses, None if known is None else tasks)
        return seen

    def _asks_to_person(self) -> list[alarm.Condition]:
        """Return the asks that wait for the person at the supervisor's terminal."""
        peer = self.peers.get(self._supervisor or "")
        return alarm.of_asks(peer.state.name, peer.asks_to_person) if peer is not None else []

    async def _screen(self, peer: TeamPeer, surface: SurfaceState | None) -> str:
        if surface is None or surface.is_dead or not peer.needs_screen:
            return ""
        try:
            return await asyncio.to_thread(self.mux.capture, surface.id)
        except IntercomError:
            return ""
