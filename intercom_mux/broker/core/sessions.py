"""Sessions come, change and go: register, unregister, presence, retire.

Source of the rules: docs/protocol.md, "Sessions".
"""

from __future__ import annotations

from hmac import compare_digest

from intercom_mux.broker.core import adoption, asks, delivery, endings, extensions, identity, native, roster, takeover
from intercom_mux.broker.core.addresses import set_name
from intercom_mux.broker.core.model import BrokerState, Connection, Json, Session, SessionKey, Team
from intercom_mux.errors import ProtocolError
from intercom_mux.wire.frames import dump
from intercom_mux.wire.messages import (
    CONTEXT_FIELDS,
    MAX_ID_CHARS,
    MAX_SHOWN_CHARS,
    check_mux,
    check_presence,
    check_registration,
    is_id,
)

FEATURES = ["extension-bus-v1", "exact-send-v1"]
OWN_FEATURES = [*FEATURES, "mux-v1"]


def register(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Make `connection` the endpoint of a session, or a handle of one (`mux.as`)."""
    if connection.session is not None:
        raise ProtocolError("already registered")
    info = check_registration(frame.get("session"))
    info["trustedLocal"] = connection.secret is None
    session_id = frame.get("sessionId")
    if "sessionId" in frame and not (is_id(session_id) and str(session_id).strip()):
        raise ProtocolError(f"register.sessionId must be a non-blank string of at most {MAX_ID_CHARS}")
    scope = frame.get("scopeId", "")
    if not is_id(scope):
        raise ProtocolError(f"register.scopeId must be a string of at most {MAX_ID_CHARS}")
    capabilities = extensions.check_capabilities(frame["session"].get("extensions", []))
    mux = check_mux(frame["mux"]) if type(frame.get("mux")) is dict else None
    connection.is_handle = False
    connection.wants_events = mux is None or mux.get("events") is True
    if mux is not None:
        connection.generation = "mux"
        if "as" in mux:
            _attach_handle(state, connection, SessionKey(scope.strip(), mux["as"]), info, mux, now)
            return
    else:
        connection.generation = "v1" if session_id is not None else "old"
    key = SessionKey(scope.strip(), session_id or next(state.new_epoch))
    _attach_endpoint(state, connection, key, info, capabilities, mux or {}, now)


def _attach_endpoint(
    state: BrokerState,
    connection: Connection,
    key: SessionKey,
    info: Json,
    capabilities: dict[str, bool],
    mux: Json,
    now: int,
) -> None:
    session = state.sessions.get(key)
    is_agents_own, is_keeper = native.may_join(session, connection), mux.get("native") is True
    if session is not None and (reason := _refusal(state, session, connection, info, mux, now)):
        _refuse(state, connection, reason)
        return
    if session is None:
        if sum(1 for s in state.sessions.values() if s.endpoint) >= state.limits.sessions:
            _refuse(state, connection, "Too many registered intercom sessions")
            return
        session = Session(key, "agent", state.next_order, {}, now)
        state.next_order += 1
        state.sessions[key] = session
    elif session.is_connected:
        if is_keeper or (session.is_native and not is_agents_own):
            native.replace_keeper(state, session)
        if not is_keeper:
            takeover.displace(state, session)
    else:
        session.order = state.next_order
        state.next_order += 1
    shown = {k: v for k, v in info.items() if k not in native.OWN_FIELDS or (k != "name" and not is_agents_own)}
    if connection.uid is not None:
        shown["peerUid"] = connection.uid
    if not is_agents_own:
        _take_own_fields(state, session, info.get("name"), mux)
    connection.session = session
    connection.view = session.team.id if session.team else None
    session.seen_at = now
    if is_keeper:
        session.keeper, session.kept_info = connection, dict(shown)
    if is_keeper and native.is_joined(session):
        registered(state, connection, session)
        native.kept(state, session, mux.get("keeps", []), now)
        return
    session.endpoint = None if is_keeper else connection
    session.epoch = next(state.new_epoch)
    session.broadcast_at = now
    status = session.status
    session.info = shown
    if session.status != status or not session.status_since:
        # A broker that is new does not know for how long a session has been so, which its owner does.
        session.status_since = min(now, max(0, int(mux.get("statusSince", now))))
    roster.changed(session)
    remember(state, session)
    registered(state, connection, session)
    roster.broadcast(state, session, "session_joined")
    before, session.capabilities = session.capabilities, capabilities
    extensions.elect(state, key.scope, [*before, *capabilities])
    if is_keeper:
        native.kept(state, session, mux.get("keeps", []), now)
    elif session.is_native:
        native.joined(state, session)
    identity.inherit(state, session)
    delivery.flush(state, session, now)
    extensions.welcome(state, session)


def _refusal(
    state: BrokerState, session: Session, connection: Connection, info: Json, mux: Json, now: int
) -> str | None:
    """Return why this registration may not have the session, None if it may."""
    is_agents_own = native.may_join(session, connection)
    if session.token is not None and not is_agents_own and not _same(session.token, mux.get("token")):
        return f'Session id "{session.key.id}" is reserved by a team'
    is_teams_own = mux.get("native") is True or (session.is_native and not is_agents_own)
    if is_teams_own or not takeover.is_contested(state, session, info, now):
        return None
    reason = f'Session id "{session.key.id}" is in use by process {session.info["pid"]}, and taken over too often'
    state.effects.warnings.append(f"{reason}; refused process {info['pid']}")
    return reason


def _take_own_fields(state: BrokerState, session: Session, name: str | None, mux: Json) -> None:
    """Take the name, and team, role and token from a registration of ours; a v1 registration brings none of these.

    An adopted session keeps the name, the role and the team that it has.
    """
    team = mux.get("team")
    session.token = mux.get("token")
    session.is_native = mux.get("native") is True
    if adoption.is_adopted(session) and team is None:
        return
    set_name(state, session, name)
    session.role = mux.get("role")
    session.team = None
    if team is not None:
        session.team = Team(team["id"], team["name"], team["dir"][:MAX_SHOWN_CHARS])
        session.kind = "peer"
        if session.team.id not in state.teams:
            state.teams[session.team.id] = session.team
            relabel(state)


def relabel(state: BrokerState) -> None:
    """A team came or went: the labels of others may have changed."""
    for session in state.sessions.values():
        roster.changed(session)


def _attach_handle(
    state: BrokerState, connection: Connection, key: SessionKey, info: Json, mux: Json, now: int
) -> None:
    """Let a short-lived connection act as `key`: a team peer by its token, a shell simply by its id."""
    session = state.sessions.get(key)
    if session is None and mux.get("shell") is True:
        session = Session(key, "shell", state.next_order, {k: v for k, v in info.items() if k != "name"}, now)
        state.next_order += 1
        session.epoch = next(state.new_epoch)
        state.sessions[key] = session
        set_name(state, session, info.get("name"))
        remember(state, session)
        state.set_timer(now + state.limits.session_memory, "session", key)
    if session is None:
        _refuse(state, connection, f'Session "{key.id}" is not registered')
        return
    if session.token is not None and not _same(session.token, mux.get("token")):
        _refuse(state, connection, f'Wrong token for session "{key.id}"')
        return
    connection.session = session
    connection.is_handle = True
    connection.wants_events = mux.get("events") is True
    if connection.wants_events:
        state.listeners[connection.id] = connection
    view = mux.get("view") if mux.get("view") in state.teams else None
    connection.view = session.team.id if session.team else view
    session.handles.add(connection.id)
    session.seen_at = now
    if session.kind == "shell":
        session.info.update({key: info[key] for key in ("cwd", "pid", "lastActivity")})
        roster.changed(session)
    registered(state, connection, session)


def registered(state: BrokerState, connection: Connection, session: Session) -> None:
    """Write the `registered` frame, the first one that a connection gets."""
    answer: Json = {"type": "registered", "sessionId": session.key.id}
    if connection.generation == "mux":
        answer["features"] = OWN_FEATURES
        answer["name"] = session.name or ""
        answer["waiting"] = len(session.mailbox)
    else:
        answer["features"] = FEATURES
    state.write(connection.id, answer)


def _same(known: str, given: object) -> bool:
    return type(given) is str and compare_digest(known.encode(), given.encode())


def _refuse(state: BrokerState, connection: Connection, reason: str) -> None:
    state.write(connection.id, {"type": "error", "error": reason})
    state.close(connection.id)


def unregister(state: BrokerState, connection: Connection, _frame: Json, now: int) -> None:
    """Take `connection` off its session; it may register again."""
    leave(state, connection, now)
    connection.opened_at = now
    state.set_timer(now + state.limits.register_within, "register", connection.id)


def leave(state: BrokerState, connection: Connection, now: int) -> None:
    """Detach a connection: its blocking asks become tickets; an endpoint's session is remembered."""
    session, connection.session = connection.session, None
    if session is None:
        return
    session.seen_at = now
    delivery.requeue(connection)
    if connection.generation == "mux":
        asks.release_waiter(state, connection.id)
    if connection.is_handle:
        session.handles.discard(connection.id)
        state.listeners.pop(connection.id, None)
        delivery.flush(state, session, now)
        return
    is_keeper = session.keeper is connection
    if is_keeper:
        session.keeper, session.is_yielding = None, False
        if session.endpoint is not connection:
            delivery.flush(state, session, now)
    if session.endpoint is not connection and not (is_keeper and session.endpoint is None):
        return
    session.endpoint = None
    session.guarded_until = 0
    session.takeovers.clear()
    if session.keeper is not None:
        native.left(state, session, now)
        _follow_status(state, session, now)
        return
    remember(state, session)
    state.set_timer(now + state.limits.session_memory, "session", session.key)
    roster.broadcast_left(state, session)
    extensions.elect(state, session.key.scope, session.capabilities)


def retire(state: BrokerState, session: Session, now: int, reason: str, spare: Connection | None = None) -> None:
    """Forget a session for good: its mail goes back to the senders as notices, its asks end with `reason`.

    Its connections are ended, except `spare`, which may register again.
    """
    asks.end_all_of(state, session, now, reason)
    endings.refuse_all(state, session, now, reason)
    endpoint, session.endpoint = session.endpoint, None
    keeper, session.keeper = session.keeper, None
    handles = [state.connections[number] for number in sorted(session.handles)]
    for connection in dict.fromkeys([*handles, *filter(None, (endpoint, keeper))]):
        leave(state, connection, now)
        if connection is not spare:
            state.close(connection.id)
    if endpoint is not None or keeper is not None:
        roster.broadcast_left(state, session)
        extensions.elect(state, session.key.scope, session.capabilities)
    set_name(state, session, None)
    state.sessions.pop(session.key, None)
    if session.team is not None:
        forget_team_if_empty(state, session.team.id)
    state.record("retire", tuple(session.key))


def forget_team_if_empty(state: BrokerState, team_id: str) -> bool:
    """Forget a team that no session belongs to any more, and return whether that was so."""
    if any(session.team and session.team.id == team_id for session in state.sessions.values()):
        return False
    state.teams.pop(team_id, None)
    relabel(state)
    return True


def forget_if_unused(state: BrokerState, session: Session, now: int) -> None:
    """Forget a session that nobody has used for as long as sessions are remembered; team peers stay until retired."""
    if session.kind == "peer" or session.endpoint is not None:
        return
    due = (now if session.handles else session.seen_at) + state.limits.session_memory
    if due > now:
        state.set_timer(due, "session", session.key)
        return
    retire(state, session, now, "its session was not seen again")


def presence(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Take changed facts about a session; tell the others if anything changed, or a second after the last time."""
    changes = check_presence(frame)
    session = connection.session
    if session is None:
        return
    if session.keeper is connection:
        session.kept_info.update(changes)
        if native.is_joined(session):
            return
    elif session.endpoint is not connection and session.kind != "shell":
        return
    if native.is_joined(session) or adoption.is_adopted(session):
        changes = {key: value for key, value in changes.items() if key not in native.OWN_FIELDS}
    before = session.status
    is_changed = _apply(state, session, changes)
    if session.status != before:
        session.status_since = now
    session.info["lastActivity"] = now
    roster.changed(session)
    if is_changed or now - session.broadcast_at >= state.limits.presence_interval:
        session.broadcast_at = now
        roster.broadcast(state, session, "presence_update")
    if session.status != before:
        native.tell_presence(state, session)
        _follow_status(state, session, now)


def _apply(state: BrokerState, session: Session, changes: Json) -> bool:
    is_changed = False
    for key, value in changes.items():
        if key == "name":
            is_changed |= session.name != value
            set_name(state, session, value)
        elif value is None:
            is_changed |= session.info.pop(key, None) is not None
        elif session.info.get(key) != value:
            session.info[key] = value
            is_changed = True
    if "name" in changes:
        remember(state, session)
    return is_changed


def _follow_status(state: BrokerState, session: Session, now: int) -> None:
    """A turn that is over has no active ask; a program that has exited answers nothing any more."""
    if session.status == "idle":
        session.active_ask = None
    elif session.status.startswith("exited"):
        session.active_ask = None
        name = session.name or session.key.id
        asks.end_asked(state, session, now, f"{name} has {session.status.replace(':', ' with status ')}")


def remember(state: BrokerState, session: Session) -> None:
    """Have the journal keep the session, so that its mail finds it after a restart."""
    team = session.team
    state.record(
        "session",
        tuple(session.key),
        session.kind,
        session.name,
        session.role,
        session.token,
        dump([team.id, team.name, team.dir]) if team else None,
        dump({k: v for k, v in session.info.items() if k not in CONTEXT_FIELDS}),
        session.seen_at,
    )
