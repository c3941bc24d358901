"""The broker as a pure machine: events in with their time, effects out. No socket, no clock, no file.

The server calls `connect`, `receive`, `disconnect` and `tick`, then `take_effects`, and carries those out in order:
journal records first, in one commit, then frames. `now` is Unix milliseconds. Not thread-safe.
"""

from __future__ import annotations

import itertools
import os
from heapq import heappop
from hmac import compare_digest
from typing import TYPE_CHECKING

from intercom_mux.broker.core import (
    asks,
    delivery,
    endings,
    extensions,
    ordinary,
    receipts,
    requests,
    restore,
    roster,
    sessions,
)
from intercom_mux.broker.core.backpressure import Backpressure, MailboxFull
from intercom_mux.broker.core.model import BrokerState, Connection, Effects, Json, Limits, SaveState, Session
from intercom_mux.errors import ProtocolError
from intercom_mux.wire.frames import MAX_NESTING, Frame, decode_to_pass_on
from intercom_mux.wire.messages import required_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_HANDLERS: dict[str, Callable[[BrokerState, Connection, Frame, int], None]] = {
    "send": delivery.send,
    "message_receipt": receipts.receive,
    "cancel_message": endings.cancel,
    "presence": sessions.presence,
    "list": roster.answer_list,
    "cancel_ask": asks.cancel,
    "unregister": sessions.unregister,
    "register": sessions.register,
    "mux": requests.handle,
    "extension_capabilities_update": extensions.update,
    "extension_publish": extensions.publish,
    "extension_state_commit": extensions.commit,
}


_SESSION_TIMERS: dict[str, Callable[[BrokerState, Session, int], None]] = {
    "session": sessions.forget_if_unused,
    "mailbox": endings.expire_mailbox,
    "flush": delivery.flush,
}


def _knows(secret: str, frame: Json) -> bool:
    given = frame.get("stateId")
    return type(given) is str and compare_digest(given.encode(), secret.encode())


def _epochs() -> Iterator[str]:
    """Yield ids that no other broker process yields."""
    base = os.urandom(8).hex()
    return (f"{base}-{number}" for number in itertools.count(1))


class Core:
    """Everything the broker decides."""

    def __init__(
        self,
        limits: Limits | None = None,
        snapshot: restore.Snapshot | None = None,
        now: int = 0,
        real_dir: Callable[[str], str] = os.path.normpath,
        shared: dict[str, extensions.SharedState] | None = None,
    ) -> None:
        """`real_dir` says where a directory really is, so that two ways to write it are one; `shared` is the state
        of extensions as loaded."""
        self.state = BrokerState(limits or Limits(), _epochs(), real_dir)
        self.state.shared.update(shared or {})
        self._patience = self.state.limits.register_within
        self._pressure = Backpressure(self.state, self._dispatch, self._cut)
        if snapshot is not None:
            restore.apply(self.state, snapshot, now)

    def connect(self, connection: int, uid: int | None, now: int, secret: str | None = None) -> None:
        """A socket was accepted; ids are the server's, never reused while open; over TCP it must name `secret`."""
        state = self.state
        burst = float(state.limits.v1_burst)
        state.connections[connection] = Connection(connection, uid, now, tokens=burst, refilled_at=now, secret=secret)
        state.set_timer(now + state.limits.register_within, "register", connection)
        waiting = [c for c in state.connections.values() if c.session is None and not c.is_closing]
        if len(waiting) > state.limits.unregistered:
            state.close(waiting[0].id)

    def receive_all(self, connection: int, payloads: Sequence[bytes], now: int) -> None:
        """Frames arrived together, in this order; as `receive` of each."""
        at = 0
        while at < len(payloads):
            begun = at
            link = self.state.connections.get(connection)
            if link is not None and not link.is_closing:
                at = ordinary.take(self.state, link, payloads, at, now)
            if at == begun:
                self.receive(connection, payloads[at], now)
                at += 1

    def receive(self, connection: int, payload: bytes, now: int) -> None:
        """One frame arrived. A frame that breaks the protocol closes its connection, and only that."""
        state = self.state
        link = state.connections.get(connection)
        if link is None or link.is_closing:
            return
        try:
            frame = decode_to_pass_on(payload, max_nesting=MAX_NESTING)
            if self._is_limited(link, frame, now):
                state.write(connection, {"type": "error", "error": "Intercom broker rate limit exceeded"})
                self._cut(link, now)
                return
            if link.held and self._pressure.queues(link, payload, frame, now):
                return
            self._dispatch(link, frame, now)
        except MailboxFull as full:
            self._pressure.hold(link, payload, full.target, now)
        except ProtocolError:
            self._cut(link, now)
        if state.roomy:
            self._pressure.serve(now)

    def _cut(self, link: Connection, now: int) -> None:
        """End a connection for what it did; its session is away from this instant, so that its mail waits."""
        sessions.leave(self.state, link, now)
        self.state.close(link.id)

    def _is_limited(self, link: Connection, frame: Json, now: int) -> bool:
        """Token bucket of docs/protocol.md, "Limits"; our own clients are slowed by the server instead."""
        if link.generation == "mux":
            return False
        if link.receipts_due > 0 and frame["type"] == "message_receipt":
            link.receipts_due -= 1
            return False
        limits = self.state.limits
        refill = (now - link.refilled_at) * limits.v1_per_second / 1000
        link.tokens = min(float(limits.v1_burst), link.tokens + refill)
        link.refilled_at = now
        if link.tokens < 1:
            return True
        link.tokens -= 1
        return False

    def _dispatch(self, link: Connection, frame: Frame, now: int) -> None:
        kind = frame["type"]
        if link.secret is not None and kind in {"health", "register"} and not _knows(link.secret, frame):
            raise ProtocolError("wrong stateId")
        if kind == "health":
            self._health(link, frame)
            return
        handler = _HANDLERS.get(kind)
        if handler is None or (kind == "mux" and link.generation != "mux"):
            raise ProtocolError(f"unknown frame type {kind!r}")
        if link.session is None and kind != "register":
            raise ProtocolError("the first frame must be register")
        handler(self.state, link, frame, now)

    def _health(self, link: Connection, frame: Json) -> None:
        answer = {"type": "health_ok", "requestId": required_id(frame, "requestId")}
        self.state.write(link.id, {**answer, "protocol": "pi-intercom", "version": 1, "broker": "intercom-mux"})

    def disconnect(self, connection: int, now: int) -> None:
        """A socket is gone, whoever closed it."""
        link = self.state.connections.pop(connection, None)
        if link is not None:
            self._pressure.drop(link)
            sessions.leave(self.state, link, now)
            self._pressure.serve(now)

    def drained(self, connection: int, now: int) -> None:
        """A connection has read all that was written to it: go on with what waits for it, if anything does."""
        link = self.state.connections.get(connection)
        if link is not None and link.has_backlog and link.session is not None:
            delivery.flush(self.state, link.session, now)
            self._pressure.serve(now)

    def next_timer(self) -> int | None:
        """Return when `tick` has something to look at, None when nothing is due ever."""
        timers = self.state.timers
        return timers[0][0] if timers else None

    def tick(self, now: int) -> None:
        """Do what is due: expire messages and asks, forget sessions, end connections that never registered."""
        timers = self.state.timers
        while timers and timers[0][0] <= now:
            _, _, kind, subject = heappop(timers)
            self._due(kind, subject, now)
        self._pressure.serve(now)

    def _due(self, kind: str, subject: object, now: int) -> None:
        state = self.state
        match kind, subject:
            case "ask", (_, str()):
                asks.expire(state, subject, now)  # type: ignore[arg-type]  # an Ask.key, set in asks.add
            case "held", int():
                holder = state.connections.get(subject)
                if holder is not None:
                    self._pressure.expire(holder, now)
            case "register", int():
                link = state.connections.get(subject)
                if link and link.session is None and not link.is_closing and link.opened_at <= now - self._patience:
                    state.close(subject)
            case "session" | "mailbox" | "flush", _:
                session = state.sessions.get(subject)  # type: ignore[call-overload]  # a SessionKey, set with this kind
                if session is not None:
                    _SESSION_TIMERS[kind](state, session, now)

    @property
    def limits(self) -> Limits:
        """What bounds the clients; those of reading are the server's to keep."""
        return self.state.limits

    @property
    def is_unused(self) -> bool:
        """Whether nobody is registered: the broker may stop, its journal keeps what waits."""
        return all(link.session is None for link in self.state.connections.values())

    def saved(self, order: SaveState, *, is_kept: bool) -> None:
        """The store has carried out `order`, or could not."""
        extensions.saved(self.state, order, is_kept=is_kept)

    def take_effects(self) -> Effects:
        """Return what is to be done since the last call."""
        return self.state.take_effects()
