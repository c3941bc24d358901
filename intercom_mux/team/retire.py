"""Telling the broker that sessions of a team are over for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.client.blocking import Client
from intercom_mux.client.identity import Identity
from intercom_mux.errors import IntercomError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.team.state import PeerState, TeamState


def retire(team: TeamState, peers: Sequence[PeerState], reason: str) -> bool:
    """Have the broker forget `peers`: senders of waiting messages and open asks hear `reason`.

    The team's tasks are forgotten too unless it has other peers. Returns whether a broker was there to hear it; without
    one the mail simply expires. Idempotent.
    """
    if not peers or lifecycle.probe(paths.broker_socket()) is None:
        return False
    scope = team.id if team.isolated else ""
    sessions = [{"id": peer.session_id, "token": peer.token} for peer in peers]
    names = {peer.name for peer in peers}
    over = team.id if names.issuperset(team.peers) else ""
    for peer in peers:
        identity = Identity(peer.session_id, peer.name, paths.broker_socket(), scope, team.id, peer.token)
        try:
            with Client.connect(identity) as client:
                client.request("retire", sessions=sessions, scope=scope, team=over, reason=reason)
            return True
        except IntercomError:
            # This one is unknown to the broker; another may speak for all.
            continue
    return False
