"""What `status` shows: this session, the broker, and the team, gathered in one look."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.client import identity as identities
from intercom_mux.client.blocking import Client
from intercom_mux.errors import TeamError
from intercom_mux.team import processes
from intercom_mux.team.state import select_team

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.team.proc import Proc
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]


def look(team: str | None, cwd: Path) -> Json:
    """Return `{session, broker, team, tasks, pending}`; parts that are not there are None. Starts nothing.

    Raises:
        TeamError: `team` names none, or several teams run and nothing tells which is meant.
    """
    pane = identities.of_pane()
    state: TeamState | None
    try:
        state = select_team(team, pane.team if pane else None, cwd)
    except TeamError as error:
        if error.code != "E_NO_TEAM" or team is not None:
            raise
        state = None
    seen: Json = {"session": None, "broker": None, "team": None, "tasks": [], "pending": None}
    roster: list[Json] = []
    info = lifecycle.running()
    if info is not None:
        scope = state.id if state and state.isolated else ""
        identity = pane or identities.of_shell(state.id if state else None, scope)
        with Client.connect(identity) as client:
            roster = client.sessions()
            seen["session"] = {"id": identity.session_id, "name": client.name, "waiting": client.waiting}
            seen["broker"] = {**client.request("status"), "socket": info["socket"]}
            seen["tasks"] = client.tasks()
            seen["pending"] = client.request("pending")
    if state is not None:
        seen["team"] = _describe(state, {row["id"]: row for row in roster})
    return seen


def _describe(state: TeamState, roster: dict[str, Json]) -> Json:
    peers = []
    for peer in state.peers.values():
        row = roster.get(peer.session_id)
        peers.append(
            {
                "name": peer.name,
                "role": peer.role,
                "agent": peer.agent,
                "cwd": str(peer.cwd),
                "surface": peer.surface,
                "pid": peer.pid,
                "status": row["status"] if row else _status_without_broker(peer.proc),
                "age_s": round(time.time() - peer.started) if peer.started else None,
            }
        )
    is_watched = state.daemon is not None and processes.is_alive(state.daemon)
    return {
        "id": state.id,
        "name": state.name,
        "project": str(state.project),
        "layout": str(state.layout_path),
        "socket": str(state.socket),
        "daemon": state.daemon.pid if state.daemon and is_watched else None,
        "peers": peers,
        "logs": str(paths.team_state_dir(state.id) / "logs"),
    }


def _status_without_broker(process: Proc | None) -> str:
    """What can be told of a peer that nobody watches: whether its program lives."""
    return "unknown" if process is not None and processes.is_alive(process) else "exited:?"
