"""One message from its sender to its receiver: accept, deliver, receipt, redeliver, cancel, expire.

A message is recorded before its sender hears `delivered` and is held until its receiver's `acknowledged` or `injected`.
Source of the rules: docs/protocol.md, "Delivery".
"""

from __future__ import annotations

from hashlib import blake2b

from intercom_mux.broker.core import asks, sessions
from intercom_mux.broker.core.addresses import known_names, resolve, shown_name
from intercom_mux.broker.core.model import BrokerState, Connection, Delivery, Json, Session, SessionKey
from intercom_mux.errors import ProtocolError
from intercom_mux.wire import states
from intercom_mux.wire.frames import MAX_FRAME_BYTES, dump
from intercom_mux.wire.messages import check_message, check_receipt, required_string

SYSTEM_ID = "intercom-mux"
"""Id and name of the broker itself where it writes to a session."""

_ENVELOPE_BYTES = 128
_RECEIPT_STATES = {
    "receiver_received": states.RECEIVED,
    "queued": states.RECEIVED,
    "acknowledged": states.DONE,
    "injected": states.DONE,
    "superseded": states.SUPERSEDED,
    "expired": states.EXPIRED,
}


class Refusal(Exception):
    """Why a message is not accepted: `code` and `reason` of docs/protocol.md."""

    def __init__(self, code: str, reason: str, *, retryable: bool = False, names: list[str] | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retryable = retryable
        self.names = names


def send(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
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
        target = _target(state, connection, sender, address, frame)
        accept(state, connection, sender, target, message, frame, now)
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


def _target(state: BrokerState, connection: Connection, sender: Session, address: str, frame: Json) -> Session:
    """Return the session to deliver to: the exact pair (`targetId`, `targetEpoch`) or the address ladder."""
    scope = sender.key.scope
    if "targetId" in frame or "targetEpoch" in frame:
        exact_id, epoch = frame.get("targetId"), frame.get("targetEpoch")
        if type(exact_id) is not str or type(epoch) is not str or not exact_id or not epoch:
            raise Refusal("E_INVALID_TARGET", "Exact target requires an id and endpoint epoch")
        target = state.sessions.get(SessionKey(scope, exact_id))
        if target is None or not (target.is_connected or target.holds_mail):
            raise Refusal("E_TARGET_NOT_FOUND", "Session not found")
        if target.epoch != epoch:
            raise Refusal("E_TARGET_REBOUND", "Target endpoint changed before delivery", retryable=True)
        return target
    found = resolve(state, connection, scope, address)
    if found.session is None:
        raise Refusal(found.code, found.reason, names=known_names(state, connection, scope))
    return found.session


def accept(
    state: BrokerState,
    connection: Connection,
    sender: Session,
    target: Session,
    message: Json,
    frame: Json,
    now: int,
) -> None:
    """Take responsibility for `message`, send it on if its receiver is there, and answer `delivered`.

    The same id with the same content again repeats the answer and delivers nothing.

    Raises:
        Refusal: It may not be accepted; nothing changed.
    """
    print_ = _fingerprint(target, message)
    known = state.records.get((sender.key, message["id"]))
    if known is not None:
        _answer_again(state, connection, known, target, print_, now)
        return
    if target is sender and connection.generation == "mux":
        raise Refusal("E_SELF_TARGET", "Cannot message the current session")
    asked = asks.check_reply(state, sender, target, message)
    _check_capacity(state, target)
    if message.get("expectsReply"):
        asks.check_ask(state, connection, sender, target, message, frame)
    delivery = _new_delivery(state, sender, target, message, print_, now)
    if "supersedes" in message:
        _supersede(state, sender, target, message, now)
    hold(state, target, delivery)
    _record(state, delivery)
    if message.get("expectsReply"):
        asks.open_ask(state, connection, delivery, message, frame, now)
    waiter = asks.close_answered(state, asked, delivery, now) if asked is not None else None
    if waiter is not None:
        _write(state, waiter, delivery, now)
    else:
        _dispatch(state, target, delivery, now)
    _answer_accepted(state, connection, delivery, target)


def _fingerprint(target: Session, message: Json) -> bytes:
    content = message["content"]
    parts = [target.key.id, content["text"], content.get("attachments")]
    parts += [message.get(key) for key in ("replyTo", "expectsReply", "supersedes", "retryOf")]
    return blake2b(dump(parts), digest_size=16).digest()


def _check_capacity(state: BrokerState, target: Session) -> None:
    limits = state.limits
    if len(target.mailbox) >= limits.mailbox_messages or target.mailbox_bytes >= limits.mailbox_bytes:
        raise Refusal("E_MAILBOX_FULL", f"Mailbox of the target is full: {len(target.mailbox)} messages are waiting")


def _new_delivery(
    state: BrokerState, sender: Session, target: Session, message: Json, fingerprint: bytes, now: int
) -> Delivery:
    body = {k: v for k, v in message.items() if k != "brokerDeliveredAt"}
    body["brokerReceivedAt"] = now
    sender_info = sessions.describe(state, sender, target.team.id if target.team else None)
    delivery = Delivery(
        seq=state.next_seq,
        id=message["id"],
        sender=sender.key,
        target=target.key,
        sender_info=sender_info,
        body=dump(body),
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
        delivery.expires_at = asks.deadline_of(state, message, now)
    return delivery


def hold(state: BrokerState, target: Session, delivery: Delivery) -> None:
    """Put an open delivery into its receiver's mailbox and every index."""
    state.next_seq = max(state.next_seq, delivery.seq + 1)
    state.records[delivery.sender, delivery.id] = delivery
    state.inbound[delivery.target, delivery.id] = delivery
    target.mailbox[delivery.seq] = delivery
    target.mailbox_bytes += len(delivery.body)
    state.set_timer(delivery.expires_at, "delivery", (delivery.sender, delivery.id))


def _record(state: BrokerState, delivery: Delivery) -> None:
    state.record(
        "message",
        delivery.seq,
        delivery.id,
        delivery.sender,
        delivery.target,
        delivery.sender_info,
        delivery.body,
        delivery.fingerprint,
        delivery.accepted_at,
        delivery.expires_at,
        delivery.expects_reply,
        delivery.reply_to,
        delivery.is_notice,
    )


def _dispatch(state: BrokerState, target: Session, delivery: Delivery, now: int) -> None:
    """Write `delivery` to its receiver's endpoint, or leave it waiting."""
    endpoint = target.endpoint
    if endpoint is None or now < delivery.hold_until:
        return
    _write(state, endpoint, delivery, now)
    if endpoint.generation == "old":
        finish(state, delivery, states.DONE, now)


def _write(state: BrokerState, connection: Connection, delivery: Delivery, now: int) -> None:
    delivery.state = states.SENT
    delivery.attempts += 1
    delivery.sent_to = connection.id
    connection.carried[delivery.seq] = delivery
    stamped = delivery.body[:-1] + b',"brokerDeliveredAt":%d}' % now
    state.write_raw(
        connection.id, b'{"type":"message","from":' + delivery.sender_info + b',"message":' + stamped + b"}"
    )


def _answer_accepted(state: BrokerState, connection: Connection, delivery: Delivery, target: Session) -> None:
    answer: Json = {
        "type": "delivered",
        "messageId": delivery.id,
        "delivery": "queued" if delivery.state == states.QUEUED else "socket_delivered",
        "retryable": False,
        "outcomeKnown": True,
    }
    if connection.generation == "mux":
        answer["to"] = shown_name(state, target, connection.view) or target.key.id
        answer["targetId"] = target.key.id
        answer["status"] = target.status
    state.write(connection.id, answer)


def _answer_again(
    state: BrokerState, connection: Connection, known: Delivery, target: Session, fingerprint: bytes, now: int
) -> None:
    """Repeat the answer to a message sent again; an asker that came back waits on this connection from now on."""
    if known.fingerprint != fingerprint:
        raise Refusal("E_MESSAGE_ID_REUSE", "Message id was reused with different authored content")
    ends = {
        states.EXPIRED: ("E_DELIVERY_EXPIRED", "Mailbox delivery expired"),
        states.CANCELLED: ("E_DELIVERY_CANCELLED", "Sender cancelled the delivery"),
        states.SUPERSEDED: ("E_DELIVERY_SUPERSEDED", "Superseded by a later message"),
        states.PARKED: ("E_DELIVERY_FAILED", "Receiver never confirmed the delivery"),
        states.REFUSED: ("E_DELIVERY_FAILED", "Receiver is gone"),
    }
    if known.state in ends:
        raise Refusal(*ends[known.state])
    _answer_accepted(state, connection, known, target)
    if known.expects_reply:
        asks.resume(state, connection, known.id, now)


def release_reply(state: BrokerState, connection: Connection, asker: Session, ask_id: str, now: int) -> bool:
    """Write a reply to `ask_id` that waits in the asker's mailbox to `connection`; whether there was one."""
    for delivery in asker.mailbox.values():
        if delivery.reply_to == ask_id and delivery.state == states.QUEUED:
            delivery.hold_until = 0
            _write(state, connection, delivery, now)
            return True
    return False


def requeue(connection: Connection) -> None:
    """Take back what a lost connection had not confirmed; it will be redelivered."""
    for delivery in connection.carried.values():
        if delivery.state in states.OPEN_STATES:
            delivery.state = states.QUEUED
            delivery.sent_to = 0
    connection.carried.clear()


def flush(state: BrokerState, target: Session, now: int, *, is_return: bool) -> None:
    """Write what waits for `target`, oldest first; on its return, park what it has failed to confirm too often."""
    if target.endpoint is None:
        return
    for delivery in list(target.mailbox.values()):
        if delivery.state != states.QUEUED:
            continue
        if is_return and delivery.attempts > state.limits.redeliveries:
            finish(state, delivery, states.PARKED, now)
            notify_sender(state, delivery, "was delivered several times and never confirmed; it is parked", now)
            continue
        _dispatch(state, target, delivery, now)


def receipt(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Take a receiver's receipt: advance the message, tell its sender."""
    value = check_receipt(frame.get("receipt"))
    receiver = connection.session
    if receiver is None or not receiver.owns(connection):
        return
    delivery = state.inbound.get((receiver.key, value["messageId"]))
    if delivery is None:
        return
    to = _RECEIPT_STATES.get(value["status"])
    if value["status"] == "injected" and delivery.id in state.asks:
        receiver.active_ask = delivery.id
    if to is not None and delivery.state in states.OPEN_STATES:
        if to in states.TERMINAL_STATES:
            finish(state, delivery, to, now)
        else:
            delivery.state = to
    forward_receipt(state, receiver, delivery, value)


def forward_receipt(state: BrokerState, receiver: Session, delivery: Delivery, value: Json) -> None:
    """Pass a receipt on to whoever waits for the ask, else to the sender's endpoint; never to a 0.6-era client."""
    sender = state.sessions.get(delivery.sender)
    ask = state.asks.get(delivery.id)
    connection = state.connections.get(ask.waiter) if ask and ask.waiter else (sender.endpoint if sender else None)
    if connection is None or connection.generation == "old":
        return
    head = b'{"type":"message_receipt","from":' + sessions.describe(state, receiver, connection.view)
    state.write_raw(connection.id, head + b',"receipt":' + dump(value) + b"}")


def finish(state: BrokerState, delivery: Delivery, to: str, now: int) -> None:
    """Bring a delivery to its end: off the mailbox, into the record that answers a resend."""
    if not states.can_advance(delivery.state, to):
        return
    delivery.state = to
    delivery.finished_at = now
    target = state.sessions.get(delivery.target)
    if target is not None and target.mailbox.pop(delivery.seq, None) is not None:
        target.mailbox_bytes -= len(delivery.body)
    carrier = state.connections.get(delivery.sent_to)
    if carrier is not None:
        carrier.carried.pop(delivery.seq, None)
    delivery.body = delivery.sender_info = b""
    state.record("finish", delivery.seq, to, now)
    state.finished.append(delivery)
    trim_records(state, now)


def trim_records(state: BrokerState, now: int) -> None:
    """Forget ended deliveries that are too old or too many to answer a resend."""
    finished, limits = state.finished, state.limits
    while finished and (len(finished) > limits.records or finished[0].finished_at < now - limits.record_ttl):
        gone = finished.popleft()
        state.records.pop((gone.sender, gone.id), None)
        if state.inbound.get((gone.target, gone.id)) is gone:
            del state.inbound[gone.target, gone.id]


def cancel(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Handle `cancel_message`: withdraw what waits, ask the receiver to drop what it has."""
    message_id = required_string(frame, "messageId")
    sender = connection.session
    delivery = state.records.get((sender.key, message_id)) if sender and sender.owns(connection) else None
    if delivery is None or delivery.state not in {*states.OPEN_STATES, states.DONE}:
        reason = "Message cannot be cancelled by this session"
        state.write(connection.id, {"type": "delivery_failed", "messageId": message_id, "reason": reason})
        return
    control(state, delivery, "cancel", now)
    asks.drop(state, message_id, "cancelled")
    finish(state, delivery, states.CANCELLED, now)
    state.write(connection.id, {"type": "delivered", "messageId": message_id})


def withdraw(state: BrokerState, delivery: Delivery, now: int) -> None:
    """Take back an ask that nobody waits for any more, if its receiver has not begun with it."""
    if delivery.state in states.OPEN_STATES:
        target = state.sessions.get(delivery.target)
        if delivery.sent_to and target and target.endpoint and target.endpoint.generation == "mux":
            control(state, delivery, "cancel", now)
        finish(state, delivery, states.CANCELLED, now)


def control(state: BrokerState, delivery: Delivery, action: str, now: int, by: str | None = None) -> None:
    """Tell the receiver's endpoint about a message it was given: `cancel`, or `supersede` with the later id."""
    target = state.sessions.get(delivery.target)
    endpoint = target.endpoint if target else None
    if endpoint is None or endpoint.generation == "old" or not delivery.attempts:
        return
    sender = state.sessions.get(delivery.sender)
    if sender is None:
        return
    value: Json = {"messageId": delivery.id, "action": action, "timestamp": now}
    if by is not None:
        value["supersededBy"] = by
    head = b'{"type":"message_control","from":' + sessions.describe(state, sender, endpoint.view)
    state.write_raw(endpoint.id, head + b',"control":' + dump(value) + b"}")


def _supersede(state: BrokerState, sender: Session, target: Session, message: Json, now: int) -> None:
    earlier = state.records.get((sender.key, message["supersedes"]))
    if earlier is None or earlier.target != target.key:
        reason = "Supersede target does not match a previous message from this sender to this receiver"
        raise Refusal("E_SUPERSEDE_TARGET", reason)
    control(state, earlier, "supersede", now, message["id"])
    asks.drop(state, earlier.id, "superseded")
    finish(state, earlier, states.SUPERSEDED, now)


def expire(state: BrokerState, key: tuple[SessionKey, str], now: int) -> None:
    """End a delivery whose time is over and tell its sender."""
    delivery = state.records.get(key)
    if delivery is None or delivery.state not in states.OPEN_STATES:
        return
    if delivery.expires_at > now:
        state.set_timer(delivery.expires_at, "delivery", key)
        return
    was_ask = delivery.id in state.asks
    finish(state, delivery, states.EXPIRED, now)
    if not was_ask:
        notify_sender(state, delivery, "expired before it could be delivered", now)


def refuse_all(state: BrokerState, target: Session, now: int, reason: str) -> None:
    """End everything that waits for a session that will not come back, and tell the senders."""
    for delivery in list(target.mailbox.values()):
        finish(state, delivery, states.REFUSED, now)
        notify_sender(state, delivery, f"was not delivered: {reason}", now)


def notify_sender(state: BrokerState, delivery: Delivery, what: str, now: int) -> None:
    """Tell the sender of an ended message what became of it; a notice never causes another one."""
    sender = state.sessions.get(delivery.sender)
    if sender is None or delivery.is_notice or delivery.expects_reply:
        return
    target = state.sessions.get(delivery.target)
    whom = (shown_name(state, target, sender.team.id if sender.team else None) if target else None) or "its receiver"
    notice(state, sender, f"Message {delivery.id[:8]} to {whom} {what}.", now)


def notice(state: BrokerState, session: Session, text: str, now: int) -> None:
    """Write a message of the broker's own to one of our sessions; a foreign one is not bothered."""
    if not session.holds_mail:
        return
    seq = state.next_seq
    body = {"id": f"notice-{seq}", "timestamp": now, "content": {"text": text}, "brokerReceivedAt": now}
    info = {"id": SYSTEM_ID, "name": SYSTEM_ID, "cwd": "/", "model": "broker", "pid": 0, "startedAt": 0}
    delivery = Delivery(
        seq=seq,
        id=f"notice-{seq}",
        sender=SessionKey(session.key.scope, SYSTEM_ID),
        target=session.key,
        sender_info=dump({**info, "lastActivity": now}),
        body=dump(body),
        fingerprint=b"",
        accepted_at=now,
        expires_at=now + state.limits.message_ttl,
        state=states.QUEUED,
        is_notice=True,
    )
    hold(state, session, delivery)
    _record(state, delivery)
    _dispatch(state, session, delivery, now)
