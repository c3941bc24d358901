"""What `status` shows: this session, the broker, and the team, gathered in one look."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.client import identity as identities
from intercom_mux.client.blocking import Client
from intercom_mux.errors import TeamError
from intercom_mux.team import processes
from intercom_mux.team.state import all_teams, label, select_team

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.team.proc import Proc
    from intercom_mux.team.state import PeerState, TeamState

Json = dict[str, Any]


def look(team: str | None, cwd: Path) -> Json:
    """Return `{session, broker, team, teams, unreadable, tasks, pending}`; parts that are not there are None or empty.

    `teams` is filled, each in short, when several run and nothing tells which is meant; `team` is None then.
    `unreadable` says of which teams the state cannot be read. Starts nothing.

    Raises:
        TeamError: `team` names none or several, or the only team's state cannot be read.
    """
    pane = identities.of_pane()
    state: TeamState | None = None
    several: list[TeamState] = []
    unreadable: list[TeamError] = []
    try:
        state = select_team(team, pane.team if pane else None, cwd, unreadable.append)
    except TeamError as error:
        if error.code not in ("E_NO_TEAM", "E_SEVERAL_TEAMS") or team is not None:
            raise
        if error.code == "E_SEVERAL_TEAMS":
            several = all_teams()
    seen: Json = {"session": None, "broker": None, "team": None, "teams": [], "tasks": [], "pending": None}
    seen["unreadable"] = [error.message for error in unreadable]
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
    rows = {row["id"]: row for row in roster}
    if state is not None:
        seen["team"] = _describe(state, rows)
    seen["teams"] = [_in_short(one, several, rows) for one in several]
    return seen


def _in_short(team: TeamState, teams: list[TeamState], roster: dict[str, Json]) -> Json:
    """Return one team's line; `statuses` counts its peers by status, those that we cannot see as unknown."""
    seen = [roster.get(peer.session_id) for peer in team.peers.values()]
    statuses = Counter(row["status"] or "unknown" if row else "unknown" for row in seen)
    return {
        "id": team.id,
        "name": label(team, teams),
        "project": str(team.project),
        "daemon": _daemon_pid(team),
        "statuses": dict(statuses),
    }


def _daemon_pid(team: TeamState) -> int | None:
    """Return the pid of the team's daemon if it lives."""
    return team.daemon.pid if team.daemon is not None and processes.is_alive(team.daemon) else None


def _describe(state: TeamState, roster: dict[str, Json]) -> Json:
    peers = []
    for peer in state.peers.values():
        row = roster.get(peer.session_id)
        peers.append(
            {
                "name": peer.name,
                "role": peer.role,
                "agent": peer.agent,
                "origin": peer.origin,
                "cwd": str(peer.cwd),
                "surface": peer.surface,
                "pid": peer.pid,
                "status": _status(peer, row),
                "status_since": row["status_since"] if row else None,
                "age_s": round(time.time() - peer.started) if peer.started else None,
            }
        )
    return {
        "id": state.id,
        "name": state.name,
        "project": str(state.project),
        "layout": str(state.layout_path),
        "socket": str(state.socket),
        "daemon": _daemon_pid(state),
        "peers": peers,
        "logs": str(paths.team_state_dir(state.id) / "logs"),
    }


def _status(peer: PeerState, row: Json | None) -> str | None:
    if row is not None:
        return row["status"] or ("connected" if peer.is_reused else None)
    return "away" if peer.is_reused else _status_without_broker(peer.proc)


def _status_without_broker(process: Proc | None) -> str:
    """What can be told of a peer that nobody watches: whether its program lives."""
    return "unknown" if process is not None and processes.is_alive(process) else "exited:?"
