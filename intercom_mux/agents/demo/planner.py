"""The planner: hands the tasks of its prompt to the workers, keeps the table, answers from the plan, and sums up.

It never waits for anybody: it only sends, and everything that comes back arrives in its pane like any other message.
So a worker that asks it is answered as soon as the planner has dealt with what came before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intercom_mux.agents.demo import broad, decisions
from intercom_mux.agents.demo import task as tasks
from intercom_mux.agents.demo.agent import Agent
from intercom_mux.agents.demo.search import Document, rank
from intercom_mux.agents.demo.tree import Tree
from intercom_mux.errors import IntercomError

if TYPE_CHECKING:
    from typing import Any

    from intercom_mux.agents.demo.inbound import Inbound
    from intercom_mux.agents.demo.task import Task

TICK_S = 0.5
"""Seconds between two looks at the roster while workers are awaited."""

SETTLED_TICKS = 4
"""A roster unchanged for so many looks is taken as complete when the plan does not say who works."""

_WORKERS = re.compile(r"^\s*(?:[-*]\s+)?workers:\s*(?P<who>\S.*)$", re.IGNORECASE | re.MULTILINE)
_REPORT_TO = re.compile(r"^\s*(?:[-*]\s+)?report to:\s*(?P<who>\S+)", re.IGNORECASE | re.MULTILINE)
_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d{1,3}[.)])\s)")
_ABOUT_PROGRESS = re.compile(r"\b(?:status|progress|summary|how far|who (?:does|has|works))\b", re.IGNORECASE)
_ENDED = ("done", "blocked", "failed")
_PLAN_PASSAGES_MAX = 3
_REQUEST = "Please do this, and send me the result when it is done, or what blocks you."


@dataclass(slots=True)
class _Row:
    """A task of the plan; `owner` is "" and `state` "waiting" until it is handed out, then as in `progress`."""

    task: Task
    owner: str = ""
    state: str = "waiting"


class Planner(Agent):
    """Leads the workers of its own team."""

    _rows: list[_Row]
    _seen: tuple[str, ...]
    _unchanged: int
    _complaint: str

    def start(self) -> None:
        """Introduce itself, and take the tasks of the prompt; `tick` hands them out once the workers are there."""
        super().start()
        self._rows = []
        self._seen = ()
        self._unchanged = 0
        self._complaint = ""
        self._adopt(self.prompt)
        if not self._rows:
            self._pane.show("No list `Tasks:` in my prompt: I only answer, until a message brings one.", "faint")

    def tick(self) -> None:
        """Look whether the workers are there, and hand out what waits."""
        try:
            workers = _workers(self._sessions())
        except (IntercomError, OSError) as error:
            if self._complaint != str(error):
                self._complaint = str(error)
                self._failed("the roster cannot be read, trying on", error)
            return
        self._unchanged = self._unchanged + 1 if workers == self._seen else 0
        self._seen = workers
        if self._is_complete(workers):
            self._hand_out(workers)
            self.tick_s = None

    def answer(self, message: Inbound) -> str:
        """Answer from the table, else from the plan, followed by what the files say; an interview in its own form."""
        if decisions.is_interview(message.text):
            with self._doing("search"):
                known = [*self._plan(), *Tree(self._root).documents()]
                return decisions.answers(decisions.in_interview(message.text), known)
        question = decisions.body(message.text)
        if self._rows and _ABOUT_PROGRESS.search(question):
            return self._table()
        is_broad = broad.topic(question) == broad.ABOUT
        hits = () if is_broad else rank(question, self._plan()).hits[:_PLAN_PASSAGES_MAX]
        if decisions.is_decision(message.text) and not hits:
            ranking, searched = self._search(question, message.attachments)
            if not ranking.hits:
                return f"{decisions.UNDECIDED}: neither the plan nor {searched} say anything about it."
        from_files = self._answer_from_files(question, message.attachments)
        if not hits:
            return from_files
        lines = [line for hit in hits for line in hit.passage.lines]
        return "The plan says:\n" + "\n".join(f"  {line}" for line in lines) + f"\n\n{from_files}"

    def _plan(self) -> list[Document]:
        """Return the paragraphs of the prompt, without tasks that leave something open: they settle nothing."""
        parts = (part.strip() for part in _PARAGRAPH.split(self.prompt))
        return [Document("plan", part) for part in parts if part and "Open:" not in part]

    def on_message(self, message: Inbound) -> None:
        """Enter a worker's result into the table, or take on the tasks a message brings."""
        if self._adopt(message.text):
            return
        # The broker's notice that a task is blocked is no end: its owner may only be waiting for a decision.
        mine = [row for row in self._rows if row.owner == message.sender]
        told = [(row, tasks.outcome(message.text, row.task.id)) for row in mine]
        changes = [(row, state) for row, state in told if state and state != row.state]
        for row, state in changes:
            row.state = state
        if changes:
            self._pane.show(self._table())
        if changes and all(row.state in _ENDED for row in self._rows):
            self._sum_up()

    def on_word(self, word: str) -> str | None:
        """Know `status` besides the common words."""
        return self._table() if word == "status" else super().on_word(word)

    def _adopt(self, text: str) -> bool:
        """Add the tasks listed in `text` to the plan; False when there are none."""
        found = tasks.in_plan(text, first_number=len(self._rows) + 1)
        known = {row.task.id for row in self._rows}
        added = [_Row(task) for task in found if task.id not in known]
        if added:
            self._rows += added
            self._pane.show(
                f"{len(added)} task{'' if len(added) == 1 else 's'} to hand out once the workers are there.", "accent"
            )
            self.tick_s = TICK_S
        return bool(added)

    def _is_complete(self, workers: tuple[str, ...]) -> bool:
        """Return whether everybody is there whom the plan names or counts; else, whether no more seem to come."""
        match = _WORKERS.search(self.prompt)
        if match is None:
            return bool(workers) and self._unchanged >= SETTLED_TICKS
        who = match["who"].strip()
        if who.isdecimal():
            return len(workers) >= max(int(who), 1)
        named = {name for name in re.split(r"[\s,]+|\band\b", who) if name}
        return named <= set(workers)

    def _hand_out(self, workers: tuple[str, ...]) -> None:
        """Send the waiting tasks round robin; a task that cannot be sent is blocked."""
        waiting = [row for row in self._rows if row.state == "waiting"]
        for number, row in enumerate(waiting):
            row.owner = workers[number % len(workers)]
            try:
                self._send(row.owner, f"{_REQUEST}\n\n{row.task.text}")
                row.state = "assigned"
            except (IntercomError, OSError) as error:
                row.state = "blocked"
                self._failed(f"{row.task.id} did not reach {row.owner}", error)
            self._record(row)
        self._pane.show(self._table())

    def _record(self, row: _Row) -> None:
        """Tell the broker whose task it is; a failure is shown and changes nothing."""
        try:
            self._call(lambda me: me.progress(row.task.id, title=row.task.title, state=row.state, owner=row.owner))
        except (IntercomError, OSError) as error:
            self._failed("progress not told", error)

    def _table(self) -> str:
        if not self._rows:
            return "There are no tasks."
        width = max(len(row.task.id) for row in self._rows)
        owners = max(len(row.owner or "-") for row in self._rows)
        return "\n".join(
            f"  {row.task.id:<{width}}  {row.state:<8}  {row.owner or '-':<{owners}}  {row.task.title}"
            for row in self._rows
        )

    def _sum_up(self) -> None:
        counts = {state: sum(row.state == state for row in self._rows) for state in _ENDED}
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        summary = f"All {len(self._rows)} tasks have ended: {said}."
        self._pane.show(summary, "accent")
        if match := _REPORT_TO.search(self.prompt):
            self._send(match["who"].rstrip(".,;"), f"{summary}\n\n{self._table()}")


def _workers(sessions: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the names of the own team's workers that have not exited, sorted."""
    team = next((each.get("team") for each in sessions if each.get("self")), None)
    return tuple(
        sorted(
            str(each["name"])
            for each in sessions
            if each.get("name")
            and each.get("role") == "worker"
            and not each.get("self")
            and each.get("team") == team
            and not str(each.get("status") or "").startswith("exited")
        )
    )
