"""From the journal's rows back to a state: sessions, open messages, open asks, recent records, tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

from intercom_mux.broker.core import asks, delivery
from intercom_mux.broker.core.addresses import set_name
from intercom_mux.broker.core.model import Ask, BrokerState, Delivery, Json, Session, SessionKey, Task, Team
from intercom_mux.wire import states


@dataclass(slots=True)
class SessionRow:
    """A remembered session."""

    key: SessionKey
    kind: str
    name: str | None
    role: str | None
    token: str | None
    team: Team | None
    info: Json
    seen_at: int


@dataclass(slots=True)
class Snapshot:
    """What the journal holds; `deliveries` in order of `seq`, ended ones without their bodies."""

    sessions: list[SessionRow] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    tasks: list[tuple[str, str, str, Json]] = field(default_factory=list)
    next_seq: int = 1


def apply(state: BrokerState, snapshot: Snapshot, now: int) -> None:
    """Fill an empty state. Open messages are queued again; blocking askers get a while to come back."""
    for row in snapshot.sessions:
        _add_session(state, row)
    for ask in snapshot.asks:
        _add_ask(state, ask, now)
    for item in snapshot.deliveries:
        _add_delivery(state, item, now)
    state.next_seq = max(state.next_seq, snapshot.next_seq)
    for scope, team, task_id, value in snapshot.tasks:
        state.tasks[scope, team, task_id] = Task(scope=scope, **value)


def _add_session(state: BrokerState, row: SessionRow) -> None:
    session = Session(row.key, row.kind, state.next_order, row.info, row.seen_at)
    state.next_order += 1
    session.role, session.token = row.role, row.token
    session.epoch = next(state.new_epoch)
    if row.team is not None:
        session.team = state.teams.setdefault(row.team.id, row.team)
    state.sessions[row.key] = session
    set_name(state, session, row.name)
    state.set_timer(row.seen_at + state.limits.session_memory, "session", row.key)


def _add_delivery(state: BrokerState, item: Delivery, now: int) -> None:
    target = state.sessions.get(item.target)
    if item.state in states.OPEN_STATES and target is not None:
        item.state = states.QUEUED
        delivery.hold(state, target, item)
        return
    if item.state in states.OPEN_STATES:
        item.state, item.finished_at = states.REFUSED, now
        state.record("finish", item.seq, states.REFUSED, now)
    state.records[item.sender, item.id] = item
    state.inbound[item.target, item.id] = item
    if (item.sender, item.id) not in state.asks:
        state.finished.append(item)


def _add_ask(state: BrokerState, ask: Ask, now: int) -> None:
    if ask.asker not in state.sessions or ask.asked not in state.sessions:
        state.record("ask_end", tuple(ask.asker), ask.id, "ended")
        return
    # A foreign asker has given up with its connection.
    may_come_back = ask.is_blocking and state.sessions[ask.asker].holds_mail
    ask.resume_until = now + state.limits.ask_resume if may_come_back else 0
    asks.add(state, ask)
