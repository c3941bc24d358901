"""A team in short, for status lines and sidebars. Pure; tasks are as docs/protocol.md, "Tasks", has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Json = dict[str, Any]

_ID_CHARS = 24


def mark(statuses: Mapping[str, str], tasks: Collection[Json]) -> str:
    """Return how many peers are blocked and how far the tasks are: `2 blocked · 3/5 done · T2 60%`, "" for nothing."""
    blocked = sum(status.startswith("blocked") for status in statuses.values())
    return " · ".join(part for part in (f"{blocked} blocked" if blocked else "", of_tasks(tasks)) if part)


def of_tasks(tasks: Collection[Json]) -> str:
    """Return how many tasks are done, and the percentage of the one at work that was reported last."""
    if not tasks:
        return ""
    done = sum(task["state"] == "done" for task in tasks)
    at_work = [task for task in tasks if task["state"] == "started"]
    latest = max(at_work, key=lambda task: task["updated_at"], default=None)
    return f"{done}/{len(tasks)} done" + (f" · {latest['id'][:_ID_CHARS]} {latest['percent']}%" if latest else "")


def fraction(tasks: Collection[Json]) -> float | None:
    """Return how far all tasks are together, 0 to 1, None without any; one that has failed counts as over."""
    if not tasks:
        return None
    return sum(100 if task["state"] == "failed" else task["percent"] for task in tasks) / (100 * len(tasks))


def line(task: Json) -> str:
    """Return one task as a line: id, state, percentage, who has it, and what was said last, or its title."""
    percent = f" {task['percent']}%" if task["state"] in ("started", "blocked") else ""
    words = (f"{task['id']} {task['state']}{percent}", task["owner"], task["note"] or task["title"])
    return " · ".join(word for word in words if word)
