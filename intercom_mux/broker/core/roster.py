"""How sessions are shown to others: the roster, one session's description, and word of every change.

Source of the rules: docs/protocol.md, "Sessions".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.broker.core.addresses import shown_name, team_label
from intercom_mux.wire.frames import MAX_FRAME_BYTES, dump
from intercom_mux.wire.messages import required_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intercom_mux.broker.core.model import BrokerState, Connection, Json, Session

_VIEWS_CACHED = 8


def answer_list(state: BrokerState, connection: Connection, frame: Json, _now: int) -> None:
    """Answer `list`: every connected session of the scope, the asker included, in order of registration.

    A roster that would not fit a frame is cut at its end.
    """
    request_id = required_id(frame, "requestId")
    me = connection.session
    if me is None or not me.owns(connection):
        state.close(connection.id)
        return
    shown = [s for s in state.sessions.values() if s.key.scope == me.key.scope and (s.is_connected or s is me)]
    shown.sort(key=lambda session: session.order)
    head = dump({"type": "sessions", "requestId": request_id})[:-1] + b',"sessions":['
    rows: list[bytes] = []
    room = MAX_FRAME_BYTES - len(head) - 2
    for session in shown:
        row = describe(state, session, connection.view)
        room -= len(row) + 1
        if room < 0:
            break
        rows.append(row)
    state.write_raw(connection.id, head + b",".join(rows) + b"]}")


def describe(state: BrokerState, session: Session, view: str | None) -> bytes:
    """Return the session's SessionInfo as JSON, named as a viewer in team `view` sees it."""
    cached = session.info_cache.get(view)
    if cached is not None:
        return cached
    value: Json = {"id": session.key.id, "endpointEpoch": session.epoch}
    name = shown_name(state, session, view)
    if name is not None:
        value["name"] = name
    value.update(session.info)
    value.setdefault("trustedLocal", True)
    own: Json = {"kind": session.kind}
    if session.status:
        own["statusSince"] = session.status_since
    if session.role is not None:
        own["role"] = session.role
    if session.team is not None:
        own["team"] = team_label(state, session.team.id)
        own["teamId"] = session.team.id
    value["mux"] = own
    encoded = dump(value)
    if len(session.info_cache) < _VIEWS_CACHED:
        session.info_cache[view] = encoded
    return encoded


def addressee(state: BrokerState, session: Session, view: str | None) -> bytes:
    """Return what `delivered` tells a client of ours about the receiver: further members of that frame."""
    cached = session.addressee_cache.get(view)
    if cached is None:
        name = shown_name(state, session, view) or session.key.id
        value = {"to": name, "targetId": session.key.id, "status": session.status}
        cached = b"," + dump(value)[1:-1]
        if len(session.addressee_cache) < _VIEWS_CACHED:
            session.addressee_cache[view] = cached
    return cached


def changed(session: Session) -> None:
    """Drop what was encoded of a session's facts."""
    session.info_cache.clear()
    session.addressee_cache.clear()


def broadcast(state: BrokerState, subject: Session, kind: str) -> None:
    """Tell the others of its scope about `subject`, in a frame of type `kind`."""
    head = b'{"type":"' + kind.encode() + b'","session":'
    for watcher in _watchers(state, subject):
        state.write_raw(watcher.id, head + describe(state, subject, watcher.view) + b"}")


def broadcast_left(state: BrokerState, subject: Session) -> None:
    """Tell the others of its scope that `subject` has left."""
    for watcher in _watchers(state, subject):
        state.write(watcher.id, {"type": "session_left", "sessionId": subject.key.id})


def _watchers(state: BrokerState, subject: Session) -> Iterator[Connection]:
    for session in state.sessions.values():
        watcher = session.endpoint
        is_other = session is not subject and session.key.scope == subject.key.scope
        if is_other and watcher is not None and watcher.wants_events:
            yield watcher
    for handle in state.listeners.values():
        if handle.session is not None and handle.session.key.scope == subject.key.scope:
            yield handle
