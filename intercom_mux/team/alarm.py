"""Deciding for what a person is called, and when. Pure; times are seconds of any one clock.

A notice comes once for every stretch in which something stands, a block not before it has lasted `STEADY_S`, and not
more often than every `REPEAT_S` for one kind and peer: what came meanwhile, and still stands, is then told as one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json = dict[str, Any]

STEADY_S = 1.0
REPEAT_S = 10.0

_CRASHED = re.compile(r"exited:0*[1-9]\d*")
_TOLD_STATES = ("blocked", "done", "failed")


class Condition(NamedTuple):
    """Something a person may want to know, as long as it stands.

    `event` is `blocked`, `crashed`, `task-blocked`, `task-done`, `task-failed` or `supervisor`; `subject` tells those
    of one event and peer apart: a task's id, an ask's.
    """

    event: str
    peer: str
    status: str
    subject: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays while it stands, whatever its status says."""
        return self.event, self.peer, self.subject


class Notice(NamedTuple):
    """One call; `task` names the tasks that it is about, "" for none."""

    event: str
    peer: str
    status: str
    task: str = ""

    @property
    def text(self) -> str:
        """What a person reads beside the peer's name."""
        if self.task:
            return f"task {self.task} is {self.status}"
        calls = {
            "blocked": ": it waits for you",
            "crashed": ": it has crashed",
            "supervisor": ": it waits for an answer",
        }
        return f"{self.status}{calls[self.event]}"


def of_peers(statuses: Mapping[str, str]) -> list[Condition]:
    """Return what stands by how the peers are; a program that a signal or an error ended has crashed."""
    found = []
    for name, status in statuses.items():
        if status.startswith("blocked"):
            found.append(Condition("blocked", name, status))
        elif crash := _CRASHED.match(status):
            found.append(Condition("crashed", name, crash[0]))
    return found


def of_tasks(tasks: Iterable[Json]) -> list[Condition]:
    """Return what stands by how the tasks are; it is told of their owners, or assigners if nobody has them."""
    return [
        Condition(f"task-{task['state']}", task["owner"] or task["assigner"], _said(task), task["id"])
        for task in tasks
        if task["state"] in _TOLD_STATES
    ]


def of_asks(supervisor: str, asks: Mapping[str, str]) -> list[Condition]:
    """Return what stands by the asks, id → asker, that wait for the person at the supervisor's terminal."""
    return [Condition("supervisor", supervisor, f"asked by {asker}", ask) for ask, asker in asks.items()]


def _said(task: Json) -> str:
    return f"{task['state']}: {task['note']}" if task["note"] else str(task["state"])


class Alarm:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str, str], float] = {}
        self._told: set[tuple[str, str, str]] = set()
        self._last: dict[tuple[str, str], float] = {}

    def skip(self, conditions: Iterable[Condition]) -> None:
        """Take these for told: they stood before anybody looked."""
        self._told |= {condition.key for condition in conditions}

    def due(self, conditions: Iterable[Condition], now: float) -> list[Notice]:
        """Take all that stands, and return the notices to give now, one for a kind and peer."""
        standing = {condition.key: condition for condition in conditions}
        self._told &= standing.keys()
        self._since = {key: self._since.get(key, now) for key in standing}
        due: dict[tuple[str, str], list[Condition]] = {}
        for key, condition in standing.items():
            if key not in self._told and self._is_time(condition, now):
                due.setdefault(key[:2], []).append(condition)
        for about, group in due.items():
            self._told |= {condition.key for condition in group}
            self._last[about] = now
        return [_notice(group) for group in due.values()]

    def _is_time(self, condition: Condition, now: float) -> bool:
        steady = STEADY_S if condition.event == "blocked" else 0.0
        last = self._last.get((condition.event, condition.peer), now - REPEAT_S)
        return now - self._since[condition.key] >= steady and now - last >= REPEAT_S


def _notice(group: list[Condition]) -> Notice:
    """Return the one notice of what is alike; with several tasks the status is only their state."""
    first = group[0]
    if not first.event.startswith("task-"):
        return Notice(first.event, first.peer, ", ".join(dict.fromkeys(each.status for each in group)))
    status = first.status if len(group) == 1 else first.event.removeprefix("task-")
    return Notice(first.event, first.peer, status, ", ".join(each.subject for each in group))
