"""Ordinary traffic between connected sessions of ours; messages and receipts are taken a run of frames at a time.

An ordinary message is a text and nothing else, and its receiver is there; an ordinary ask or reply is such a message
between sessions that wait for nobody else; an ordinary receipt says a status and no more. They are known by the bytes
that a compact JSON writer makes of them. What is done about them is what `delivery.send` and `receipts.receive` do,
with everything that is the same for a whole run done once. Whatever is not exactly so is left to those two, which say
what is right; tests/broker/core/test_ordinary.py holds this equal to them.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from intercom_mux.broker.core import addresses, asks, backpressure, delivery, endings, roster, tasks
from intercom_mux.broker.core.model import Delivery
from intercom_mux.wire import states
from intercom_mux.wire.frames import LENGTH, quote
from intercom_mux.wire.ordinary import is_receipt, is_send, match_receipt, match_related, match_send, meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.broker.core.model import BrokerState, Connection, Session, SessionKey
    from intercom_mux.wire.ordinary import Related

_READ = frozenset({b"acknowledged", b"injected"})
_ON_ITS_WAY = frozenset({b"receiver_received", b"queued"})
_MARK = tasks.MARK.encode()
_PARTS = 4
_DELIVERED = b'{"type":"delivered","messageId":"'


def take(state: BrokerState, connection: Connection, payloads: Sequence[bytes], at: int, now: int) -> int:
    """Handle the ordinary frames that follow each other from `payloads[at]` on; return the index of the next other."""
    me = connection.session
    if me is None or connection.generation != "mux" or connection.held or not me.owns(connection):
        return at
    if is_send(payloads[at]) and (related := match_related(payloads[at])):
        return at + _take_related(state, connection, me, related, now)
    run = _begun(state, connection, me, payloads[at], now)
    if run is not None:
        for payload in payloads[at:] if at else payloads:
            if not run.takes(payload):
                break
            at += 1
        run.end()
    return at


def _begun(
    state: BrokerState, connection: Connection, me: Session, payload: bytes, now: int
) -> _Sends | _Receipts | None:
    """Return the run that begins with this frame, which it has not taken yet; None if it cannot be ordinary."""
    if is_send(payload):
        found = match_send(payload)
        target = addresses.resolve(state, connection, me.key.scope, found[1].decode()).session if found else None
        endpoint = target.endpoint if target is not None else None
        if found and target and endpoint and target is not me and _takes_at_once(target, endpoint):
            return _Sends(state, connection, me, target, endpoint, found[1], now)
        return None
    is_receiver = me.endpoint is connection and me.keeper is None and not me.waiting_senders
    return _Receipts(state, connection, me, now) if is_receiver and is_receipt(payload) else None


def _takes_at_once(target: Session, endpoint: Connection) -> bool:
    """Whether what is accepted for `target` goes to its endpoint now, behind nothing that waits."""
    is_open = endpoint.generation != "old" and not endpoint.has_backlog
    return is_open and not target.is_yielding and not target.waiting_senders


def _take_related(state: BrokerState, connection: Connection, me: Session, found: Related, now: int) -> bool:
    """Handle an ask or a reply to somebody who is there and waits for nobody else; False if it is not so simple."""
    target = addresses.resolve(state, connection, me.key.scope, found.address.decode()).session
    endpoint = target.endpoint if target is not None else None
    if target is None or endpoint is None or target is me or not _takes_at_once(target, endpoint):
        return False
    message_id, text = found.id.decode(), meaning(found.text)
    is_new = (me.key, message_id) not in state.records and (target.key, message_id) not in state.inbound
    if text is None or not is_new or backpressure.is_full(state, target):
        return False
    if found.asked is None:
        return _take_ask(state, connection, me, target, found, text, now)
    return _take_reply(state, connection, me, target, found, text, now)


def _take_ask(
    state: BrokerState, connection: Connection, me: Session, target: Session, found: Related, text: bytes, now: int
) -> bool:
    waits = target.key in state.asks_of or (found.is_blocking and me.key in state.asks_of)
    if waits or _MARK in text or target.status.startswith("exited"):
        return False
    one = _held(state, me, target, found, text, b"null,true", asks.deadline_of(state, found.deadline, now), now)
    group = found.group.decode()
    asks.open_ask(state, connection, one, text.decode(), now, is_blocking=found.is_blocking, group=group)
    delivery.dispatch(state, target, one, now)
    delivery.answer_accepted(state, connection, one, target)
    return True


def _take_reply(
    state: BrokerState, connection: Connection, me: Session, target: Session, found: Related, text: bytes, now: int
) -> bool:
    asked = found.asked or b""
    ask = state.asks.get((target.key, asked.decode()))
    if ask is None or ask.asked != me.key or me.waiting_senders:
        return False
    one = _held(state, me, target, found, text, b'"%b",null' % asked, now + state.limits.message_ttl, now)
    delivery.dispatch_reply(state, connection, target, ask, one, now)
    delivery.answer_accepted(state, connection, one, target)
    return True


def _held(
    state: BrokerState,
    me: Session,
    target: Session,
    found: Related,
    text: bytes,
    relations: bytes,
    expires_at: int,
    now: int,
) -> Delivery:
    """Take responsibility for a message; `relations` as its fingerprint has them."""
    print_ = blake2b(text + b"[%b,%b,null,null,null]" % (quote(target.key.id), relations), digest_size=16).digest()
    info = roster.describe(state, me, target.team.id if target.team else None)
    body = found.message + b',"brokerReceivedAt":%d}' % now
    one = Delivery(
        state.next_seq, found.id.decode(), me.key, target.key, info, body, print_, now, expires_at, states.QUEUED
    )
    one.expects_reply = found.asked is None
    one.reply_to = None if found.asked is None else found.asked.decode()
    delivery.hold(state, target, one)
    delivery.record(state, one)
    return one


class _Sends:
    """A run of messages over one connection to one receiver."""

    def __init__(
        self,
        state: BrokerState,
        connection: Connection,
        me: Session,
        target: Session,
        endpoint: Connection,
        address: bytes,
        now: int,
    ) -> None:
        self._state, self._connection, self._target, self._endpoint = state, connection, target, endpoint
        self._address = address
        self._sender, self._receiver = me.key, target.key
        self._keys = tuple(me.key), tuple(target.key)
        self._info = roster.describe(state, me, target.team.id if target.team else None)
        self._now, self._expires_at = now, now + state.limits.message_ttl
        self._no_relations = delivery.no_relations(target)
        self._received_at = b',"brokerReceivedAt":%d}' % now
        self._head = b'{"type":"message","from":%b,"message":' % self._info
        self._tail = b',"brokerReceivedAt":%d,"brokerDeliveredAt":%d}}' % (now, now)
        self._told = b'","delivery":"socket_delivered","retryable":false,"outcomeKnown":true'
        self._told += roster.addressee(state, target, connection.view) + b',"before":'
        first = next(iter(target.mailbox.values()), None)
        self._held = b',"held":%b}' % quote(first.note) if first is not None and first.note else b"}"
        self._letters: list[bytes] = []
        self._answers: list[bytes] = []

    def takes(self, payload: bytes) -> bool:
        """Accept and pass on one message; False if this frame is something else, or not so ordinary."""
        state, target, endpoint = self._state, self._target, self._endpoint
        found = match_send(payload)
        if found is None or backpressure.is_full(state, target):
            return False
        address, message, quoted_id, quoted_text = found.groups()
        message_id, text = quoted_id.decode(), meaning(quoted_text)
        sent, got = (self._sender, message_id), (self._receiver, message_id)
        if text is None or _MARK in text or address != self._address or sent in state.records or got in state.inbound:
            return False
        seq, now, ends = state.next_seq, self._now, self._expires_at
        body = message + self._received_at
        info, print_ = self._info, blake2b(text + self._no_relations, digest_size=16).digest()
        one = Delivery(seq, message_id, self._sender, self._receiver, info, body, print_, now, ends, states.SENT)
        one.attempts, one.sent_to = 1, endpoint.id
        before = len(target.mailbox)
        state.records[sent] = state.inbound[got] = target.mailbox[seq] = endpoint.carried[seq] = one
        target.mailbox_bytes += len(body)
        state.next_seq = seq + 1
        state.effects.records.append(
            ("message", seq, message_id, *self._keys, info, body, print_, now, ends, False, None, False)
        )
        self._letters += _framed(self._head, message, self._tail)
        self._answers += _framed(_DELIVERED, quoted_id, b"%b%d%b" % (self._told, before, self._held))
        return True

    def end(self) -> None:
        """Write what the run has led to."""
        if self._letters:
            self._endpoint.receipts_due += delivery.RECEIPTS_EACH * (len(self._letters) // _PARTS)
            delivery.look_at(self._state, self._target, self._expires_at)
            output = self._state.effects.output
            output.append((self._endpoint.id, b"".join(self._letters)))
            output.append((self._connection.id, b"".join(self._answers)))


class _Receipts:
    """A run of receipts over the endpoint of one receiver, for messages from any senders."""

    def __init__(self, state: BrokerState, connection: Connection, me: Session, now: int) -> None:
        self._state, self._connection, self._me, self._now = state, connection, me, now
        self._sender: SessionKey | None = None
        self._listener: Connection | None = None
        self._head = b""
        self._told: list[bytes] = []

    def takes(self, payload: bytes) -> bool:
        """Take one more receipt and tell the sender; False if this frame is something else, or not so ordinary."""
        state, me = self._state, self._me
        found = match_receipt(payload)
        if found is None:
            return False
        receipt, quoted_id, status = found.groups()
        one = state.inbound.get((me.key, quoted_id.decode()))
        if one is None or one.watcher or (one.sender, one.id) in state.asks:
            return False
        is_read = status in _READ
        if not is_read and status not in _ON_ITS_WAY:
            return False
        if one.state in states.OPEN_STATES:
            if one.sent_to != self._connection.id:
                return False
            if is_read:
                endings.close(state, one, me, self._connection, states.DONE, self._now)
            else:
                one.state, one.attempts = states.RECEIVED, 1
        if one.sender is not self._sender:
            self._turn_to(one.sender)
        if self._listener is not None:
            self._told += _framed(self._head, receipt, b"}")
        return True

    def _turn_to(self, key: SessionKey) -> None:
        """Tell the sender of what comes now, after what was for another one."""
        self.end()
        self._sender = key
        session = self._state.sessions.get(key)
        self._listener = session.endpoint if session is not None else None
        if self._listener is not None and self._listener.generation == "old":
            self._listener = None
        if self._listener is not None:
            info = roster.describe(self._state, self._me, self._listener.view)
            self._head = b'{"type":"message_receipt","from":%b,"receipt":' % info

    def end(self) -> None:
        """Write what is to be told to the latest sender."""
        if self._listener is not None and self._told:
            self._state.effects.output.append((self._listener.id, b"".join(self._told)))
            self._told = []


def _framed(head: bytes, body: bytes, tail: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the parts of a frame; there are `_PARTS`."""
    return LENGTH.pack(len(head) + len(body) + len(tail)), head, body, tail
