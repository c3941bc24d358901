"""The worker: takes tasks from messages, asks one clarifying question each, looks through its files, and reports.

What a task needs and does not find, or leaves open, it takes to its supervisor, else to whoever gave it the task.
It changes no file: its result names what it found and where the work would be done.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from intercom_mux.agents.demo import decisions
from intercom_mux.agents.demo import task as tasks
from intercom_mux.agents.demo.agent import Agent
from intercom_mux.agents.demo.answer import places
from intercom_mux.errors import IntercomError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from intercom_mux.agents.demo.inbound import Inbound
    from intercom_mux.agents.demo.search import Document
    from intercom_mux.agents.demo.task import Question, Task

ASK_TIMEOUT_S = 120.0
"""How long a worker waits for the answer to its clarifying question before it asks the next peer."""

ADVICE_LINES_MAX = 14
"""Lines of an answer that go into the result."""

DECIDE_TIMEOUT_S = 600.0
"""How long a worker waits for a decision; it is blocked meanwhile."""

_GO_WITHOUT = re.compile(r"\b(?:without|skip|leave (?:it|that) out)\b", re.IGNORECASE)
_ABOUT_PROGRESS = re.compile(r"\b(?:status|progress|how far|are you done|eta)\b", re.IGNORECASE)


@dataclass(slots=True)
class _Work:
    """A task and how far it is; `state` as in `Intercom.progress`."""

    task: Task
    state: str = "started"
    percent: int = 0
    note: str = ""


class Worker(Agent):
    """Does tasks one at a time, in the order they come."""

    _work: dict[str, _Work]

    def start(self) -> None:
        """Introduce itself, and take the tasks that the prompt already holds."""
        super().start()
        self._work = {}
        for task in tasks.in_message(self.prompt):
            self._do(task, None)

    def answer(self, message: Inbound) -> str:
        """Do the tasks of an ask, tell about its own work, or answer from the files."""
        if found := tasks.in_message(message.text):
            return "\n\n".join(self._do(task, message.sender, message.attachments) for task in found)
        if _ABOUT_PROGRESS.search(message.text):
            return self._report()
        return super().answer(message)

    def on_message(self, message: Inbound) -> None:
        """Do the tasks of a message and send each result to whoever sent it."""
        for task in tasks.in_message(message.text):
            result = self._do(task, message.sender, message.attachments)
            if message.sender is not None:
                self._send(message.sender, result)

    def on_word(self, word: str) -> str | None:
        """Know `status` besides the common words."""
        return self._report() if word == "status" else super().on_word(word)

    def _report(self) -> str:
        if not self._work:
            return "I have no task yet."
        return "\n".join(
            f"{work.task.id}: {work.state}, {work.percent} %, {work.task.title}"
            + (f" ({work.note})" if work.note else "")
            for work in self._work.values()
        )

    def _do(self, task: Task, sender: str | None, attachments: Sequence[Document] = ()) -> str:
        """Work on a task and return its result, whose first line is `Done ID: title` or `Blocked ID: title`."""
        task = self._named(task)
        work = self._work[task.id] = _Work(task)
        self._pane.show(f"▸ {task.id} {task.title}", "accent")
        self._progress(work, "started", 0)
        try:
            self._await_files(work, sender)
            decided = self._decided(work, sender)
            adviser, advice = self._consult(task, sender)
        except IntercomError as error:
            is_blocked = work.state == "blocked"
            self._failed("this cannot go on" if is_blocked else "nobody answered", error)
            self._progress(work, "blocked", work.percent, work.note if is_blocked else f"nobody answered: {error}")
            why = str(error) if is_blocked else f"Nobody answered my question: {error}"
            return f"Blocked {task.id}: {task.title}\n\n{why}"
        self._progress(work, "started", 50, f"{adviser} answered" if adviser else "nobody to ask")
        ranking, searched = self._search(task.subject, attachments)
        here = f"It concerns {places(ranking)}." if ranking.hits else f"Nothing matches it in {searched}."
        parts = (f"Done {task.id}: {task.title}", decided, advice, f"{here} I only read; no file was changed.")
        result = "\n\n".join(part for part in parts if part)
        self._pane.show(result)
        self._progress(work, "done", 100, f"see {places(ranking, 1)}" if ranking.hits else "nothing here matches it")
        return result

    def _named(self, task: Task) -> Task:
        """Return the task with the id that the broker gave it, if the message had none."""
        if task.id:
            return task
        with self._doing("tasks"):
            rows = self._call(lambda me: me.tasks())
        mine = [row["id"] for row in rows if row["title"] == task.title and row["owner"] == self.name]
        return replace(task, id=mine[-1] if mine else task.title)

    def _await_files(self, work: _Work, sender: str | None) -> None:
        """Return once the files are there that the task needs, or it may go on without them; blocked meanwhile.

        Raises:
            IntercomError: Nobody answered, or the files are still missing after an answer.
        """
        missing = [path for path in work.task.needs if not (self._root / path).exists()]
        if not missing:
            return
        named = ", ".join(missing)
        self._progress(work, "blocked", work.percent, f"needs {named}, which is not here")
        said = self._decide(
            f"{work.task.id} needs {named}, which is not in {self._root.name}. "
            "Put it there and answer, or tell me to go on without it.",
            sender,
        )
        still = [path for path in missing if not (self._root / path).exists()]
        # What an answer quotes further down is no permission.
        if still and not _GO_WITHOUT.search(said.partition("\n\n")[0]):
            raise IntercomError(f"{', '.join(still)} is still not here")
        self._progress(
            work, "started", work.percent, f"goes on without {', '.join(still)}" if still else f"has {named}"
        )

    def _decided(self, work: _Work, sender: str | None) -> str:
        """Have decided what the task leaves open, blocked meanwhile; return the decisions in words, "" if none.

        Raises:
            IntercomError: Nobody decided.
        """
        questions = work.task.questions
        if not questions:
            return ""
        self._progress(work, "blocked", work.percent, f"to be decided: {decisions.as_text(questions)}")
        said = (
            self._decide(decisions.as_text(questions), sender)
            if len(questions) == 1
            else self._interview(work.task, questions, sender)
        )
        self._progress(work, "started", work.percent, "decided")
        return f"Decided:\n{_excerpt(said)}"

    def _decide(self, question: str, sender: str | None) -> str:
        return str(self._escalate(question, sender, ["supervisor", "decide", "-"], question)["text"])

    def _interview(self, task: Task, questions: Sequence[Question], sender: str | None) -> str:
        request = json.dumps(decisions.as_interview(f"{task.id} {task.title}", questions), ensure_ascii=False)
        asked = decisions.as_text(questions)
        facts = self._escalate(asked, sender, ["supervisor", "interview", "-"], request)
        if "responses" not in facts:
            return str(facts["text"])
        found = {row["id"]: row["value"] for row in facts["responses"]}
        return "\n".join(
            f"{each.text} {found.get(f'q{number}', 'left open')}" for number, each in enumerate(questions, start=1)
        )

    def _escalate(self, question: str, sender: str | None, words: list[str], stdin: str) -> dict[str, Any]:
        """Put a question to the supervisor by a verb; to whoever gave the task if there is none, or it cannot decide.

        Raises:
            IntercomError: There is nobody else, or no answer came.
        """
        self._pane.show(f"· to be decided: {question}", "faint")
        try:
            with self._doing("ask"):
                said = self._verb(*words, "--timeout", f"{DECIDE_TIMEOUT_S:g}", stdin=stdin)
        except IntercomError as error:
            if error.code != "E_NO_SUPERVISOR" or sender is None:
                raise
        else:
            if not str(said["text"]).startswith(decisions.UNDECIDED):
                return said
            self._pane.show(f"· {said['from']} cannot decide it", "faint")
            if sender in (None, said["from"]):
                raise IntercomError(f"{said['from']} cannot decide: {question}")
        return {"text": self._ask(sender, question, DECIDE_TIMEOUT_S)}

    def _consult(self, task: Task, sender: str | None) -> tuple[str, str]:
        """Return who advised and what; without anybody to ask, "" and a sentence that says so.

        Raises:
            IntercomError: There is somebody to ask, and nobody answered.
        """
        question = f"Where and how is this done: {task.subject}?"
        problem: IntercomError | None = None
        for peer in _advisers(self._sessions(), sender):
            self._pane.show(f"· asking {peer}: {question}", "faint")
            try:
                text = self._ask(peer, question)
            except IntercomError as error:
                problem = error
                self._failed(f"no answer from {peer}", error)
            else:
                self._pane.show(f"· {peer} answered", "faint")
                return peer, f"{peer} says:\n{_excerpt(text)}"
        if problem is not None:
            raise problem
        return "", "There was nobody to ask."

    def _ask(self, peer: str, question: str, timeout_s: float = ASK_TIMEOUT_S) -> str:
        """Wait for the peer's answer; asked once only, since a second ask would be a second question."""
        with self._doing("ask"):
            return self._call(lambda me: me.ask(peer, question, timeout_s=timeout_s), attempts=1).text

    def _progress(self, work: _Work, state: str, percent: int, note: str = "") -> None:
        """Tell the broker how far the work is; a failure is shown and does not stop the work."""
        work.state, work.percent, work.note = state, percent, note
        self._pane.show(f"· progress {work.task.id} {state} {percent} %", "faint")
        try:
            with self._doing("progress"):
                self._call(
                    lambda me: me.progress(
                        work.task.id, title=work.task.title, percent=percent, state=state, note=note or None
                    )
                )
        except (IntercomError, OSError) as error:
            self._failed("progress not told", error)


def _advisers(sessions: list[dict[str, Any]], sender: str | None) -> list[str]:
    """Return whom to ask, in order: the scouts of the own team, then who gave the task, then the planner."""
    team = next((each.get("team") for each in sessions if each.get("self")), None)
    others = [each for each in sessions if each.get("name") and each.get("team") == team and _is_other(each)]
    scouts = [str(each["name"]) for each in others if each.get("role") == "scout"]
    planners = [str(each["name"]) for each in others if each.get("role") == "planner"]
    givers = [sender] if sender in planners else []
    return list(dict.fromkeys(scouts + givers + planners))


def _is_other(session: dict[str, Any]) -> bool:
    return not session.get("self") and not str(session.get("status") or "").startswith("exited")


def _excerpt(text: str) -> str:
    lines = text.strip().split("\n")
    more = f"\n  … (+{len(lines) - ADVICE_LINES_MAX} lines)" if len(lines) > ADVICE_LINES_MAX else ""
    return "\n".join(f"  {line}".rstrip() for line in lines[:ADVICE_LINES_MAX]) + more
