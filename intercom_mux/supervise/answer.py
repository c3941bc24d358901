"""What a person is asked, one screen each, and the reply that its answers make. Pure: `answer` and the board show it.

Reads the texts of `contact` and of pi's sub-agents alike (docs/protocol.md, "Supervision").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from intercom_mux.errors import IntercomError
from intercom_mux.supervise import interview as interviews
from intercom_mux.supervise.contact import DECISION, INTERVIEW
from intercom_mux.supervise.interview import Interview, Question

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = str | list[str]

_HEAD = re.compile(r"(?:Run|Agent|Child index|Child intercom target): .*")
_QUESTION = re.compile(r"\d+\. \[(.+?)\] \((single|multi|text|image|info)\) (.*)")
_END = "Supervisor reply instructions:"
_EXAMPLE = re.compile(r"```(?:json)?\s*(?=\{)")


@dataclass(frozen=True, slots=True)
class Screen:
    """One thing to look at and answer; `key` is the answer's place in `reply`, empty for an ask that is no interview.

    `kind` is that of the question. `options` are in the order of their keys.
    """

    key: str
    title: str
    text: str
    kind: str = "text"
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """An open ask to a person: a peer's decision or interview, or anybody's plain question."""

    ask_id: str
    sender: str
    kind: Literal["decision", "interview", "ask"]
    text: str
    interview: Interview | None = None


def read(ask_id: str, sender: str, text: str) -> Pending:
    """Return what an ask is; an interview that cannot be read is shown and answered as text."""
    heading, _, rest = text.partition("\n")
    if heading not in (DECISION, INTERVIEW):
        return Pending(ask_id, sender, "ask", text)
    head, gap, body = rest.partition("\n\n")
    if not gap or not all(map(_HEAD.fullmatch, head.splitlines())):
        body = rest
    if heading == DECISION:
        return Pending(ask_id, sender, "decision", body)
    interview = read_interview(body)
    return Pending(ask_id, sender, "interview" if interview else "decision", body, interview)


def read_interview(body: str) -> Interview | None:
    """Return the interview that `interview.render` made `body` of, None if it is not of that shape.

    Remarks above the questions become its description. Line ends and brackets in ids and options can make it read as
    another one; then the ids are not those of the example reply below, and it is taken for none.
    """
    above, mark, below = f"\n{body}".partition("\nQuestions:\n")
    if not mark:
        return None
    rows: list[dict[str, object]] = []
    listed, _, instructions = below.partition(f"\n{_END}")
    for line in listed.rstrip().split("\n"):
        found = _QUESTION.fullmatch(line)
        if found:
            rows.append(dict(zip(("id", "type", "question"), found.groups(), strict=True), options=[]))
        elif not rows:
            return None
        elif line.startswith("   - "):
            rows[-1]["options"] = [*_options(rows[-1]), line[5:]]
        elif line.startswith("   Context: "):
            rows[-1]["context"] = line.removeprefix("   Context: ")
        elif line != "   Options:":
            rows[-1]["question"] = f"{rows[-1]['question']}\n{line}"
    title, _, description = above.strip().partition("\n")
    if not title.startswith("Interview: "):
        title, description = "", above.strip()
    try:
        read = interviews.read_request({"questions": rows})
    except IntercomError:
        return None
    wanted = _example_ids(instructions)
    if wanted is not None and wanted != [question.id for question in read.to_answer]:
        return None
    return Interview(read.questions, title.removeprefix("Interview: ") or None, description.strip() or None)


def _example_ids(instructions: str) -> list[str] | None:
    """Return the ids that the example of a reply answers, None if there is no such example."""
    found = _EXAMPLE.search(instructions)
    try:
        value, _ = json.JSONDecoder().raw_decode(instructions[found.end() :]) if found else ({}, 0)
        return [str(row["id"]) for row in value["responses"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _options(row: dict[str, object]) -> list[str]:
    options = row["options"]
    return options if isinstance(options, list) else []


def screens(pending: Pending) -> tuple[Screen, ...]:
    """Return what to show for an ask, in order; at least one."""
    if pending.interview is None:
        words = {"decision": f"{pending.sender} needs a decision", "ask": f"{pending.sender} asks"}
        return (Screen("", words.get(pending.kind, pending.sender), pending.text),)
    questions = pending.interview.questions
    title = pending.interview.title
    name = f"{pending.sender}: {title}" if title else f"{pending.sender} has questions"
    return tuple(
        Screen(
            question.id,
            f"{name} · {number} of {len(questions)}",
            _words(pending, question),
            question.kind,
            question.options,
        )
        for number, question in enumerate(questions, start=1)
    )


def _words(pending: Pending, question: Question) -> str:
    is_first = pending.interview is not None and question is pending.interview.questions[0]
    remarks = pending.interview.description if pending.interview and is_first else None
    return "\n\n".join(part for part in (remarks, question.text, question.context) if part)


def reply(pending: Pending, answers: Mapping[str, Value]) -> str:
    """Return the reply that `answers` (by the screens' keys) make; a question without one stays unanswered.

    Raises:
        IntercomError: An answer does not fit its question, or there is none at all (`E_INVALID_ANSWER`).
    """
    if pending.interview is None:
        text = answers.get("", "")
        if not isinstance(text, str) or not text.strip():
            raise IntercomError("no answer is given", code="E_INVALID_ANSWER")
        return text
    responses = [{"id": key, "value": value} for key, value in answers.items()]
    text = f"```json\n{json.dumps({'responses': responses}, indent=2, ensure_ascii=False)}\n```"
    checked = interviews.read_reply(pending.interview, text)
    problems = checked.problems if checked else ("it cannot be read",)
    if problems or not responses:
        raise IntercomError(
            f"not a valid answer: {problems[0] if problems else 'it is empty'}", code="E_INVALID_ANSWER"
        )
    return text
