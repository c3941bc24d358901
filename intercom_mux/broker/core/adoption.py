"""Sessions that registered by themselves and fill a place in a team, until they are released.

An adopted session keeps its id, its connection and its name; it is shown, addressed and sees others as a peer of the
team does. Nothing else of it is the team's. Source of the rules: docs/protocol.md, "Adopted sessions".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.broker.core import roster
from intercom_mux.broker.core.addresses import is_present
from intercom_mux.broker.core.delivery import Refusal
from intercom_mux.broker.core.model import SessionKey, Team
from intercom_mux.errors import ProtocolError
from intercom_mux.wire.messages import MAX_SHOWN_CHARS, is_id

if TYPE_CHECKING:
    from intercom_mux.broker.core.model import BrokerState, Connection, Json, Session


def is_adopted(session: Session) -> bool:
    """Whether a team has it that did not register it."""
    return session.team is not None and session.kind != "peer"


def adopt(state: BrokerState, me: Session, frame: Json) -> Session:
    """Make a session outside every team a team's peer, under the name it has; the same again changes nothing."""
    team = _team(frame)
    session = state.sessions.get(SessionKey(me.key.scope, _session_id(frame)))
    if session is None or not is_present(session):
        raise Refusal("E_TARGET_NOT_FOUND", "Session not found")
    if session.team is not None and (session.kind == "peer" or session.team.id != team.id):
        raise Refusal("E_IN_TEAM", f'Session "{session.key.id}" belongs to team {session.team.name}')
    holders = state.by_name.get((session.key.scope, (session.name or "").casefold()), set()) - {session}
    if not session.name or any(other.team is not None and other.team.id == team.id for other in holders):
        raise Refusal("E_NAME_TAKEN", f"Team {team.name} has a peer of that name, or the session has none")
    role = frame.get("role")
    session.team = state.teams.setdefault(team.id, team)
    session.role = role if type(role) is str and role else session.role
    _look_from(state, session, team.id)
    return session


def release(state: BrokerState, me: Session, frame: Json) -> list[Session]:
    """Let go of one adopted session of a team, or of all of them; what is not there is left alone."""
    team_id = frame.get("team")
    if not is_id(team_id) or ("session" in frame and not is_id(frame["session"])):
        raise ProtocolError("mux.team and mux.session must be ids")
    wanted = frame.get("session")
    released = [
        session
        for session in state.sessions.values()
        if is_adopted(session)
        and session.team is not None
        and session.team.id == team_id
        and session.key.scope == me.key.scope
        and wanted in (None, session.key.id)
    ]
    for session in released:
        session.team = session.role = None
        _look_from(state, session, None)
    return released


def tell(state: BrokerState, session: Session) -> None:
    """Let others hear how the session is called now, and itself how its team's peers are."""
    roster.changed(session)
    roster.broadcast(state, session, "presence_update")
    endpoint = session.endpoint
    if endpoint is None or session.team is None:
        return
    for other in state.sessions.values():
        is_mate = other is not session and other.team is not None and other.team.id == session.team.id
        if is_mate and other.is_connected and other.key.scope == session.key.scope and endpoint.wants_events:
            head = b'{"type":"presence_update","session":'
            state.write_raw(endpoint.id, head + roster.describe(state, other, endpoint.view) + b"}")


def _look_from(state: BrokerState, session: Session, view: str | None) -> None:
    """Have its connections use the bare names of its team, or of none."""
    ends: list[Connection] = [state.connections[number] for number in sorted(session.handles)]
    for connection in [*ends, *filter(None, (session.endpoint,))]:
        connection.view = view


def _session_id(frame: Json) -> str:
    session_id = frame.get("session")
    if type(session_id) is not str or not is_id(session_id):
        raise ProtocolError("mux.session must be an id")
    return session_id


def _team(frame: Json) -> Team:
    team = frame.get("team")
    if type(team) is not dict or not all(type(team.get(key)) is str and team[key] for key in ("id", "name", "dir")):
        raise ProtocolError("mux.team must have id, name and dir")
    if not is_id(team["id"]):
        raise ProtocolError("mux.team.id must be an id")
    return Team(team["id"], team["name"][:MAX_SHOWN_CHARS], team["dir"][:MAX_SHOWN_CHARS])
