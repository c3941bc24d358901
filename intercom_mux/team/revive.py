"""Starting peers again whose programs have ended, inside the daemon, as their layout says (`team/restarts.py`)."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from intercom_mux.errors import IntercomError
from intercom_mux.team import plan_file
from intercom_mux.team.peer_life import end_peer, start_peers

if TYPE_CHECKING:
    from intercom_mux.team.running import RunningTeam
    from intercom_mux.team.state import PeerState

log = logging.getLogger("intercom_mux.team")


def follow(running: RunningTeam) -> list[str]:
    """Tell each clock what was last seen of its peer, have the peers say what comes, and return who is due."""
    now = time.monotonic()
    due = []
    for name, clock in running.clocks.items():
        peer = running.peers.get(name)
        if peer is None:
            continue
        if peer.has_exited:
            clock.ended(peer.exit_status, now)
        else:
            clock.lives()
        peer.announce(clock.words(now))
        if clock.is_due(now):
            due.append(name)
    return due


async def revive(running: RunningTeam, name: str) -> None:
    """Start a peer again: in its place where the multiplexer can, with its session and its mail.

    A failure is in the log, and counts as a restart whose program ended at once.
    """
    clock, before = running.clocks[name], running.state.peers[name]
    clock.begun(time.monotonic())
    try:
        plan = plan_file.recorded(running.state)
        (peer,) = (each for each in plan.peers if each.name == name)
        await end_peer(running, name, keeps_surface=True)
        await start_peers(running, plan, [peer], in_place=True)
        log.info("%s was started again: %s", name, running.state.peers[name].pid)
    except (IntercomError, OSError, ValueError) as error:
        log.warning("%s could not be started again: %s", name, error)
        _stay_ended(running, before)
    # Starting a peer takes it off the list.
    running.clocks[name] = clock


def _stay_ended(running: RunningTeam, before: PeerState) -> None:
    """Leave a peer as it was: ended, in its dead surface, to be tried again."""
    state = running.state.peers.setdefault(before.name, before)
    state.surface = state.surface or before.surface
    peer = running.peers.get(before.name) or running.start_peer(before.name)
    peer.observe(None, "")
    running.save()
