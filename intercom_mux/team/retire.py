"""Telling the broker whom a team takes in, and who is over for good or let go."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.client.blocking import Client
from intercom_mux.client.identity import Identity, of_shell
from intercom_mux.errors import BrokerError, IntercomError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.team.state import PeerState, TeamState


def retire(team: TeamState, peers: Sequence[PeerState], reason: str) -> None:
    """Have the broker forget `peers`: senders of waiting messages and open asks hear `reason`.

    Those that are reused sessions are let go of instead. The team's tasks are forgotten too unless it has other peers.
    Idempotent.

    Raises:
        BrokerError: None could be started where none ran, or it was lost: the next would still have their ids reserved.
    """
    release(team, [peer for peer in peers if peer.is_reused])
    peers = [peer for peer in peers if not peer.is_reused]
    if not peers:
        return
    lifecycle.ensure_running()
    scope = team.id if team.isolated else ""
    sessions = [{"id": peer.session_id, "token": peer.token} for peer in peers]
    names = {peer.name for peer in (*peers, *(each for each in team.peers.values() if each.is_reused))}
    over = team.id if names.issuperset(team.peers) else ""
    for peer in peers:
        identity = Identity(peer.session_id, peer.name, paths.broker_socket(), scope, team.id, peer.token)
        try:
            with Client.connect(identity) as client:
                client.request("retire", sessions=sessions, scope=scope, team=over, reason=reason)
            return
        except BrokerError as error:
            # One that is unknown to the broker does not matter; another may speak for all.
            if error.code != "E_REFUSED":
                raise


def adopt(team: TeamState, peer: PeerState) -> None:
    """Have the broker make a session a peer of the team (docs/protocol.md, "Adopted sessions"). Idempotent.

    Raises:
        DeliveryError: It is gone, belongs to another team, or the team has another peer of its name.
        BrokerError: No broker answers.
    """
    known = {"id": team.id, "name": team.name, "dir": str(team.project)}
    with Client.connect(_speaker(team)) as client:
        client.request("adopt", session=peer.session_id, team=known, role=peer.role)


def release(team: TeamState, peers: Sequence[PeerState]) -> None:
    """Let go of reused sessions: they go on as they were before. Idempotent; nothing to do without a broker."""
    if not peers or lifecycle.probe(paths.broker_socket()) is None:
        return
    with suppress(IntercomError), Client.connect(_speaker(team)) as client:
        for peer in peers:
            client.request("release", session=peer.session_id, team=team.id)


def _speaker(team: TeamState) -> Identity:
    """Return a session to ask the broker as: this process's shell, in the team's scope."""
    return of_shell(team.id, team.id if team.isolated else "")
