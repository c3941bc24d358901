"""One message from its sender to its receiver: accept, deliver, redeliver, cancel, expire.

A message is recorded before its sender hears `delivered` and is held until its receiver's `acknowledged` or `injected`.
Source of the rules: docs/protocol.md, "Delivery".
"""

from __future__ import annotations

import json
from hashlib import blake2b

from intercom_mux.broker.core import asks, backpressure, endings, identity, receipts, roster, tasks
from intercom_mux.broker.core.addresses import known_names, resolve
from intercom_mux.broker.core.model import Ask, BrokerState, Connection, Delivery, Json, Session, SessionKey
from intercom_mux.errors import ProtocolError
from intercom_mux.wire import states
from intercom_mux.wire.frames import MAX_FRAME_BYTES, Frame, dump, quote
from intercom_mux.wire.messages import check_message, required_string

FLUSH_BYTES = 1_048_576
"""How much of a mailbox is written at once; the rest follows when its receiver has read that."""

RECEIPTS_EACH = 3
"""How many receipts a v1 client sends for a message: received, acknowledged, injected."""

_ENVELOPE_BYTES = 2_048
"""Room for what stands around a message in any frame that carries it."""

_NAMES_SHOWN = 100
_RELATIONS = ("replyTo", "expectsReply", "supersedes", "retryOf")
_ANY_RELATION = frozenset(_RELATIONS)
_STAMPS = frozenset({"brokerReceivedAt", "brokerDeliveredAt"})


class Refusal(Exception):
    """Why a message is not accepted: `code` and `reason` of docs/protocol.md."""

    def __init__(self, code: str, reason: str, *, retryable: bool = False, names: list[str] | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retryable = retryable
        self.names = names


def send(state: BrokerState, connection: Connection, frame: Frame, now: int) -> None:
    """Handle `send`; answers with exactly one `delivered` or `delivery_failed`."""
    message_id = "unknown"
    try:
        try:
            message = check_message(frame.get("message"))
            message_id = message["id"]
            address = required_string(frame, "to")
        except ProtocolError as error:
            raise Refusal("E_INVALID_MESSAGE", "Invalid message format") from error
        sender = connection.session
        if sender is None or not sender.owns(connection):
            raise Refusal("E_SENDER_NOT_FOUND", "Sender session not found")
        target = _target(state, connection, sender, address, frame, message_id)
        accepted = accept(state, connection, sender, target, message, frame, now)
        answer_accepted(state, connection, accepted, state.sessions.get(accepted.target, target))
        if frame.get("watch") is True and connection.generation == "mux":
            receipts.watch(state, connection, accepted)
        if accepted.expects_reply:
            asks.resume(state, connection, sender, message_id, frame, now)
    except Refusal as refusal:
        _answer_refused(state, connection, message_id, refusal)


def _answer_refused(state: BrokerState, connection: Connection, message_id: str, refusal: Refusal) -> None:
    answer: Json = {
        "type": "delivery_failed",
        "messageId": message_id,
        "reason": refusal.reason,
        "delivery": "failed",
        "retryable": refusal.retryable,
        "outcomeKnown": True,
        "code": refusal.code,
    }
    if connection.generation == "mux" and refusal.names is not None:
        answer["names"] = refusal.names
    state.write(connection.id, answer)


def _target(
    state: BrokerState, connection: Connection, sender: Session, address: str, frame: Json, message_id: str
) -> Session:
    """Return the session to deliver to: the exact pair (`targetId`, `targetEpoch`) or the address ladder.

    The exact pair of a message that was accepted before stays good: it asks for the same answer again.
    """
    scope = sender.key.scope
    if "targetId" in frame or "targetEpoch" in frame:
        exact_id, epoch = frame.get("targetId"), frame.get("targetEpoch")
        if type(exact_id) is not str or type(epoch) is not str or not exact_id or not epoch:
            raise Refusal("E_INVALID_TARGET", "Exact target requires an id and endpoint epoch")
        target = state.sessions.get(SessionKey(scope, exact_id))
        known = state.records.get((sender.key, message_id))
        if target is not None and known is not None and known.target == target.key:
            return target
        if target is None or not (target.is_connected or target.holds_mail):
            raise Refusal("E_TARGET_NOT_FOUND", "Session not found")
        if target.epoch != epoch:
            raise Refusal("E_TARGET_REBOUND", "Target endpoint changed before delivery", retryable=True)
        return target
    found = resolve(state, connection, scope, address)
    if found.session is None:
        raise Refusal(found.code, found.reason, names=known_names(state, connection, scope)[:_NAMES_SHOWN])
    return found.session


def accept(
    state: BrokerState,
    connection: Connection,
    sender: Session,
    target: Session,
    message: Json,
    frame: Frame,
    now: int,
) -> Delivery:
    """Take responsibility for `message` and send it on if its receiver is there.

    The same id with the same content again returns what was made of it and delivers nothing.

    Raises:
        Refusal: It may not be accepted; nothing changed.
        MailboxFull: It must wait for room; nothing changed.
    """
    receiver = target if "targetId" in frame else identity.heir(state, target, sender) or target
    print_ = _fingerprint(receiver, message)
    known = state.records.get((sender.key, message["id"]))
    if known is not None:
        if known.fingerprint != print_:
            raise Refusal("E_MESSAGE_ID_REUSE", "Message id was reused with different authored content")
        _refuse_ended(known)
        return known
    if (receiver.key, message["id"]) in state.inbound:
        raise Refusal("E_MESSAGE_ID_REUSE", "Message id is in use by another sender")
    if target is sender and connection.generation == "mux":
        raise Refusal("E_SELF_TARGET", "Cannot message the current session")
    earlier = endings.check_supersedes(state, sender, receiver, message)
    asked = asks.check_reply(state, sender, target, message)
    if asked is None or not asked.is_blocking:
        backpressure.check_room(state, connection, receiver, now)
    if message.get("expectsReply"):
        asks.check_ask(state, connection, sender, target, message, frame)
    delivery = _new_delivery(state, sender, receiver, message, frame.raw, print_, now)
    if earlier is not None:
        endings.supersede(state, connection, earlier, delivery.id, now)
    hold(state, receiver, delivery)
    record(state, delivery)
    if message.get("expectsReply"):
        is_blocking = connection.generation != "mux" or frame.get("blocking") is True
        group = frame.get("group")
        group = group if type(group) is str else ""
        text = message["content"]["text"]
        asks.open_ask(state, connection, delivery, text, now, is_blocking=is_blocking, group=group)
    if tasks.MARK in message["content"]["text"] and "replyTo" not in message:
        tasks.take_marked(state, sender, receiver, delivery, message["content"]["text"], now)
    if asked is not None:
        dispatch_reply(state, connection, receiver, asked, delivery, now)
    else:
        dispatch(state, receiver, delivery, now)
    return delivery


def _fingerprint(target: Session, message: Json) -> bytes:
    content = message["content"]
    print_ = blake2b(content["text"].encode(), digest_size=16)
    if _ANY_RELATION.isdisjoint(message) and "attachments" not in content:
        print_.update(no_relations(target))
        return print_.digest()
    facts = [message.get(key) for key in _RELATIONS]
    print_.update(dump([target.key.id, *facts, content.get("attachments")]))
    return print_.digest()


def no_relations(target: Session) -> bytes:
    """Return what the fingerprint of a message to `target` that has a text alone is made of besides that."""
    return b"[%b,null,null,null,null,null]" % quote(target.key.id)


def _new_delivery(
    state: BrokerState,
    sender: Session,
    target: Session,
    message: Json,
    raw: bytes | None,
    fingerprint: bytes,
    now: int,
) -> Delivery:
    sender_info = roster.describe(state, sender, target.team.id if target.team else None)
    delivery = Delivery(
        seq=state.next_seq,
        id=message["id"],
        sender=sender.key,
        target=target.key,
        sender_info=sender_info,
        body=_stamped(message, raw, now),
        fingerprint=fingerprint,
        accepted_at=now,
        expires_at=now + state.limits.message_ttl,
        state=states.QUEUED,
        expects_reply=message.get("expectsReply", False),
        reply_to=message.get("replyTo"),
    )
    size = len(delivery.body) + len(sender_info) + _ENVELOPE_BYTES
    if size > MAX_FRAME_BYTES:
        raise Refusal("E_MESSAGE_TOO_LARGE", f"Message of {size} bytes is larger than {MAX_FRAME_BYTES}")
    if delivery.expects_reply:
        delivery.expires_at = asks.deadline_of(state, message.get("deadline"), now)
    return delivery


def _stamped(message: Json, raw: bytes | None, now: int) -> bytes:
    """Return the JSON of a message with the time of its acceptance; as it came, if it brings no broker's stamps."""
    if raw is not None and _STAMPS.isdisjoint(message):
        return raw[:-1] + b',"brokerReceivedAt":%d}' % now
    return dump({key: value for key, value in message.items() if key not in _STAMPS} | {"brokerReceivedAt": now})


def hold(state: BrokerState, target: Session, delivery: Delivery) -> None:
    """Put an open delivery into its receiver's mailbox and every index."""
    state.next_seq = max(state.next_seq, delivery.seq + 1)
    state.records[delivery.sender, delivery.id] = delivery
    state.inbound[delivery.target, delivery.id] = delivery
    target.mailbox[delivery.seq] = delivery
    target.mailbox_bytes += len(delivery.body)
    look_at(state, target, delivery.expires_at)


def readdress(state: BrokerState, delivery: Delivery, gone: Session, heir: Session) -> None:
    """Move what waits from one mailbox to another; what the new receiver knows by that id already stays."""
    if (heir.key, delivery.id) in state.inbound:
        return
    del state.inbound[gone.key, delivery.id], gone.mailbox[delivery.seq]
    gone.mailbox_bytes -= len(delivery.body)
    if gone.waiting_senders:
        state.roomy.append(gone)
    delivery.target = heir.key
    delivery.fingerprint = _fingerprint(heir, json.loads(delivery.body))
    hold(state, heir, delivery)
    state.record("readdress", delivery.seq, heir.key.id, delivery.fingerprint)


def look_at(state: BrokerState, target: Session, at: int) -> None:
    """Have the mailbox looked through at `at`: one timer for all that waits, not one each."""
    if not target.expiry_at or at < target.expiry_at:
        target.expiry_at = at
        state.set_timer(at, "mailbox", target.key)


def record(state: BrokerState, delivery: Delivery) -> None:
    state.record(
        "message",
        delivery.seq,
        delivery.id,
        tuple(delivery.sender),
        tuple(delivery.target),
        delivery.sender_info,
        delivery.body,
        delivery.fingerprint,
        delivery.accepted_at,
        delivery.expires_at,
        delivery.expects_reply,
        delivery.reply_to,
        delivery.is_notice,
    )


def dispatch(state: BrokerState, target: Session, delivery: Delivery, now: int) -> None:
    """Write `delivery` to its receiver's endpoint, or leave it waiting; never past what waits already."""
    endpoint = target.endpoint
    if endpoint is None or endpoint.has_backlog or target.is_yielding or now < delivery.hold_until:
        return
    write(state, endpoint, delivery, now)
    if endpoint.generation == "old":
        endings.finish(state, delivery, states.DONE, now)


def dispatch_reply(
    state: BrokerState, connection: Connection, target: Session, ask: Ask, delivery: Delivery, now: int
) -> None:
    """Close the ask that `delivery` answers and write it to who waits there, else as any message."""
    waiter = asks.close_answered(state, connection, ask, delivery, now)
    if waiter is not None:
        write(state, waiter, delivery, now)
    else:
        dispatch(state, target, delivery, now)


def write(state: BrokerState, connection: Connection, delivery: Delivery, now: int) -> None:
    delivery.state = states.SENT
    delivery.attempts += 1
    delivery.sent_to = connection.id
    connection.carried[delivery.seq] = delivery
    connection.receipts_due += RECEIPTS_EACH
    stamped = delivery.body[:-1] + b',"brokerDeliveredAt":%d}' % now
    state.write_raw(
        connection.id, b'{"type":"message","from":' + delivery.sender_info + b',"message":' + stamped + b"}"
    )


def answer_accepted(state: BrokerState, connection: Connection, delivery: Delivery, target: Session) -> None:
    """Tell the sender that its message is held, and whether it is on its way."""
    answer = b'{"type":"delivered","messageId":%b,"delivery":"%b","retryable":false,"outcomeKnown":true' % (
        quote(delivery.id),
        b"queued" if delivery.state == states.QUEUED else b"socket_delivered",
    )
    if connection.generation == "mux":
        answer += roster.addressee(state, target, connection.view) + _queue_before(target, delivery)
    state.write_raw(connection.id, answer + b"}")


def _queue_before(target: Session, delivery: Delivery) -> bytes:
    """Return how many messages wait before this one and why the first of them does: further members of `delivered`."""
    before = len(target.mailbox) - (delivery.seq in target.mailbox)
    if not before:
        return b',"before":0'
    note = next(iter(target.mailbox.values())).note
    return b',"before":%d' % before + (b',"held":' + quote(note) if note else b"")


def _refuse_ended(known: Delivery) -> None:
    """Say again how a message that is sent again has failed, if it has."""
    ends = {
        states.EXPIRED: ("E_DELIVERY_EXPIRED", "Mailbox delivery expired"),
        states.CANCELLED: ("E_DELIVERY_CANCELLED", "Sender cancelled the delivery"),
        states.SUPERSEDED: ("E_DELIVERY_SUPERSEDED", f"Superseded by {known.superseded_by}"),
        states.PARKED: ("E_DELIVERY_FAILED", "Receiver never confirmed the delivery"),
        states.REFUSED: ("E_DELIVERY_FAILED", "Receiver is gone"),
    }
    if known.state in ends:
        raise Refusal(*ends[known.state])


def release_reply(state: BrokerState, connection: Connection, asker: Session, ask_id: str, now: int) -> bool:
    """Write a reply to `ask_id` that waits in the asker's mailbox to `connection`; whether there was one."""
    for delivery in asker.mailbox.values():
        if delivery.reply_to == ask_id and delivery.state == states.QUEUED:
            delivery.hold_until = 0
            write(state, connection, delivery, now)
            return True
    return False


def requeue(connection: Connection) -> None:
    """Take back what a lost connection had not confirmed; it will be redelivered."""
    for delivery in connection.carried.values():
        if delivery.state in states.OPEN_STATES:
            delivery.state = states.QUEUED
            delivery.sent_to = 0
    connection.carried.clear()


def flush(state: BrokerState, target: Session, now: int) -> None:
    """Write what waits for `target`, oldest first, as much as goes at once; park what it never confirms."""
    endpoint = target.endpoint
    if endpoint is None or target.is_yielding:
        return
    endpoint.has_backlog = False
    room = FLUSH_BYTES
    for delivery in [d for d in target.mailbox.values() if d.state == states.QUEUED]:
        if delivery.attempts > state.limits.redeliveries:
            endings.finish(state, delivery, states.PARKED, now)
            endings.notify_sender(state, delivery, "was delivered several times and never confirmed; it is parked", now)
            continue
        if room <= 0:
            endpoint.has_backlog = True
            return
        room -= len(delivery.body)
        dispatch(state, target, delivery, now)
