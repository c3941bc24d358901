"""How deliveries end: finished, cancelled, superseded, expired, refused; and the broker's own notices about it.

Expiry and refusal are told to the sender, never silent. Source of the rules: docs/protocol.md, "Delivery".
"""

from __future__ import annotations

from intercom_mux.broker.core import asks, receipts, roster
from intercom_mux.broker.core import delivery as deliveries
from intercom_mux.broker.core.addresses import shown_name
from intercom_mux.broker.core.model import BrokerState, Connection, Delivery, Json, Session, SessionKey
from intercom_mux.wire import states
from intercom_mux.wire.frames import dump
from intercom_mux.wire.messages import required_id

SYSTEM_ID = "intercom-mux"
"""Id and name of the broker itself where it writes to a session."""


def finish(state: BrokerState, delivery: Delivery, to: str, now: int, *, is_late: bool = False) -> None:
    """Bring a delivery to its end: off the mailbox, into the record that answers a resend.

    `is_late`: what is on disk already tells it (a question that has its reply), so it need not be written now.
    """
    if not states.can_advance(delivery.state, to):
        return
    target = state.sessions.get(delivery.target)
    carrier = state.connections.get(delivery.sent_to)
    close(state, delivery, target, carrier, to, now, is_late=is_late)
    if delivery.watcher:
        receipts.tell_end(state, delivery)


def close(
    state: BrokerState,
    delivery: Delivery,
    target: Session | None,
    carrier: Connection | None,
    to: str,
    now: int,
    *,
    is_late: bool = False,
) -> None:
    """Take an open delivery off the mailbox of `target` and off the connection that carries it, without a word."""
    delivery.state = to
    delivery.finished_at = now
    if target is not None and target.mailbox.pop(delivery.seq, None) is not None:
        target.mailbox_bytes -= len(delivery.body)
        if target.waiting_senders:
            state.roomy.append(target)
    if carrier is not None:
        carrier.carried.pop(delivery.seq, None)
    delivery.body = delivery.sender_info = b""
    (state.record_late if is_late else state.record)("finish", delivery.seq, to, now)
    if (delivery.sender, delivery.id) not in state.asks:
        state.finished.append(delivery)
    trim_records(state, now)


def trim_records(state: BrokerState, now: int) -> None:
    """Forget ended deliveries that are too old or too many to answer a resend; a question stays while its ask does."""
    finished, limits = state.finished, state.limits
    while finished and (len(finished) > limits.records or finished[0].finished_at < now - limits.record_ttl):
        gone = finished.popleft()
        if state.records.get((gone.sender, gone.id)) is gone:
            del state.records[gone.sender, gone.id]
        if state.inbound.get((gone.target, gone.id)) is gone:
            del state.inbound[gone.target, gone.id]


def cancel(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Handle `cancel_message`: withdraw what waits, ask the receiver to drop what it has."""
    message_id = required_id(frame, "messageId")
    sender = connection.session
    delivery = state.records.get((sender.key, message_id)) if sender and sender.owns(connection) else None
    if delivery is None or delivery.state not in {*states.OPEN_STATES, states.DONE, states.CANCELLED}:
        reason = "Message cannot be cancelled by this session"
        state.write(connection.id, {"type": "delivery_failed", "messageId": message_id, "reason": reason})
        return
    if delivery.state != states.CANCELLED:
        control(state, delivery, "cancel", now)
    asks.take_back(state, (delivery.sender, message_id), "cancelled", connection, asks.WITHDRAWN)
    finish(state, delivery, states.CANCELLED, now)
    state.write(connection.id, {"type": "delivered", "messageId": message_id})


def withdraw(state: BrokerState, delivery: Delivery, to: str, now: int) -> None:
    """End what nobody waits for any more in state `to`; a receiver of ours that has not begun with it drops it."""
    if delivery.state in states.OPEN_STATES:
        target = state.sessions.get(delivery.target)
        holder = target.receiver_of(delivery) if target and delivery.sent_to else None
        if holder is not None and holder.generation == "mux":
            control(state, delivery, "cancel", now)
        finish(state, delivery, to, now)


def control(state: BrokerState, delivery: Delivery, action: str, now: int, by: str | None = None) -> None:
    """Tell the receiver's endpoint about a message it was given: `cancel`, or `supersede` with the later id."""
    target = state.sessions.get(delivery.target)
    endpoint = target.receiver_of(delivery) if target else None
    if endpoint is None or endpoint.generation == "old" or not delivery.attempts:
        return
    sender = state.sessions.get(delivery.sender)
    if sender is None:
        return
    value: Json = {"messageId": delivery.id, "action": action, "timestamp": now}
    if by is not None:
        value["supersededBy"] = by
    head = b'{"type":"message_control","from":' + roster.describe(state, sender, endpoint.view)
    state.write_raw(endpoint.id, head + b',"control":' + dump(value) + b"}")


def check_supersedes(state: BrokerState, sender: Session, target: Session, message: Json) -> Delivery | None:
    """Return the message that `message` replaces, None when it replaces none.

    Raises:
        Refusal: There is none from this sender to this receiver.
    """
    if "supersedes" not in message:
        return None
    earlier = state.records.get((sender.key, message["supersedes"]))
    if earlier is None or earlier.target != target.key:
        reason = "Supersede target does not match a previous message from this sender to this receiver"
        raise deliveries.Refusal("E_SUPERSEDE_TARGET", reason)
    return earlier


def supersede(state: BrokerState, connection: Connection, earlier: Delivery, by: str, now: int) -> None:
    """End `earlier` in favour of the message `by`, which came over `connection`; its receiver is told first."""
    earlier.superseded_by = by
    control(state, earlier, "supersede", now, by)
    asks.take_back(state, (earlier.sender, earlier.id), "superseded", connection, asks.SUPERSEDED)
    finish(state, earlier, states.SUPERSEDED, now)


def expire_mailbox(state: BrokerState, target: Session, now: int) -> None:
    """End what has waited for its whole time to live and tell the senders; open asks have timers of their own."""
    if now < target.expiry_at:
        return
    target.expiry_at = 0
    for delivery in [d for d in target.mailbox.values() if (d.sender, d.id) not in state.asks]:
        if delivery.expires_at <= now:
            withdraw(state, delivery, states.EXPIRED, now)
            notify_sender(state, delivery, "expired before it could be delivered", now)
    left = [d.expires_at for d in target.mailbox.values() if d.expires_at > now]
    if left:
        deliveries.look_at(state, target, min(left))


def refuse_all(state: BrokerState, target: Session, now: int, reason: str) -> None:
    """End everything that waits for a session that will not come back, and tell the senders."""
    for delivery in list(target.mailbox.values()):
        finish(state, delivery, states.REFUSED, now)
        notify_sender(state, delivery, f"was not delivered: {reason}", now)


def notify_sender(state: BrokerState, delivery: Delivery, what: str, now: int) -> None:
    """Tell the sender of an ended message what became of it: ours by a notice, which never causes another one; a
    foreign one, while it is connected, by the receipt `expired`."""
    sender = state.sessions.get(delivery.sender)
    if sender is None or delivery.is_notice or delivery.expects_reply:
        return
    target = state.sessions.get(delivery.target)
    if target is not None and not sender.holds_mail:
        receipt_ = {"messageId": delivery.id, "status": "expired", "timestamp": now, "detail": what}
        receipts.forward(state, target, delivery, dump(receipt_))
        return
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
    deliveries.hold(state, session, delivery)
    deliveries.record(state, delivery)
    deliveries.dispatch(state, session, delivery, now)
