"""The extension bus of v1: who has which namespace, who owns it, publishing, and state by compare-and-swap.

Source of the rules: docs/protocol.md, "Extension bus". Reasons are v1's words, in v1's order of checks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from intercom_mux.broker.core import js_json
from intercom_mux.broker.core.model import Connection, Json, SaveState, Session
from intercom_mux.errors import ProtocolError
from intercom_mux.wire.frames import dump

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intercom_mux.broker.core.model import BrokerState

MAX_NAMESPACES = 32
MAX_PUBLISH_BYTES = 16_384
MAX_STATE_BYTES = 65_536
_SAFE_INTEGER = 2**53 - 1
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9._/-]{0,63}")


@dataclass(slots=True)
class SharedState:
    """The state of a namespace as committed; revision 0 = none. `is_pending`: a commit is being written."""

    revision: int = 0
    payload: bytes = b""
    is_pending: bool = False


@dataclass(slots=True)
class Owner:
    """The session that owns a namespace, by one connection and under one epoch."""

    session: Session
    connection: int
    epoch: str


class _Refusal(Exception):
    """Why a frame is not carried out, in v1's words."""


def check_capabilities(value: object) -> dict[str, bool]:
    """Return whether the owner may be this session, by namespace.

    Raises:
        ProtocolError: Not a list of at most `MAX_NAMESPACES` capabilities.
    """
    if type(value) is not list or len(value) > MAX_NAMESPACES:
        raise ProtocolError(f"extensions must be an array of at most {MAX_NAMESPACES}")
    for item in value:
        if type(item) is not dict or not _is_namespace(item.get("namespace")):
            raise ProtocolError("an extension needs a namespace")
        if type(item.get("ownerEligible")) is not bool:
            raise ProtocolError("extension.ownerEligible must be a boolean")
    return {item["namespace"]: item["ownerEligible"] for item in value}


def _is_namespace(value: object) -> bool:
    return type(value) is str and _NAMESPACE.fullmatch(value) is not None


def update(state: BrokerState, connection: Connection, frame: Json, _now: int) -> None:
    """Handle `extension_capabilities_update`: the list replaces the former one."""
    session = _speaker(connection)
    if session is None:
        raise ProtocolError("only an endpoint has extensions")
    before, session.capabilities = session.capabilities, check_capabilities(frame.get("extensions"))
    elect(state, session.key.scope, [*before, *session.capabilities])
    welcome(state, session)


def elect(state: BrokerState, scope: str, namespaces: Iterable[str]) -> None:
    """Find the owner of each namespace anew and announce every change to all that have the namespace."""
    for namespace in dict.fromkeys(namespaces):
        capable = _capable(state, scope, namespace)
        eligible = [s for s in capable if s.capabilities[namespace]]
        first = min(eligible, key=lambda session: session.order, default=None)
        known = state.owners.get((scope, namespace))
        if first is None or first.endpoint is None:
            if state.owners.pop((scope, namespace), None) is None:
                continue
        elif known is not None and known.session is first and known.connection == first.endpoint.id:
            continue
        else:
            state.owners[scope, namespace] = Owner(first, first.endpoint.id, next(state.new_epoch))
        for session in capable:
            _tell_owner(state, session, namespace)


def welcome(state: BrokerState, session: Session) -> None:
    """Tell a session the owner and the state of each of its namespaces."""
    for namespace in session.capabilities:
        _tell_owner(state, session, namespace)
        shared = state.shared.get(_key(session.key.scope, namespace))
        if shared is not None and shared.revision:
            _tell_state(state, session, namespace, shared)


def publish(state: BrokerState, connection: Connection, frame: Json, _now: int) -> None:
    """Handle `extension_publish`: to the owner, or to all that have the namespace, the sender included."""
    try:
        session, namespace = _sender(connection, frame)
        audience = frame.get("audience")
        if audience not in ("owner", "capable"):
            raise _Refusal("Invalid audience")
        payload = _payload(frame, MAX_PUBLISH_BYTES)
        if payload is None:
            raise _Refusal("Invalid extension payload or payload exceeds 16 KiB limit")
        if namespace not in session.capabilities:
            raise _Refusal("Sender does not have capability for this namespace")
        owner = state.owners.get((session.key.scope, namespace))
        if frame.get("ownerOnly") is True:
            _check_owner_only(owner, connection, frame)
        if owner is None and audience == "owner":
            raise _Refusal("No owner for this namespace")
    except _Refusal as refusal:
        state.write(connection.id, {"type": "error", "error": str(refusal)})
        return
    head: Json = {"type": "extension_message", "namespace": namespace, "fromSessionId": session.key.id}
    if owner is not None:
        head |= {"ownerId": owner.session.key.id, "ownerEpoch": owner.epoch}
    everybody = _capable(state, session.key.scope, namespace)
    for receiver in everybody if audience == "capable" else [owner.session] if owner else []:
        if receiver.endpoint is not None:
            state.write_raw(receiver.endpoint.id, dump(head)[:-1] + b',"payload":' + payload + b"}")


def _check_owner_only(owner: Owner | None, connection: Connection, frame: Json) -> None:
    if owner is None:
        raise _Refusal("No owner for this namespace")
    if type(frame.get("ownerEpoch")) is not str:
        raise _Refusal("ownerEpoch required for owner-only messages")
    if owner.connection != connection.id or owner.epoch != frame["ownerEpoch"]:
        raise _Refusal("Owner validation failed")


def commit(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Handle `extension_state_commit`: the answer comes when the state is on disk, at once if it is refused."""
    namespace = frame.get("namespace")
    revision = 0
    try:
        session, namespace = _sender(connection, frame)
        key = _key(session.key.scope, namespace)
        shared = state.shared.get(key) or SharedState()
        revision = shared.revision
        payload = _check_commit(state, connection, session, frame, shared)
    except _Refusal as refusal:
        name = namespace if type(namespace) is str else ""
        _answer_commit(state, connection.id, name, revision, str(refusal))
        return
    shared.is_pending = True
    state.shared[key] = shared
    state.effects.saves.append(SaveState(connection.id, session.key.scope, namespace, key, revision + 1, payload, now))


def _check_commit(
    state: BrokerState, connection: Connection, session: Session, frame: Json, shared: SharedState
) -> bytes:
    epoch, expected, namespace = frame.get("ownerEpoch"), frame.get("expectedRevision"), frame["namespace"]
    if type(epoch) is not str:
        raise _Refusal("Invalid ownerEpoch")
    if type(expected) is not int or not 0 <= expected <= _SAFE_INTEGER:
        raise _Refusal("Invalid expectedRevision")
    payload = _payload(frame, MAX_STATE_BYTES)
    if payload is None:
        raise _Refusal("Invalid extension state or payload exceeds 64 KiB limit")
    if namespace not in session.capabilities:
        raise _Refusal("Sender does not have capability for this namespace")
    owner = state.owners.get((session.key.scope, namespace))
    if owner is None:
        raise _Refusal("No owner for this namespace")
    if owner.connection != connection.id or owner.epoch != epoch:
        raise _Refusal("Owner validation failed")
    if shared.revision != expected or shared.is_pending:
        raise _Refusal("Revision mismatch")
    return payload


def saved(state: BrokerState, order: SaveState, *, is_kept: bool) -> None:
    """Answer a commit once the store has done with it: the result first, then the state to all that have it."""
    shared = state.shared[order.key]
    shared.is_pending = False
    if not is_kept:
        _answer_commit(state, order.connection, order.namespace, shared.revision, "Failed to persist extension state")
        return
    shared.revision, shared.payload = order.revision, order.payload
    _answer_commit(state, order.connection, order.namespace, shared.revision)
    for session in _capable(state, order.scope, order.namespace):
        _tell_state(state, session, order.namespace, shared)


def _answer_commit(state: BrokerState, connection: int, namespace: str, revision: int, reason: str = "") -> None:
    answer: Json = {"type": "extension_state_result", "namespace": namespace, "committed": not reason}
    state.write(connection, {**answer, "revision": revision, **({"reason": reason} if reason else {})})


def _sender(connection: Connection, frame: Json) -> tuple[Session, str]:
    session = _speaker(connection)
    if session is None:
        raise _Refusal("Session not found")
    if not session.capabilities:
        raise _Refusal("Session has not advertised extension capability")
    if not _is_namespace(frame.get("namespace")):
        raise _Refusal("Invalid namespace")
    return session, frame["namespace"]


def _speaker(connection: Connection) -> Session | None:
    session = connection.session
    return session if session is not None and session.endpoint is connection else None


def _payload(frame: Json, limit: int) -> bytes | None:
    """Return the payload's JSON, None if there is none that may be taken."""
    value: Any = frame.get("payload")
    try:
        payload = js_json.dump(value) if "payload" in frame else None
    except ValueError:
        return None
    return payload if payload is not None and len(payload) <= limit else None


def _capable(state: BrokerState, scope: str, namespace: str) -> list[Session]:
    return [
        s
        for s in state.sessions.values()
        if s.endpoint is not None and s.key.scope == scope and namespace in s.capabilities
    ]


def _key(scope: str, namespace: str) -> str:
    """Return the name that the state of a namespace has in the store; a scope is not told there."""
    if not scope:
        return namespace
    return js_json.dump(["scope", sha256(scope.encode()).hexdigest(), namespace]).decode()


def _tell_owner(state: BrokerState, session: Session, namespace: str) -> None:
    owner = state.owners.get((session.key.scope, namespace))
    frame: Json = {"type": "extension_owner", "namespace": namespace}
    if owner is not None:
        frame |= {"ownerId": owner.session.key.id, "ownerEpoch": owner.epoch}
    if session.endpoint is not None:
        state.write(session.endpoint.id, frame)


def _tell_state(state: BrokerState, session: Session, namespace: str, shared: SharedState) -> None:
    head = dump({"type": "extension_state", "namespace": namespace, "revision": shared.revision})
    if session.endpoint is not None:
        state.write_raw(session.endpoint.id, head[:-1] + b',"payload":' + shared.payload + b"}")
