"""Our own requests: `{"type": "mux", "requestId", "op", ...}` answered by one `mux_result`; only for clients of ours.

Each operation returns its value, or None when the journal answers (`Lookup`). Source: docs/protocol.md, "Additions".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from intercom_mux.broker.core import delivery, sessions
from intercom_mux.broker.core.addresses import set_name, shown_name
from intercom_mux.broker.core.delivery import Refusal
from intercom_mux.broker.core.model import (
    Ask,
    BrokerState,
    Connection,
    Delivery,
    Json,
    Lookup,
    Session,
    SessionKey,
    Task,
)
from intercom_mux.errors import ProtocolError
from intercom_mux.wire import states
from intercom_mux.wire.messages import check_message, required_string

if TYPE_CHECKING:
    from collections.abc import Callable

_INBOX_ROWS = 200
TASK_STATES = ("assigned", "started", "blocked", "done", "failed")


def handle(state: BrokerState, connection: Connection, frame: Json, now: int) -> None:
    """Carry one request out and answer it; a refusal is answered with its code and reason."""
    request_id = required_string(frame, "requestId")
    operation = _OPERATIONS.get(required_string(frame, "op"))
    session = connection.session
    answer: Json = {"type": "mux_result", "requestId": request_id}
    try:
        if operation is None:
            raise Refusal("E_UNKNOWN_OPERATION", f"Unknown operation {frame['op']!r}")
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


def _text(frame: Json, key: str) -> str:
    value = frame.get(key, "")
    if type(value) is not str:
        raise ProtocolError(f"mux.{key} must be a string")
    return value


def _other(state: BrokerState, key: SessionKey, view: str | None) -> str:
    session = state.sessions.get(key)
    return (shown_name(state, session, view) if session else None) or key.id


def _pending(state: BrokerState, connection: Connection, me: Session, _frame: Json, now: int) -> Json:
    """Return the open asks to me and from me, oldest first."""

    def row(ask: Ask, other: SessionKey) -> Json:
        sent = state.records.get((ask.asker, ask.id))
        return {
            "id": ask.id,
            "with": _other(state, other, connection.view),
            "text": ask.text,
            "age_s": (now - ask.created_at) // 1000,
            "left_s": max(0, ask.deadline - now) // 1000,
            "is_blocking": ask.is_blocking,
            "is_active": ask.id == me.active_ask,
            "state": sent.state if sent else states.DONE,
        }

    return {
        "to_me": [row(ask, ask.asker) for ask in state.asks.values() if ask.asked == me.key],
        "from_me": [row(ask, ask.asked) for ask in state.asks.values() if ask.asker == me.key],
    }


def _reply(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> Json:
    """Answer the ask that `to` names, else the active one, else the only pending one.

    An ask that is over already gets the text as an ordinary message, so that the work is not lost.
    """
    message = check_message(frame.get("message"))
    wanted = _text(frame, "to")
    ask = _pick_ask(state, connection, me, wanted)
    if ask is not None:
        target_key, message["replyTo"] = ask.asker, ask.id
    else:
        late = _ended_ask(state, me, wanted)
        if late is None:
            raise Refusal("E_NO_PENDING_ASK", f'No pending ask from "{wanted}"', names=_askers(state, connection, me))
        target_key = late.sender
        message["retryOf"] = late.id
    target = state.sessions.get(target_key)
    if target is None:
        raise Refusal("E_TARGET_NOT_FOUND", "Session not found")
    before = len(state.effects.output)
    delivery.accept(state, connection, me, target, message, {}, now)
    del state.effects.output[_own_answer(state, connection, before) :]
    accepted = state.records[me.key, message["id"]]
    return {
        "messageId": message["id"],
        "askId": ask.id if ask else wanted,
        "to": _other(state, target_key, connection.view),
        "delivery": "queued" if accepted.state == states.QUEUED else "socket_delivered",
        "isLate": ask is None,
    }


def _own_answer(state: BrokerState, connection: Connection, before: int) -> int:
    """Return where `accept` put its `delivered` for this connection; `reply` answers by `mux_result` instead."""
    output = state.effects.output
    is_last_mine = len(output) > before and output[-1][0] == connection.id
    return len(output) - 1 if is_last_mine else len(output)


def _pick_ask(state: BrokerState, connection: Connection, me: Session, wanted: str) -> Ask | None:
    mine = [ask for ask in state.asks.values() if ask.asked == me.key]
    if wanted:
        found = [ask for ask in mine if ask.id == wanted] or [
            ask
            for ask in mine
            if ask.id.startswith(wanted) or _other(state, ask.asker, connection.view).casefold() == wanted.casefold()
        ]
    else:
        found = [ask for ask in mine if ask.id == me.active_ask] or mine
        if not found:
            raise Refusal("E_NO_PENDING_ASK", "No active intercom context to reply to", names=[])
    if len(found) > 1:
        names = [f"{ask.id[:8]} from {_other(state, ask.asker, connection.view)}" for ask in found]
        raise Refusal("E_AMBIGUOUS_ASK", "Multiple pending asks — specify `--to`", names=names)
    return found[0] if found else None


def _askers(state: BrokerState, connection: Connection, me: Session) -> list[str]:
    mine = [ask for ask in state.asks.values() if ask.asked == me.key]
    return [f"{ask.id[:8]} from {_other(state, ask.asker, connection.view)}" for ask in mine]


def _ended_ask(state: BrokerState, me: Session, wanted: str) -> Delivery | None:
    for record in reversed(state.finished):
        if record.target == me.key and record.expects_reply and record.id.startswith(wanted):
            return record
    return None


def _inbox(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> Json | None:
    """Return what waits in my mailbox, oldest first, and take it unless `peek`; one message by id comes from the
    journal, read or not."""
    wanted = _text(frame, "id")
    waiting = [d for d in me.mailbox.values() if d.id.startswith(wanted)][:_INBOX_ROWS]
    rows = [_letter(d) for d in waiting] if not wanted else []
    if frame.get("peek") is not True:
        for letter in waiting:
            _take(state, me, letter, now)
    if wanted:
        state.effects.lookups.append(Lookup(connection.id, frame["requestId"], "message", me.key, wanted))
        return None
    return {"messages": rows, "left": max(0, len(me.mailbox))}


def _letter(waiting: Delivery) -> Json:
    return {"from": json.loads(waiting.sender_info), "message": json.loads(waiting.body)}


def _take(state: BrokerState, me: Session, letter: Delivery, now: int) -> None:
    """Mark a waiting message as read by its session: it is not delivered again, and the endpoint drops its copy."""
    if letter.sent_to and me.endpoint is not None and me.endpoint.generation == "mux":
        state.write(me.endpoint.id, {"type": "mux_event", "event": "taken", "messageId": letter.id})
    if letter.id in state.asks:
        me.active_ask = letter.id
    receipt: Json = {"messageId": letter.id, "status": "acknowledged", "timestamp": now, "detail": "read by receiver"}
    delivery.forward_receipt(state, me, letter, receipt)
    delivery.finish(state, letter, states.DONE, now)


def _result(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> Json | None:
    """Return where an ask of mine stands; its reply, once there, comes from the journal and counts as read."""
    wanted = _text(frame, "id")
    for ask in state.asks.values():
        if ask.asker == me.key and ask.id.startswith(wanted):
            whom = _other(state, ask.asked, connection.view)
            return {"state": "open", "id": ask.id, "to": whom, "left_s": max(0, ask.deadline - now) // 1000}
    for letter in list(me.mailbox.values()):
        if letter.reply_to is not None and letter.reply_to.startswith(wanted):
            _take(state, me, letter, now)
    state.effects.lookups.append(Lookup(connection.id, frame["requestId"], "result", me.key, wanted))
    return None


def _progress(state: BrokerState, _connection: Connection, me: Session, frame: Json, now: int) -> Json:
    """Create or change a task of my team; what the frame does not name stays."""
    task_id = _text(frame, "task")
    if not task_id.strip():
        raise Refusal("E_INVALID_TASK", "A task needs an id")
    team = me.team.id if me.team else _text(frame, "team")
    key = (me.key.scope, team, task_id)
    me_name = me.name or me.key.id
    task = state.tasks.get(key) or Task(me.key.scope, task_id, team=team, assigner=me_name, created_at=now)
    percent = frame.get("percent", task.percent)
    if type(percent) is not int or not 0 <= percent <= 100:
        raise Refusal("E_INVALID_TASK", "percent must be a whole number from 0 to 100")
    wanted = _text(frame, "state") or ("started" if task.state == "assigned" and "percent" in frame else task.state)
    if wanted not in TASK_STATES:
        raise Refusal("E_INVALID_TASK", f"state must be one of {', '.join(TASK_STATES)}")
    task.percent = 100 if wanted == "done" else percent
    task.state = "done" if percent == 100 and "state" not in frame else wanted
    task.title = _text(frame, "title") or task.title
    task.note = _text(frame, "note") if "note" in frame else task.note
    task.owner = _text(frame, "owner") or task.owner or me_name
    task.updated_at = now
    state.tasks[key] = task
    state.record("task", task.scope, task.team, task.id, _task_row(task))
    return _task_row(task)


def _task_row(task: Task) -> Json:
    fields = ("id", "title", "owner", "assigner", "state", "percent", "note", "team", "created_at", "updated_at")
    return {field: getattr(task, field) for field in fields}


def _tasks(state: BrokerState, connection: Connection, me: Session, _frame: Json, _now: int) -> Json:
    """Return the tasks of the team I am in or look at; all of the scope from outside any team."""
    view = connection.view
    rows = [_task_row(t) for t in state.tasks.values() if t.scope == me.key.scope and view in (None, t.team)]
    return {"tasks": rows}


def _name(state: BrokerState, connection: Connection, me: Session, frame: Json, now: int) -> Json:
    """Rename my session; team peers keep the names of their layout."""
    wanted = _text(frame, "name").strip()
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
    sessions.changed(me)
    sessions.remember(state, me)
    return {"name": wanted, "sessionId": me.key.id, "is_shell": connection.is_handle}


def _retire(state: BrokerState, _connection: Connection, me: Session, frame: Json, now: int) -> Json:
    """Forget team peers for good, each by its token; those unknown are left alone."""
    listed = frame.get("sessions")
    if type(listed) is not list:
        raise ProtocolError("mux.sessions must be an array")
    retired: list[str] = []
    for item in listed:
        key = SessionKey(_text(frame, "scope"), item["id"]) if type(item) is dict and "id" in item else me.key
        session = state.sessions.get(key)
        if session is not None and session.token is not None and session.token == item.get("token"):
            sessions.retire(state, session, now, _text(frame, "reason") or "the session has ended")
            retired.append(key.id)
    team = _text(frame, "team")
    for task_key in [k for k in state.tasks if team and k[1] == team]:
        del state.tasks[task_key]
    state.record("forget_tasks", team)
    return {"retired": retired}


def _status(state: BrokerState, connection: Connection, me: Session, frame: Json, _now: int) -> None:
    """Answer with counts; the server adds what only it knows (pid, uptime, journal size)."""
    counts: Json = {
        "sessions": sum(1 for s in state.sessions.values() if s.is_connected),
        "remembered": len(state.sessions),
        "connections": len(state.connections),
        "waiting_messages": sum(len(s.mailbox) for s in state.sessions.values()),
        "open_asks": len(state.asks),
        "tasks": len(state.tasks),
        "teams": sorted(state.teams),
    }
    state.effects.lookups.append(Lookup(connection.id, frame["requestId"], "status", me.key, json.dumps(counts)))


_OPERATIONS: dict[str, Callable[[BrokerState, Connection, Session, Json, int], Any]] = {
    "pending": _pending,
    "reply": _reply,
    "inbox": _inbox,
    "result": _result,
    "progress": _progress,
    "tasks": _tasks,
    "name": _name,
    "retire": _retire,
    "status": _status,
}
