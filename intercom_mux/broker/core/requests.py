"""Our own requests: `{"type": "mux", "requestId", "op", ...}` answered by one `mux_result`; only for clients of ours.

Each operation returns its value, or None when the journal answers (`Lookup`). Source: docs/protocol.md, "Additions".
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from intercom_mux.broker.core import adoption, delivery, endings, native, receipts, roster, sessions, standing, tasks
from intercom_mux.broker.core.addresses import set_name, shown_name
from intercom_mux.broker.core.delivery import Refusal
from intercom_mux.broker.core.fields import ROWS_BYTES, fitting, text
from intercom_mux.broker.core.model import (
    Ask,
    BrokerState,
    Connection,
    Delivery,
    Json,
    Lookup,
    Session,
    SessionKey,
)
from intercom_mux.errors import ProtocolError
from intercom_mux.wire import states
from intercom_mux.wire.frames import Frame, dump
from intercom_mux.wire.messages import (
    MAX_ID_CHARS,
    MAX_SHOWN_CHARS,
    check_message,
    is_id,
    required_id,
    required_string,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_INBOX_ROWS = 200
_REASON_CHARS = 1_000
_TURN_CHARS = 4_000


def handle(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Carry one request out and answer it; a refusal is answered with its code and reason."""
    request_id = required_id(frame, "requestId")
    operation = _OPERATIONS.get(required_string(frame, "op"))
    session = connection.session
    answer: Json = {"type": "mux_result", "requestId": request_id}
    try:
        if operation is None:
            raise Refusal("E_UNKNOWN_OPERATION", f"Unknown operation {frame['op'][:64]!r}")
        if session is None or not session.owns(connection):
            raise Refusal("E_SENDER_NOT_FOUND", "Sender session not found")
        value = operation(state, connection, session, frame, now)
    except Refusal as refusal:
        error: Json = {"code": refusal.code, "message": refusal.reason}
        if refusal.names is not None:
            error["names"] = refusal.names
        state.write(connection.id, {**answer, "ok": False, "error": error})
        return
    if value is not None:
        state.write(connection.id, {**answer, "ok": True, "value": value})


def _other(state: BrokerState, key: SessionKey, view: str | None) -> str:
    session = state.sessions.get(key)
    return (shown_name(state, session, view) if session else None) or key.id


def _pending(state: BrokerState, connection: Connection, me: Session, _frame: Json, now: int) -> Json:
    """Return the open asks to me and from me, oldest first."""

    def row(ask: Ask, other: SessionKey) -> Json:
        sent = state.records.get(ask.key)
        return {
            "id": ask.id,
            "with": _other(state, other, connection.view),
            "text": ask.text,
            "age_s": (now - ask.created_at) // 1000,
            "left_s": max(0, ask.deadline - now) // 1000,
            "is_blocking": ask.is_blocking,
            "is_active": ask.key == me.active_ask,
            "state": sent.state if sent else states.DONE,
            "note": sent.note if sent else "",
            **({"turn": ask.turn} if ask.turn else {}),
        }

    to_me = (row(ask, ask.asker) for ask in state.asks.values() if ask.asked == me.key)
    from_me = (row(ask, ask.asked) for ask in state.asks.values() if ask.asker == me.key)
    return {"to_me": fitting(to_me, ROWS_BYTES // 2), "from_me": fitting(from_me, ROWS_BYTES // 2)}


def _reply(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> Json:
    """Answer the ask that `to` names, else the active one, else the only pending one.

    An ask that is over already gets the text as an ordinary message, so that the work is not lost; one that was
    answered for us at the end of a turn, as a correction. The same message id again repeats the answer.

    `auto`: the text is a turn's last words, given without the agent's doing; only an open ask of this very id gets it.
    """
    message = check_message(frame.get("message"))
    wanted = text(frame, "to")
    is_auto = frame.get("auto") is True
    if is_auto:
        message["id"], message["auto"] = _auto_id(wanted), True
    known = state.records.get((me.key, message["id"]))
    if known is not None:
        return _replied(state, connection, known, wanted)
    ask = _exact_ask(state, me, wanted) if is_auto else _pick_ask(state, connection, me, wanted)
    late = None
    if ask is not None:
        target_key, message["replyTo"] = ask.asker, ask.id
    else:
        late = None if is_auto else _ended_ask(state, me, wanted)
        if late is None:
            raise Refusal("E_NO_PENDING_ASK", f'No pending ask from "{wanted}"', names=_askers(state, connection, me))
        target_key = late.sender
        answered = state.records.get((me.key, _auto_id(late.id)))
        message["correctionOf" if answered else "retryOf"] = answered.id if answered else late.id
    target = state.sessions.get(target_key)
    if target is None:
        raise Refusal("E_TARGET_NOT_FOUND", "Session not found")
    accepted = delivery.accept(state, connection, me, target, message, Frame({}), now)
    return _replied(state, connection, accepted, late.id if late else "")


def _auto_id(ask_id: str) -> str:
    """Return the id of the answer that is given for a peer: the same however often it is tried."""
    return f"auto-{ask_id}"[:MAX_ID_CHARS]


def _note(state: BrokerState, connection: Connection, me: Session, frame: Json, _now: int) -> Json:
    """Tell the asker of an open ask to me that a turn has ended without an answer; it goes on waiting.

    `kind` is "ended", with the turn's last words, or "idle", with the end of the screen.
    """
    wanted = text(frame, "ask")
    ask = _exact_ask(state, me, wanted)
    if ask is None:
        raise Refusal("E_NO_PENDING_ASK", f'No pending ask "{wanted}"', names=_askers(state, connection, me))
    ask.turn = {"kind": text(frame, "kind")[:MAX_SHOWN_CHARS], "text": text(frame, "text")[:_TURN_CHARS]}
    if ask.waiter in state.connections:
        state.write(ask.waiter, {"type": "mux_event", "event": "ask_note", "messageId": ask.id, **ask.turn})
    return {"askId": ask.id}


def _replied(state: BrokerState, connection: Connection, accepted: Delivery, late_id: str) -> Json:
    return {
        "messageId": accepted.id,
        "askId": accepted.reply_to or late_id,
        "to": _other(state, accepted.target, connection.view),
        "delivery": "queued" if accepted.state == states.QUEUED else "socket_delivered",
        "isLate": accepted.reply_to is None,
    }


def _pick_ask(state: BrokerState, connection: Connection, me: Session, wanted: str) -> Ask | None:
    mine = [ask for ask in state.asks.values() if ask.asked == me.key]
    if wanted:
        found = [ask for ask in mine if ask.id == wanted] or [
            ask
            for ask in mine
            if ask.id.startswith(wanted) or _other(state, ask.asker, connection.view).casefold() == wanted.casefold()
        ]
    else:
        found = [ask for ask in mine if ask.key == me.active_ask] or mine
        if not found:
            raise Refusal("E_NO_PENDING_ASK", "No active intercom context to reply to", names=[])
    if len(found) > 1:
        names = [f"{ask.id[:8]} from {_other(state, ask.asker, connection.view)}" for ask in found]
        raise Refusal("E_AMBIGUOUS_ASK", "Multiple pending asks — specify `--to`", names=names)
    return found[0] if found else None


def _exact_ask(state: BrokerState, me: Session, ask_id: str) -> Ask | None:
    """Return the open ask to me of this whole id; None also when two askers chose the same."""
    found = [ask for ask in state.asks.values() if ask.asked == me.key and ask.id == ask_id]
    return found[0] if len(found) == 1 else None


def _askers(state: BrokerState, connection: Connection, me: Session) -> list[str]:
    mine = [ask for ask in state.asks.values() if ask.asked == me.key]
    return [f"{ask.id[:8]} from {_other(state, ask.asker, connection.view)}" for ask in mine]


def _ended_ask(state: BrokerState, me: Session, wanted: str) -> Delivery | None:
    whole = state.inbound.get((me.key, wanted))
    if whole is not None and whole.expects_reply and whole.state in states.TERMINAL_STATES:
        return whole
    for record in reversed(state.finished):
        if record.target == me.key and record.expects_reply and record.id.startswith(wanted):
            return record
    return None


def _inbox(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> Json | None:
    """Return what waits in my mailbox, oldest first, and take it unless `peek`: as much as fits, `left` says how many
    more. With `id`, return that message, else the newest whose id starts so; what was read comes from the journal."""
    wanted = text(frame, "id")
    is_taking = frame.get("peek") is not True
    if wanted:
        whole = state.inbound.get((me.key, wanted))
        newest = next((d for d in reversed(me.mailbox.values()) if d.id.startswith(wanted)), None)
        if whole is not None:
            newest = whole if whole.seq in me.mailbox else None
        if newest is None:
            state.effects.lookups.append(Lookup(connection.id, frame["requestId"], "message", me.key, wanted))
            return None
        row = {**_letter(newest), "state": newest.state}
        if is_taking:
            _take(state, connection, me, newest, now)
        return row
    waiting = list(itertools.islice(me.mailbox.values(), _INBOX_ROWS))
    rows = fitting(_letter(d) for d in waiting)
    if is_taking:
        for letter in waiting[: len(rows)]:
            _take(state, connection, me, letter, now)
    return {"messages": rows, "left": len(me.mailbox) - (0 if is_taking else len(rows))}


def _letter(waiting: Delivery) -> Json:
    return {"from": json.loads(waiting.sender_info), "message": json.loads(waiting.body)}


def _take(state: BrokerState, connection: Connection, me: Session, letter: Delivery, now: int) -> None:
    """Mark a waiting message as read by its session: it is not delivered again, and the endpoint drops its copy."""
    receipts.tell_taken(state, me, connection, letter)
    if (letter.sender, letter.id) in state.asks:
        me.active_ask = (letter.sender, letter.id)
    receipt: Json = {"messageId": letter.id, "status": "acknowledged", "timestamp": now, "detail": "read by receiver"}
    receipts.forward(state, me, letter, dump(receipt))
    endings.finish(state, letter, states.DONE, now)


def _result(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> Json | None:
    """Return where an ask of mine stands; its reply counts as read then, and comes from the journal from now on."""
    wanted = text(frame, "id")
    if not wanted:
        raise Refusal("E_NOT_FOUND", "No ask without an id")
    is_whole = (me.key, wanted) in state.records

    def fits(ask_id: str) -> bool:
        return ask_id == wanted if is_whole else ask_id.startswith(wanted)

    for ask in state.asks_of.get(me.key, {}).values():
        if fits(ask.id):
            whom = _other(state, ask.asked, connection.view)
            left_s = max(0, ask.deadline - now) // 1000
            turn = {"turn": ask.turn} if ask.turn else {}
            return {"state": "open", "id": ask.id, "to": whom, "left_s": left_s, **turn}
    for letter in reversed(me.mailbox.values()):
        if letter.reply_to is not None and fits(letter.reply_to):
            answered: Json = {"id": letter.reply_to, "state": "answered", "reply": {**_letter(letter), "state": "done"}}
            _take(state, connection, me, letter, now)
            return answered
    state.effects.lookups.append(Lookup(connection.id, frame["requestId"], "result", me.key, wanted))
    return None


def _name(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> Json:
    """Rename my session; team peers keep the names of their layout."""
    wanted = text(frame, "name").strip()
    if me.team is not None:
        raise Refusal("E_NAME_FIXED", "A team's peers are named by its layout")
    if not wanted or "/" in wanted or len(wanted) > 64 or not wanted.isprintable():
        raise Refusal("E_INVALID_NAME", "A name has 1 to 64 printable characters and no slash")
    holders = state.by_name.get((me.key.scope, wanted.casefold()), set()) - {me}
    if holders:
        cwd = next(iter(holders)).info.get("cwd", "?")
        raise Refusal("E_NAME_TAKEN", f'The name "{wanted}" is taken by a session in {cwd}')
    set_name(state, me, wanted)
    me.info["lastActivity"] = now
    roster.changed(me)
    sessions.remember(state, me)
    return {"name": wanted, "sessionId": me.key.id, "is_shell": connection.is_handle}


def _retire(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> Json:
    """Forget team peers for good, each by its token, and with them the tasks of `team`; unknown ones are left alone."""
    listed = frame.get("sessions")
    if type(listed) is not list or not all(type(item) is dict and is_id(item.get("id")) for item in listed):
        raise ProtocolError("mux.sessions must be an array of objects with an id")
    reason = text(frame, "reason")[:_REASON_CHARS] or "the session has ended"
    scope, team = text(frame, "scope") or me.key.scope, text(frame, "team")
    retired: list[str] = []
    gone: list[tuple[str, str]] = []
    is_over = False
    for item in listed:
        session = state.sessions.get(SessionKey(scope, item["id"]))
        if session is not None and session.token is not None and session.token == item.get("token"):
            is_over |= session.team is not None and session.team.id == team
            if session.team is not None and session.name:
                gone.append((session.team.id, session.name))
            sessions.retire(state, session, now, reason, spare=connection)
            retired.append(session.key.id)
    if is_over:
        tasks.forget_team(state, team)
    for owners_team, owner in gone:
        tasks.orphan(state, scope, owners_team, owner, reason, now)
    return {"retired": retired}


def _adopt(state: BrokerState, _connection: Connection, me: Session, frame: Json, _now: int) -> Json:
    """Make a session that registered by itself a peer of a team."""
    session = adoption.adopt(state, me, frame)
    sessions.relabel(state)
    sessions.remember(state, session)
    adoption.tell(state, session)
    return {"session": session.key.id, "name": session.name}


def _release(state: BrokerState, _connection: Connection, me: Session, frame: Json, _now: int) -> Json:
    """Let go of adopted sessions; a team without any session left is forgotten, with its tasks."""
    released = adoption.release(state, me, frame)
    if released and sessions.forget_team_if_empty(state, frame["team"]):
        tasks.forget_team(state, frame["team"])
    for session in released:
        sessions.remember(state, session)
        adoption.tell(state, session)
    return {"released": [session.key.id for session in released]}


def _status(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> None:
    """Answer with counts; the server adds what only it knows (pid, uptime, journal size)."""
    counts: Json = {
        "sessions": sum(1 for s in state.sessions.values() if s.is_connected),
        "remembered": len(state.sessions),
        "mailboxes": sum(1 for s in state.sessions.values() if s.mailbox),
        "connections": len(state.connections),
        "waiting_messages": sum(len(s.mailbox) for s in state.sessions.values()),
        "held_senders": sum(1 for c in state.connections.values() if c.held),
        "open_asks": len(state.asks),
        "tasks": len(state.tasks),
        "teams": sorted(state.teams),
        "contested": [s.key.id for s in state.sessions.values() if s.guarded_until > now],
    }
    state.effects.lookups.append(Lookup(connection.id, frame["requestId"], "status", me.key, json.dumps(counts)))


def _prune(state: BrokerState, connection: Connection, me: Session, frame: Json, _now: int) -> None:
    """Have the journal remove one batch of what has ended; the client asks again with `after` until that is 0."""
    values = {key: frame[key] for key in ("days", "mb", "after") if key in frame}
    if any(type(value) not in (int, float) or not 0 <= value < 2**53 for value in values.values()):
        raise ProtocolError("mux.days, mb and after must be numbers of at least 0")
    state.effects.lookups.append(Lookup(connection.id, frame["requestId"], "prune", me.key, json.dumps(values)))


_OPERATIONS: dict[str, Callable[[BrokerState, Connection, Session, Json, int], Any]] = {
    "pending": _pending,
    "waits": standing.waits,
    "reply": _reply,
    "note": _note,
    "inbox": _inbox,
    "result": _result,
    "progress": tasks.progress,
    "tasks": tasks.listed,
    "task_add": tasks.add,
    "task_show": tasks.show,
    "name": _name,
    "retire": _retire,
    "adopt": _adopt,
    "release": _release,
    "status": _status,
    "prune": _prune,
    "courier": native.courier,
}
