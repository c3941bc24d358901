"""Receipts: what a receiver says became of a message, and who hears of it.

Source of the rules: docs/protocol.md, "Delivery".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.broker.core import endings, roster
from intercom_mux.wire import states
from intercom_mux.wire.frames import dump
from intercom_mux.wire.messages import check_receipt

if TYPE_CHECKING:
    from intercom_mux.broker.core.model import BrokerState, Connection, Delivery, Json, Session

_NOTE_LENGTH = 200
_RECEIPT_STATES = {
    "receiver_received": states.RECEIVED,
    "queued": states.RECEIVED,
    "acknowledged": states.DONE,
    "injected": states.DONE,
    "superseded": states.SUPERSEDED,
    "expired": states.EXPIRED,
}


def receive(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Take a receiver's receipt: advance the message, tell its sender."""
    value = check_receipt(frame.get("receipt"))
    receiver = connection.session
    if receiver is None or not receiver.owns(connection):
        return
    delivery = state.inbound.get((receiver.key, value["messageId"]))
    if delivery is None:
        return
    delivery.note = str(value.get("detail") or delivery.note)[:_NOTE_LENGTH]
    to = _RECEIPT_STATES.get(value["status"])
    if value["status"] == "injected" and (delivery.sender, delivery.id) in state.asks:
        receiver.active_ask = (delivery.sender, delivery.id)
    if to in states.TERMINAL_STATES:
        tell_taken(state, receiver, connection, delivery)
        endings.finish(state, delivery, to, now)
    elif to is not None and states.can_advance(delivery.state, to):
        delivery.state = to
        delivery.attempts = 1
    forward(state, receiver, delivery, dump(value))


def tell_taken(state: BrokerState, receiver: Session, taker: Connection, delivery: Delivery) -> None:
    """Have an endpoint of ours drop its copy of what another connection of its session has read."""
    endpoint = receiver.receiver_of(delivery)
    if endpoint is None or endpoint is taker or endpoint.generation != "mux":
        return
    if delivery.sent_to == endpoint.id and delivery.state in states.OPEN_STATES:
        state.write(endpoint.id, {"type": "mux_event", "event": "taken", "messageId": delivery.id})


def watch(state: BrokerState, connection: Connection, delivery: Delivery) -> None:
    """Have a connection of the sender hear every receipt for a message, and its end, even one that came already."""
    delivery.watcher = connection.id
    if delivery.state in states.TERMINAL_STATES:
        tell_end(state, delivery)


def tell_end(state: BrokerState, delivery: Delivery) -> None:
    """Tell who watches a message that it has ended, and how."""
    if delivery.watcher in state.connections:
        event = {"type": "mux_event", "event": "message_ended", "messageId": delivery.id}
        state.write(delivery.watcher, {**event, "state": delivery.state, "note": delivery.note})


def forward(state: BrokerState, receiver: Session, delivery: Delivery, receipt: bytes) -> None:
    """Pass a receipt on to whoever waits for the ask or watches the message, else to the sender's endpoint.

    Never to a 0.6-era client.
    """
    sender = state.sessions.get(delivery.sender)
    ask = state.asks.get((delivery.sender, delivery.id))
    listener = (ask.waiter if ask else 0) or delivery.watcher
    connection = state.connections.get(listener) or (sender.endpoint if sender else None)
    if connection is None or connection.generation == "old":
        return
    head = b'{"type":"message_receipt","from":' + roster.describe(state, receiver, connection.view)
    state.write_raw(connection.id, head + b',"receipt":' + receipt + b"}")
