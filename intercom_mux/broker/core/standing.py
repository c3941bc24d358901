"""Who waits for whom in a scope, and how much mail waits for each: what `list` and `wait` ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.broker.core.addresses import shown_name
from intercom_mux.wire import states
from intercom_mux.wire.frames import MAX_FRAME_BYTES, dump

if TYPE_CHECKING:
    from intercom_mux.broker.core.model import Ask, BrokerState, Connection, Json, Session, SessionKey

_ROOM = MAX_FRAME_BYTES // 2


def waits(state: BrokerState, connection: Connection, me: Session, _frame: Json, now: int) -> Json:
    """Return the open asks of my scope, oldest first and without their texts, and `mail`: id → waiting messages.

    What would not fit a frame is cut at its end.
    """

    def name(key: SessionKey) -> str:
        session = state.sessions.get(key)
        return (shown_name(state, session, connection.view) if session else None) or key.id

    def row(ask: Ask) -> Json:
        question = state.records.get(ask.key)
        return {
            "id": ask.id,
            "from": name(ask.asker),
            "from_id": ask.asker.id,
            "to": name(ask.asked),
            "to_id": ask.asked.id,
            "age_s": (now - ask.created_at) // 1000,
            "is_blocking": ask.is_blocking,
            "state": question.state if question else states.DONE,
            "note": question.note if question else "",
        }

    rows, mail, room = [], {}, _ROOM
    for ask in state.asks.values():
        if ask.asker.scope == me.key.scope and room > 0:
            rows.append(row(ask))
            room -= len(dump(rows[-1])) + 1
    room = _ROOM // 2
    for key, session in state.sessions.items():
        if session.mailbox and key.scope == me.key.scope and room > 0:
            mail[key.id] = len(session.mailbox)
            room -= len(dump(key.id)) + 12
    return {"asks": rows, "mail": mail}
