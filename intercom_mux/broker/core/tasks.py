"""Pieces of work: who does them, for whom, and how far they are. Source of the rules: docs/protocol.md, "Tasks"."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

from intercom_mux.broker.core import delivery, endings
from intercom_mux.broker.core.addresses import shown_name
from intercom_mux.broker.core.fields import fitting, text
from intercom_mux.broker.core.model import BrokerState, Connection, Json, Session, SessionKey, Task
from intercom_mux.wire.messages import MAX_ID_CHARS, MAX_SHOWN_CHARS, is_id

if TYPE_CHECKING:
    from intercom_mux.broker.core.model import Delivery

STATES = ("assigned", "started", "blocked", "done", "failed")
MARK = "[task"
TASKS_MAX = 1_000
"""How many tasks a team may have."""
_TOLD = ("blocked", "done", "failed")
"""The states that the assigner is told of by a message; all else it can look up."""
_ENDS = ("done", "failed")
_CHANGES = ("title", "percent", "state", "note", "owner")
_HISTORY = 40
_HISTORY_NOTE_CHARS = 200
_MESSAGES = 20
_MARKS = 20
_NAMES = 20
_MARKED = re.compile(r"^\[task(?::([^\]\n]{1,256}))?\] +(\S.*)$", re.MULTILINE)
_FIELDS = ("id", "title", "owner", "assigner", "state", "percent", "note", "team", "created_at", "updated_at")


def add(state: BrokerState, _connection: Connection, me: Session, frame: Json, now: int) -> Json:
    """Create a task; without `task` its id is made of the title. The same call again returns the same task.

    One of that title that has ended is another: without `task` the new one gets a number to its id.
    """
    title = " ".join(text(frame, "title").split())[:MAX_SHOWN_CHARS]
    if not title:
        raise delivery.Refusal("E_INVALID_TASK", "A task needs a title")
    scope, team = me.key.scope, _team_of(me, frame)
    task_id = text(frame, "task") or _slug(title)
    known = state.tasks.get((scope, team, task_id))
    if known is not None and known.state in _ENDS and not text(frame, "task"):
        task_id, known = _free_id(state, scope, team, title), None
    key = (scope, team, _checked_id(task_id))
    if known is not None:
        if (known.title, known.assigner_id) != (title, me.key.id):
            raise delivery.Refusal("E_TASK_EXISTS", f'There is a task "{task_id}" already: {known.title}')
        return shown(known)
    task = _new(state, key, me, now)
    task.title = title
    task.owner, task.note = (text(frame, field)[:MAX_SHOWN_CHARS] for field in ("owner", "note"))
    _changed(state, task, _name_of(me), now)
    return shown(task)


def progress(state: BrokerState, _connection: Connection, me: Session, frame: Json, now: int) -> Json:
    """Create or change a task of my team; what the frame does not name stays. Work on one of nobody makes it mine."""
    key = (me.key.scope, _team_of(me, frame), _checked_id(text(frame, "task")))
    known = state.tasks.get(key)
    if known is not None and not any(field in frame for field in _CHANGES):
        return shown(known)
    percent = frame.get("percent", known.percent if known else 0)
    if type(percent) is not int or not 0 <= percent <= 100:
        raise delivery.Refusal("E_INVALID_TASK", "percent must be a whole number from 0 to 100")
    before = known.state if known else "assigned"
    wanted = text(frame, "state") or ("started" if before == "assigned" and "percent" in frame else before)
    if wanted not in STATES:
        raise delivery.Refusal("E_INVALID_TASK", f"state must be one of {', '.join(STATES)}")
    if before in _ENDS and "state" not in frame and "percent" in frame and percent < 100:
        raise delivery.Refusal("E_TASK_ENDED", f'Task "{key[2]}" is {before}, not at {percent} %')
    title, note, owner = (text(frame, field)[:MAX_SHOWN_CHARS] for field in ("title", "note", "owner"))
    task = known or _new(state, key, me, now)
    task.percent = 100 if wanted == "done" else percent
    task.state = "done" if percent == 100 and "state" not in frame else wanted
    task.title = title or task.title
    task.note = note if "note" in frame else task.note
    is_at_work = known is None or "percent" in frame or "state" in frame
    former, task.owner = task.owner, owner or task.owner or (_name_of(me) if is_at_work else "")
    _changed(state, task, _name_of(me), now)
    _tell_owners(state, task, former, me, now, hears_it=known is None)
    if task.state != before and task.state in _TOLD and task.assigner_id != me.key.id:
        _tell_assigner(state, task, now)
    return shown(task)


def listed(state: BrokerState, connection: Connection, me: Session, _frame: Json, _now: int) -> Json:
    """Return the tasks of the team I am in or look at; all of the scope from outside any team. Oldest first."""
    view = connection.view
    mine = (task for task in state.tasks.values() if task.scope == me.key.scope and view in (None, task.team))
    return {"tasks": fitting(map(shown, mine))}


def show(state: BrokerState, connection: Connection, me: Session, frame: Json, _now: int) -> Json:
    """Return one task, by `task` or by a `message` it is linked with, with its history and the ids of its messages."""
    task = _find(state, connection, me, frame)
    return {**shown(task), "history": task.history, "messages": task.messages}


def take_marked(state: BrokerState, sender: Session, target: Session, accepted: Delivery, body: str, now: int) -> None:
    """Make assigned tasks, linked with the message, of the lines that a sender has marked as such.

    `[task] title` is a new task, `[task:ID] title` the one of that id, which goes to the receiver.
    """
    place = sender.team or target.team
    team = place.id if place else ""
    owner = shown_name(state, target, team) or target.key.id
    for wanted, rest in _MARKED.findall(body)[:_MARKS]:
        title = rest.strip()[:MAX_SHOWN_CHARS]
        key = (sender.key.scope, team, wanted or _free_id(state, sender.key.scope, team, title))
        task = state.tasks.get(key)
        if task is None:
            if _is_full(state, key):
                return
            task = _new(state, key, sender, now)
        elif task.owner != owner or task.state in _ENDS:
            task.note = task.note if task.owner or task.state == "assigned" else ""
            task.state, task.percent = "assigned", 0
        former = task.owner
        task.assigner, task.assigner_id = _name_of(sender), sender.key.id
        task.title, task.owner = title, owner
        task.messages = [*task.messages, accepted.id][-_MESSAGES:]
        _changed(state, task, task.assigner, now)
        _tell_owners(state, task, former, sender, now, hears_it=True)


def orphan(state: BrokerState, scope: str, team: str, owner: str, reason: str, now: int) -> None:
    """Block the open tasks of a peer that is gone for good: nobody has them, and who gave them is told."""
    for task in list(state.tasks.values()):
        if (task.scope, task.team, task.owner) == (scope, team, owner) and task.state not in _ENDS:
            task.state, task.owner = "blocked", ""
            task.note = f"{owner} is gone: {reason}"[:MAX_SHOWN_CHARS]
            _changed(state, task, endings.SYSTEM_ID, now)
            _tell_assigner(state, task, now)


def forget_team(state: BrokerState, team: str) -> None:
    """Forget the tasks of a team that is over."""
    for key in [key for key in state.tasks if key[1] == team]:
        del state.tasks[key]
    state.record("forget_tasks", team)


def shown(task: Task) -> Json:
    """Return a task as lists, answers and events have it."""
    return {field: getattr(task, field) for field in _FIELDS}


def _find(state: BrokerState, connection: Connection, me: Session, frame: Json) -> Task:
    """Return the task that is meant, by its id or the only one that begins so: of the team I am in, name or look at;
    else the one changed last of any team."""
    wanted, message = text(frame, "task"), text(frame, "message")
    team = _team_of(me, frame) or connection.view
    found = [
        task
        for task in state.tasks.values()
        if task.scope == me.key.scope
        and (message in task.messages if message else wanted and task.id.startswith(wanted))
        and (message or team in (None, "", task.team))
    ]
    if not found:
        raise delivery.Refusal("E_NO_TASK", f'No task "{(wanted or message)[:MAX_SHOWN_CHARS]}"')
    if not message:
        found = [task for task in found if task.id == wanted] or found
        names = sorted({task.id for task in found})
        if len(names) > 1:
            reason = f'Several tasks begin with "{wanted[:MAX_SHOWN_CHARS]}"'
            raise delivery.Refusal("E_AMBIGUOUS_TASK", reason, names=names[:_NAMES])
    return max(found, key=lambda task: task.updated_at)


def _team_of(me: Session, frame: Json) -> str:
    return me.team.id if me.team else text(frame, "team")


def _name_of(session: Session) -> str:
    return session.name or session.key.id


def _checked_id(task_id: str) -> str:
    if not task_id.strip() or not is_id(task_id):
        raise delivery.Refusal("E_INVALID_TASK", f"A task needs an id of at most {MAX_ID_CHARS} characters")
    return task_id


def _new(state: BrokerState, key: tuple[str, str, str], assigner: Session, now: int) -> Task:
    if _is_full(state, key):
        raise delivery.Refusal("E_TOO_MANY_TASKS", f"The team has {TASKS_MAX} tasks already")
    scope, team, task_id = key
    return Task(scope, task_id, team=team, assigner=_name_of(assigner), assigner_id=assigner.key.id, created_at=now)


def _is_full(state: BrokerState, key: tuple[str, str, str]) -> bool:
    return len(state.tasks) >= TASKS_MAX and sum(other[:2] == key[:2] for other in state.tasks) >= TASKS_MAX


def _slug(title: str) -> str:
    words = re.findall(r"\w+", title.casefold())
    return "-".join(words[:5])[:40] or "task"


def _free_id(state: BrokerState, scope: str, team: str, title: str) -> str:
    slug = _slug(title)
    ids = (slug if number == 1 else f"{slug}-{number}" for number in count(1))
    return next(task_id for task_id in ids if (scope, team, task_id) not in state.tasks)


def _changed(state: BrokerState, task: Task, by: str, now: int) -> None:
    """Keep what a task has become, in memory, on disk and in its history, and tell who listens."""
    task.updated_at = now
    entry: Json = {"at": now, "by": by, "owner": task.owner, "state": task.state, "percent": task.percent}
    task.history = [*task.history, {**entry, "note": task.note[:_HISTORY_NOTE_CHARS]}][-_HISTORY:]
    state.tasks[task.scope, task.team, task.id] = task
    row = shown(task)
    kept = {**row, "assigner_id": task.assigner_id, "history": task.history, "messages": task.messages}
    state.record("task", task.scope, task.team, task.id, kept)
    for listener in state.listeners.values():
        session = listener.session
        if session is not None and session.key.scope == task.scope and listener.view in (None, task.team):
            state.write(listener.id, {"type": "mux_event", "event": "task", "task": row})


def _tell_assigner(state: BrokerState, task: Task, now: int) -> None:
    assigner = state.sessions.get(SessionKey(task.scope, task.assigner_id))
    if assigner is not None:
        title = f" ({task.title})" if task.title else ""
        end = f": {task.note}" if task.note else "."
        whose = f" of {task.owner}" if task.owner else ""
        endings.notice(state, assigner, f"Task {task.id}{title}{whose} is {task.state}{end}", now)


def _tell_owners(state: BrokerState, task: Task, former: str, by: Session, now: int, *, hears_it: bool) -> None:
    """Tell who had an open task that it has it no longer, and who has it now, each unless it did that itself.

    `hears_it`: the new owner hears it anyhow, by the message that gives it; a new task comes with one.
    """
    if former == task.owner or task.state in _ENDS:
        return
    title = f" ({task.title})" if task.title else ""
    for session in list(state.sessions.values()):
        if session is by or session.team is None or (session.key.scope, session.team.id) != (task.scope, task.team):
            continue
        if session.name == former and former:
            endings.notice(state, session, f"Task {task.id}{title} is not yours any more: {task.owner} has it.", now)
        elif session.name == task.owner and not hears_it:
            endings.notice(state, session, f"Task {task.id}{title} is yours now, by {_name_of(by)}.", now)
