"""Peers whose agent brings a client of its own: who holds the session, who gets its messages, and the change between.

The team's daemon registers such a peer as its *keeper*: the session is there and its mail waits. The agent's client,
a v1 one, joins under the very same id and gets the messages; when it leaves, the keeper holds the session again. A
keeper whose agent does not join may ask for the messages (`courier`) to type them.

A message is never given to both: when the client joins, nothing is given to it before the keeper has told which
messages it has begun to type. Source of the rules: docs/protocol.md, "Native peers".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.broker.core import delivery as deliveries
from intercom_mux.broker.core import extensions, roster
from intercom_mux.errors import ProtocolError
from intercom_mux.wire import states
from intercom_mux.wire.messages import check_ids

if TYPE_CHECKING:
    from intercom_mux.broker.core.model import BrokerState, Connection, Json, Session

OWN_FIELDS = frozenset({"name", "runtimeFallbackAlias"})
"""What a client that has joined does not decide: its peer is named by the layout."""


def may_join(session: Session | None, connection: Connection) -> bool:
    """Whether a registration under the session's id needs no token: that of a v1 client, which knows none."""
    return session is not None and session.is_native and connection.generation == "v1"


def is_joined(session: Session) -> bool:
    """Whether the agent's own client is there."""
    return session.is_native and session.endpoint is not None and session.endpoint is not session.keeper


def replace_keeper(state: BrokerState, session: Session) -> None:
    """End the team's earlier connection, if there is one; what it had comes again."""
    old = session.keeper or (None if is_joined(session) else session.endpoint)
    if old is None:
        return
    state.close(old.id)
    deliveries.requeue(old)
    session.keeper = None
    if session.endpoint is old:
        session.endpoint = None


def kept(state: BrokerState, session: Session, keeps: list[str], now: int) -> None:
    """A keeper has registered: give it what it has begun to type, and tell it how things are."""
    _keep_only(state, session, keeps, now)
    if is_joined(session):
        _yielded(state, session, now)
        _tell_joined(state, session)
    else:
        _tell(state, session, {"event": "native_left"})


def joined(state: BrokerState, session: Session) -> None:
    """The agent's client has registered: its keeper must say what it keeps before any message goes there."""
    session.is_yielding = session.keeper is not None and bool(session.keeper.carried)
    _tell_joined(state, session)


def left(state: BrokerState, session: Session, now: int) -> None:
    """The agent's client is gone and its keeper is not: the session stays in the roster, as the keeper describes it."""
    session.is_yielding = False
    session.epoch = next(state.new_epoch)
    status, session.info = session.status, dict(session.kept_info)
    if session.status != status:
        session.status_since = now
    session.broadcast_at = now
    before, session.capabilities = session.capabilities, {}
    roster.changed(session)
    roster.broadcast(state, session, "session_joined")
    extensions.elect(state, session.key.scope, before)
    _tell(state, session, {"event": "native_left"})


def tell_presence(state: BrokerState, session: Session) -> None:
    """Let the keeper know how the agent's client says that it is."""
    if is_joined(session):
        _tell(state, session, {"event": "presence", "status": session.status})


def courier(state: BrokerState, connection: Connection, session: Session, frame: Json, now: int) -> Json:
    """Say whether the keeper wants the messages (`on`), and which of those it has it finishes itself (`keep`).

    All others are given to the agent's client, now or when it joins. While that is there, nothing is given to the
    keeper, whatever it wants. The same again changes nothing.
    """
    if session.keeper is not connection:
        raise ProtocolError("only the keeper of a native peer is a courier")
    keep = check_ids(frame.get("keep", []), "mux.keep")
    if not is_joined(session):
        session.endpoint = connection if frame.get("on") is True else None
    if session.endpoint is connection:
        deliveries.flush(state, session, now)
    else:
        _keep_only(state, session, keep, now)
        _yielded(state, session, now)
    return {"courier": session.endpoint is connection}


def _keep_only(state: BrokerState, session: Session, keeps: list[str], now: int) -> None:
    """Have the keeper carry exactly these of what is open."""
    keeper = session.keeper
    if keeper is None:
        return
    wanted = set(keeps)
    for delivery in list(session.mailbox.values()):
        if delivery.id in wanted and delivery.state == states.QUEUED:
            deliveries.write(state, keeper, delivery, now)
        elif delivery.id not in wanted and delivery.sent_to == keeper.id:
            keeper.carried.pop(delivery.seq, None)
            delivery.state, delivery.sent_to = states.QUEUED, 0


def _yielded(state: BrokerState, session: Session, now: int) -> None:
    session.is_yielding = False
    deliveries.flush(state, session, now)


def _tell_joined(state: BrokerState, session: Session) -> None:
    _tell(state, session, {"event": "native_joined", "pid": session.info["pid"], "status": session.status})


def _tell(state: BrokerState, session: Session, event: Json) -> None:
    if session.keeper is not None:
        state.write(session.keeper.id, {"type": "mux_event", **event})
