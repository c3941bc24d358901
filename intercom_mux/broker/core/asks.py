"""Open questions: who waits for whom, until when, and how each wait ends.

Every ask ends in a reply or in a reason that its asker is told. Source of the rules: docs/protocol.md, "Asks".
"""

from __future__ import annotations

from intercom_mux.broker.core import delivery as deliveries
from intercom_mux.broker.core import endings, receipts, roster
from intercom_mux.broker.core.addresses import shown_name
from intercom_mux.broker.core.model import Ask, BrokerState, Connection, Delivery, Json, Session, SessionKey
from intercom_mux.wire import states
from intercom_mux.wire.escalation import gist
from intercom_mux.wire.frames import dump
from intercom_mux.wire.messages import required_id

_DEADLINE_MAX_MS = 7 * 24 * 3_600_000
_PREVIEW = 200
WITHDRAWN = "it was withdrawn"
SUPERSEDED = "another question took its place"


def deadline_of(state: BrokerState, wanted: float | None, now: int) -> int:
    """Return when the ask ends: the deadline that travels with it (at most a week), else the default."""
    if wanted is None:
        wanted = now + state.limits.ask_timeout
    return int(min(max(wanted, now), now + _DEADLINE_MAX_MS))


def check_reply(state: BrokerState, sender: Session, target: Session, message: Json) -> Ask | None:
    """Return the ask that `message` answers, None when it answers none.

    Raises:
        Refusal: `replyTo` names no open ask, or one between other sessions.
    """
    if "replyTo" not in message:
        return None
    ask = state.asks.get((target.key, message["replyTo"]))
    if ask is not None and ask.asked == sender.key:
        return ask
    is_elsewhere = any(other.id == message["replyTo"] for other in state.asks.values())
    which = "the" if is_elsewhere else "a"
    raise deliveries.Refusal("E_REPLY_TARGET", f"Reply target does not match {which} pending ask")


def check_ask(
    state: BrokerState, connection: Connection, sender: Session, target: Session, message: Json, frame: Json
) -> None:
    """Refuse an ask that could never be answered, or that its session may not make now.

    Raises:
        Refusal: The target is away for good or has exited, a waiting cycle would close, or the session waits already.
    """
    name = shown_name(state, target, connection.view) or target.key.id
    if not target.is_connected and not target.holds_mail:
        reason = "Target session is not currently connected; blocking asks are not queued"
        raise deliveries.Refusal("E_TARGET_DISCONNECTED", reason)
    if target.status.startswith("exited"):
        raise deliveries.Refusal("E_TARGET_EXITED", f"{name} has exited and cannot answer")
    answered = (target.key, message["replyTo"]) if "replyTo" in message else None
    cycle = _cycle(state, sender.key, target.key, answered)
    if len(cycle) == 2:
        reason = "Mutual ask refused: target session is already waiting for a reply from this session."
        raise deliveries.Refusal("E_MUTUAL_ASK", reason)
    if cycle:
        names = " → ".join(_name(state, key, connection.view) for key in [*cycle, cycle[0]])
        raise deliveries.Refusal("E_MUTUAL_ASK", f"Ask refused: it would close a waiting cycle: {names}")
    if connection.generation == "mux" and frame.get("blocking") is True:
        group = frame.get("group", "")
        for ask in state.asks_of.get(sender.key, {}).values():
            if ask.waiter and (ask.group != group or not group):
                raise deliveries.Refusal("E_ALREADY_WAITING", "Already waiting for a reply")


def _cycle(
    state: BrokerState, asker: SessionKey, asked: SessionKey, answered: tuple[SessionKey, str] | None
) -> list[SessionKey]:
    """Return the sessions of the waiting cycle that asker → asked would close, the asker first; empty if none."""
    if asker == asked:
        return [asker]
    paths = [[asker, asked]]
    seen = {asked}
    while paths:
        path = paths.pop()
        for ask in state.asks_of.get(path[-1], {}).values():
            following = ask.asked
            if ask.key == answered or following in seen:
                continue
            if following == asker:
                return path
            seen.add(following)
            paths.append([*path, following])
    return []


def _name(state: BrokerState, key: SessionKey, view: str | None) -> str:
    session = state.sessions.get(key)
    return (shown_name(state, session, view) if session else None) or key.id


def open_ask(
    state: BrokerState,
    connection: Connection,
    delivery: Delivery,
    text: str,
    now: int,
    *,
    is_blocking: bool,
    group: str,
) -> None:
    """Remember the edge asker → asked; a blocking asker of ours waits on this connection."""
    ask = Ask(
        id=delivery.id,
        asker=delivery.sender,
        asked=delivery.target,
        created_at=now,
        deadline=delivery.expires_at,
        text=gist(text)[:_PREVIEW],
        is_blocking=is_blocking,
        waiter=connection.id if connection.generation == "mux" and is_blocking else 0,
        group=group,
    )
    add(state, ask)
    state.record("ask", ask.id, tuple(ask.asker), tuple(ask.asked), now, ask.deadline, ask.text, is_blocking, ask.group)


def add(state: BrokerState, ask: Ask) -> None:
    """Put an open ask into the registry and set its timer."""
    state.asks[ask.key] = ask
    state.asks_of.setdefault(ask.asker, {})[ask.id] = ask
    state.set_timer(ask.deadline, "ask", ask.key)


def drop(state: BrokerState, key: tuple[SessionKey, str], outcome: str, *, is_late: bool = False) -> None:
    """Close an ask, if it is open, for `outcome`: answered, cancelled, superseded, expired or ended.

    `is_late`: the journal can tell by itself (`Journal.load`), so that it need not be written now.
    """
    ask = state.asks.pop(key, None)
    if ask is None:
        return
    mine = state.asks_of[ask.asker]
    del mine[ask.id]
    if not mine:
        del state.asks_of[ask.asker]
    (state.record_late if is_late else state.record)("ask_end", tuple(ask.asker), ask.id, outcome)
    for listener in state.listeners.values():
        if listener.session is not None and listener.session.key == ask.asker:
            state.write(
                listener.id, {"type": "mux_event", "event": "ask_closed", "messageId": ask.id, "outcome": outcome}
            )
    asked = state.sessions.get(ask.asked)
    if asked is not None and asked.active_ask == key:
        asked.active_ask = None
    question = state.records.get(key)
    if question is not None and question.state in states.TERMINAL_STATES:
        state.finished.append(question)


def take_back(state: BrokerState, key: tuple[SessionKey, str], outcome: str, by: Connection, reason: str) -> None:
    """Close an ask, if it is open, that its session takes back over `by`; another connection that waits hears why."""
    ask = state.asks.get(key)
    drop(state, key, outcome)
    if ask is not None and ask.waiter != by.id and ask.waiter in state.connections:
        event: Json = {"type": "mux_event", "event": "ask_ended", "messageId": ask.id, "code": "E_ASK_ENDED"}
        state.write(ask.waiter, {**event, "reason": reason})


def close_answered(
    state: BrokerState, connection: Connection, ask: Ask, reply: Delivery, now: int
) -> Connection | None:
    """Close an ask that `reply` answers; return the connection that waits for it, if one does.

    The reply confirms the question too. A blocking asker that was lost with the broker gets a short while to come back
    before its mailbox gets the reply.
    """
    is_late = reply.target == ask.asker
    drop(state, ask.key, "answered", is_late=is_late)
    question, asked = state.records.get(ask.key), state.sessions.get(ask.asked)
    if question is not None and asked is not None:
        receipts.tell_taken(state, asked, connection, question)
        endings.finish(state, question, states.DONE, now, is_late=is_late)
    if ask.is_blocking and ask.resume_until > now and not ask.waiter:
        reply.hold_until = ask.resume_until
        state.set_timer(ask.resume_until, "flush", ask.asker)
    return state.connections.get(ask.waiter) if ask.waiter else None


def resume(state: BrokerState, connection: Connection, asker: Session, ask_id: str, frame: Json, now: int) -> None:
    """Let an asker of ours that sent its ask again wait on `connection`, or give it the reply that came meanwhile."""
    if connection.generation != "mux" or frame.get("blocking") is not True:
        return
    ask = state.asks.get((asker.key, ask_id))
    if ask is not None:
        ask.waiter = connection.id
        ask.is_blocking = True
        return
    if not deliveries.release_reply(state, connection, asker, ask_id, now):
        event: Json = {"type": "mux_event", "event": "ask_ended", "messageId": ask_id, "code": "E_ASK_ENDED"}
        state.write(connection.id, {**event, "reason": "The ask is over; fetch what came of it with `result`"})


def release_waiter(state: BrokerState, connection_id: int) -> None:
    """Turn the blocking asks of a connection that is gone into tickets: the mailbox gets the replies."""
    for ask in state.asks.values():
        if ask.waiter == connection_id:
            ask.waiter = 0
            ask.is_blocking = False


def cancel(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Handle `cancel_ask`: its asker no longer waits, and what has not been begun is withdrawn. No answer."""
    ask_id = required_id(frame, "messageId")
    session = connection.session
    if session is None or not session.owns(connection) or (session.key, ask_id) not in state.asks:
        return
    take_back(state, (session.key, ask_id), "cancelled", connection, WITHDRAWN)
    delivery = state.records.get((session.key, ask_id))
    if delivery is not None and connection.generation == "mux":
        endings.withdraw(state, delivery, states.CANCELLED, now)


def expire(state: BrokerState, key: tuple[SessionKey, str], now: int) -> None:
    """End an ask at its deadline and tell its asker."""
    ask = state.asks.get(key)
    if ask is None:
        return
    if ask.deadline > now:
        state.set_timer(ask.deadline, "ask", key)
        return
    _end(state, ask, now, "expired", "no reply came in time")


def end_asked(state: BrokerState, session: Session, now: int, reason: str) -> None:
    """End every ask that waits for `session`, for a reason its askers are told."""
    for ask in [ask for ask in state.asks.values() if ask.asked == session.key]:
        _end(state, ask, now, "ended", reason)


def end_all_of(state: BrokerState, session: Session, now: int, reason: str) -> None:
    """End every ask to or from `session`; who waits for one is told, its mailbox is not."""
    end_asked(state, session, now, reason)
    for ask in list(state.asks_of.get(session.key, {}).values()):
        if ask.waiter:
            _end(state, ask, now, "ended", reason)
        else:
            drop(state, ask.key, "ended")


def _end(state: BrokerState, ask: Ask, now: int, outcome: str, reason: str) -> None:
    drop(state, ask.key, outcome)
    delivery = state.records.get(ask.key)
    if delivery is not None:
        endings.withdraw(state, delivery, states.EXPIRED if outcome == "expired" else states.REFUSED, now)
    waiter = state.connections.get(ask.waiter) if ask.waiter else None
    if waiter is not None:
        code = "E_ASK_TIMEOUT" if outcome == "expired" else "E_ASK_ENDED"
        event: Json = {"type": "mux_event", "event": "ask_ended", "messageId": ask.id, "code": code}
        state.write(waiter.id, {**event, "reason": reason})
        return
    asker = state.sessions.get(ask.asker)
    if asker is not None and (not asker.holds_mail or _waits_by_itself(ask, asker)):
        _answer_for(state, ask, asker, now, outcome, reason)
    elif asker is not None:
        whom = _name(state, ask.asked, asker.team.id if asker.team else None)
        endings.notice(state, asker, f"Ask {ask.id[:8]} to {whom} ended: {reason}.", now)


def _waits_by_itself(ask: Ask, asker: Session) -> bool:
    """Whether the asker's own v1 client waits for the reply, which no event of ours reaches."""
    return ask.is_blocking and asker.endpoint is not None and asker.endpoint.generation == "v1"


def _answer_for(state: BrokerState, ask: Ask, asker: Session, now: int, outcome: str, reason: str) -> None:
    """Tell a foreign asker that its ask has ended in the only way it knows: a reply from whom it asked.

    At the deadline its own time-out tells it. The key `muxEnded` says that the broker wrote this.
    """
    endpoint, asked = asker.endpoint, state.sessions.get(ask.asked)
    if endpoint is None or asked is None or outcome == "expired":
        return
    text = f"(intercom) The ask ended without a reply: {reason}."
    message: Json = {"id": f"ended-{next(state.new_epoch)}", "timestamp": now, "replyTo": ask.id}
    message |= {"content": {"text": text}, "brokerReceivedAt": now, "brokerDeliveredAt": now, "muxEnded": "E_ASK_ENDED"}
    head = b'{"type":"message","from":' + roster.describe(state, asked, endpoint.view)
    state.write_raw(endpoint.id, head + b',"message":' + dump(message) + b"}")
