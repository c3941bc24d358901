"""Tasks as planner and worker write them to each other, in words a person or another agent can write too. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TASK = re.compile(
    r"^(?:[ \t]*Task (?P<id>[A-Za-z0-9][\w.-]*):[ \t]*|\[task(?::(?P<mark>[^\]\n]+))?\] +)(?P<title>\S.*)$",
    re.MULTILINE,
)
_NEEDS = re.compile(r"^[ \t]*Needs:[ \t]*(?P<path>\S.*)$", re.MULTILINE)
_OPEN = re.compile(r"^[ \t]*Open:[ \t]*(?P<text>[^?\n]+\??)[ \t]*(?P<options>.*)$", re.MULTILINE)
_LIST_HEAD = re.compile(r"(?:#{1,6}\s*)?(?:\*\*)?tasks:?(?:\*\*)?:?", re.IGNORECASE)
_ITEM = re.compile(r"(?P<indent>\s*)(?:[-*+]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?(?P<text>\S.*)")
_OWN_ID = re.compile(r"(?P<id>[A-Z]{1,4}-?\d{1,4})\s*[:.]\s+(?P<title>\S.*)")
_OUTCOME = re.compile(r"\b(?:(?P<done>done|finished|completed?)|(?P<blocked>blocked|stuck)|(?P<failed>failed))\b", re.I)


@dataclass(frozen=True, slots=True)
class Question:
    """What a task leaves to whoever decides; `options` are empty when any answer will do."""

    text: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work; `details` are further lines, "" without any; `id` is "" if the broker has made one up."""

    id: str
    title: str
    details: str = ""

    @property
    def text(self) -> str:
        """The task as it stands in a message."""
        return f"Task {self.id}: {self.title}" + (f"\n{self.details}" if self.details else "")

    @property
    def subject(self) -> str:
        """What it is about, without the lines of `needs` and `questions`."""
        return f"{self.title} {_OPEN.sub('', _NEEDS.sub('', self.details)).strip()}".strip()

    @property
    def needs(self) -> list[str]:
        """The files that must be there first: lines `Needs: PATH`."""
        return [mark["path"].strip() for mark in _NEEDS.finditer(self.details)]

    @property
    def questions(self) -> list[Question]:
        """What must be decided first: lines `Open: QUESTION?`, with the choices behind it as `one | another`."""
        return [
            Question(mark["text"].strip(), tuple(filter(None, map(str.strip, mark["options"].split("|")))))
            for mark in _OPEN.finditer(self.details)
        ]


def in_message(text: str) -> list[Task]:
    """Return the tasks of a message, each with the lines up to the next one.

    Lines `Task ID: title`, and those that the broker takes for tasks: `[task] title` and `[task:ID] title`.
    """
    marks = list(_TASK.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [
        Task(mark["id"] or mark["mark"] or "", mark["title"].strip(), text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=False)
    ]


def in_plan(text: str, first_number: int = 1) -> list[Task]:
    """Return the items of the list below a line `Tasks:`, in order.

    Items are Markdown bullets or numbers; deeper and indented lines are details of the item above; other text ends the
    list. An item that begins with an id of its own (`T7: …`) keeps it, others are T1, T2, … from `first_number` on.
    """
    items: list[tuple[str, list[str]]] = []
    indent: int | None = None
    is_inside = False
    for line in text.split("\n"):
        if not is_inside:
            is_inside = _LIST_HEAD.fullmatch(line.strip()) is not None
            continue
        match = _ITEM.fullmatch(line.rstrip())
        if match and (indent is None or len(match["indent"]) <= indent):
            indent = len(match["indent"])
            items.append((match["text"], []))
        elif line.strip() and items and line[0] in " \t":
            items[-1][1].append(line.strip())
        elif line.strip():
            break
    return _numbered(items, first_number)


def _numbered(items: list[tuple[str, list[str]]], number: int) -> list[Task]:
    own = [_OWN_ID.fullmatch(text) for text, _ in items]
    taken = {match["id"] for match in own if match}
    found: dict[str, Task] = {}
    for match, (text, details) in zip(own, items, strict=True):
        if match and match["id"] not in found:
            key, title = match["id"], match["title"]
        else:
            while f"T{number}" in taken:
                number += 1
            key, title = f"T{number}", text
            taken.add(key)
        found[key] = Task(key, title, "\n".join(details))
    return list(found.values())


def outcome(text: str, task_id: str) -> str | None:
    """Return "done", "blocked" or "failed" when the first line that names the task says so, else None."""
    named = re.compile(rf"(?<![\w-]){re.escape(task_id)}(?![\w-])")
    for line in text.split("\n"):
        if named.search(line):
            match = _OUTCOME.search(line)
            return match.lastgroup if match else None
    return None
