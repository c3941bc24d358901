"""Structured questions to a supervisor and its answers: checked on the way out, and one by one on the way in.

Pure. The shape is that of pi's `contact_supervisor`, so that a pi session can ask and answer the same
(docs/protocol.md, "Supervision").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from intercom_mux.errors import IntercomError

Json = dict[str, Any]

KINDS = ("single", "multi", "text", "image", "info")
"""What a question may be: one or several of its options, free text, the path or URL of a picture, nothing to answer."""

_CHOICES = ("single", "multi")
_HOW_TO_REPLY = (
    "Reply with JSON of this shape, bare or in a json code fence. Take the ids from above; the answer to a single "
    "question is one of its options, to a multi question an array of them, to any other a text. Leave out what you "
    "cannot answer."
)
_FENCE = re.compile(r"(?:```|~~~)(?:json)?\s*(?=[{\[])", re.IGNORECASE)
_PROBLEMS = 50
"""How many faults of a reply are told."""
_SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `options` are the labels of a choice, empty for every other kind."""

    id: str
    kind: str
    text: str
    options: tuple[str, ...] = ()
    context: str | None = None


@dataclass(frozen=True, slots=True)
class Interview:
    """Questions in their order, at least one; ids are unique."""

    questions: tuple[Question, ...]
    title: str | None = None
    description: str | None = None

    @property
    def to_answer(self) -> tuple[Question, ...]:
        """The questions that take an answer."""
        return tuple(question for question in self.questions if question.kind != "info")


@dataclass(frozen=True, slots=True)
class Answers:
    """What a reply says to an interview: valid `responses` ({id, value}), and in words each fault of the others.

    A question may stay unanswered.
    """

    responses: tuple[Json, ...]
    problems: tuple[str, ...]


# -- the request ---------------------------------------------------------------------------------------------------


def read_request(value: object) -> Interview:
    """Return the interview that `value`, parsed JSON, describes.

    Raises:
        IntercomError: The first thing that is wrong with it (`E_INVALID_INTERVIEW`).
    """
    if not isinstance(value, dict):
        raise _invalid("it must be an object with questions")
    rows = value.get("questions")
    if not isinstance(rows, list) or not rows:
        raise _invalid("questions must be an array with at least one question")
    questions: list[Question] = []
    for number, row in enumerate(rows, start=1):
        question = _read_question(f"question {number}", row)
        if any(question.id == other.id for other in questions):
            raise _invalid(f'question {number}: the id "{question.id}" is taken')
        questions.append(question)
    title, description = (_optional_text("it", value, key) for key in ("title", "description"))
    return Interview(tuple(questions), title, description)


def _read_question(where: str, row: object) -> Question:
    if not isinstance(row, dict):
        raise _invalid(f"{where} must be an object")
    identity = _required_text(where, row, "id")
    where = f'{where} ("{identity}")'
    kind = row.get("type")
    if kind not in KINDS:
        raise _invalid(f"{where}: type must be one of {', '.join(KINDS)}")
    text = _required_text(where, row, "question")
    options = row.get("options")
    if options is not None and not isinstance(options, list):
        raise _invalid(f"{where}: options must be an array")
    labels = tuple(_label(f"{where}: option {number}", option) for number, option in enumerate(options or (), start=1))
    if kind in _CHOICES and not labels:
        raise _invalid(f"{where}: a {kind} question needs options")
    if kind not in _CHOICES and labels:
        raise _invalid(f"{where}: a {kind} question takes no options")
    return Question(identity, kind, text, labels, _optional_text(where, row, "context"))


def _label(where: str, option: object) -> str:
    label = option.get("label") if isinstance(option, dict) else option
    if not isinstance(label, str) or not label.strip():
        raise _invalid(f"{where} must be a text, or an object with a label")
    return label.strip()


def _required_text(where: str, row: Json, key: str) -> str:
    text = row.get(key)
    if not isinstance(text, str) or not text.strip():
        raise _invalid(f"{where}: {key} is missing")
    return text.strip()


def _optional_text(where: str, row: Json, key: str) -> str | None:
    text = row.get(key)
    if text is not None and not isinstance(text, str):
        raise _invalid(f"{where}: {key} must be a text")
    return text or None


def _invalid(problem: str) -> IntercomError:
    return IntercomError(
        f"Invalid interview request: {problem}",
        code="E_INVALID_INTERVIEW",
        hint='give {"questions": [{"id": "db", "type": "single", "question": "Which?", "options": ["a", "b"]}]}',
    )


# -- on the wire ---------------------------------------------------------------------------------------------------


def render(interview: Interview, note: str | None = None) -> str:
    """Return the body of the message that carries an interview; `note` is the asking peer's own remark."""
    head = []
    if interview.title:
        head.append(f"Interview: {interview.title}")
    if interview.description:
        head.append(interview.description)
    if note:
        head.append(f"Child note: {note}")
    lines = [*head, *([""] if head else []), "Questions:"]
    for number, question in enumerate(interview.questions, start=1):
        lines.append(f"{number}. [{question.id}] ({question.kind}) {question.text}")
        if question.context:
            lines.append(f"   Context: {question.context}")
        if question.options:
            lines += ["   Options:", *(f"   - {option}" for option in question.options)]
    return "\n".join([*lines, "", *_instructions(interview)])


def _instructions(interview: Interview) -> list[str]:
    example = {"responses": [{"id": each.id, "value": _example(each)} for each in interview.to_answer]}
    return [
        "Supervisor reply instructions:",
        _HOW_TO_REPLY,
        "",
        "```json",
        json.dumps(example, indent=2, ensure_ascii=False),
        "```",
    ]


def _example(question: Question) -> object:
    if question.kind == "single":
        return question.options[0]
    if question.kind == "multi":
        return [question.options[0]]
    return "path or URL" if question.kind == "image" else "your answer"


# -- the reply -----------------------------------------------------------------------------------------------------


def read_reply(interview: Interview, text: str) -> Answers | None:
    """Return what a reply says, by its first fenced JSON or by the whole of it; None when it is plain prose."""
    fence = _FENCE.search(text)
    body = text[fence.end() :] if fence else text.strip().lstrip("\ufeff")
    if not body.startswith(("{", "[")):
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(body)
    except json.JSONDecodeError as error:
        return Answers((), (f"not valid JSON: {error.msg} at line {error.lineno} column {error.colno}",))
    except (ValueError, RecursionError):
        return Answers((), ("not valid JSON: a number or the nesting is beyond all measure",))
    rows = value.get("responses") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        return Answers((), ('there is no array "responses"',))
    return _read_responses(interview, rows)


def _read_responses(interview: Interview, rows: list[object]) -> Answers:
    questions = {question.id: question for question in interview.questions}
    responses: dict[str, Json] = {}
    problems: list[str] = []
    for number, row in enumerate(rows, start=1):
        identity = row.get("id") if isinstance(row, dict) else None
        if not isinstance(row, dict) or not isinstance(identity, str):
            problems.append(f"response {number} is not an object with an id")
            continue
        question = questions.get(identity.strip())
        if question is None:
            problems.append(f'"{identity[:_SHOWN_CHARS]}" is no question; {_ids(interview)}')
        elif question.id in responses:
            problems.append(f'"{question.id}" is answered twice')
        elif problem := _problem(question, row):
            problems.append(f'"{question.id}": {problem}')
        else:
            responses[question.id] = {"id": question.id, "value": _plain(row["value"])}
    if len(problems) > _PROBLEMS:
        problems[_PROBLEMS:] = [f"and {len(problems) - _PROBLEMS} more"]
    return Answers(tuple(responses.values()), tuple(problems))


def _ids(interview: Interview) -> str:
    ids = ", ".join(question.id for question in interview.to_answer)
    return f"the ids are {ids}" if ids else "none takes an answer"


def _problem(question: Question, row: Json) -> str | None:
    """Return what is wrong with the answer to a question, None if nothing is."""
    if question.kind == "info":
        return "is for information and takes no answer"
    if "value" not in row:
        return "the value is missing"
    value = row["value"]
    if question.kind == "multi":
        if not isinstance(value, list):
            return "the value must be an array of options"
        return next((problem for each in value if (problem := _not_an_option(question, each))), None)
    if question.kind == "single":
        return _not_an_option(question, value)
    return None if isinstance(value, str) else "the value must be a text"


def _not_an_option(question: Question, value: object) -> str | None:
    if isinstance(value, str) and value.strip() in question.options:
        return None
    said = json.dumps(value, ensure_ascii=False)[:_SHOWN_CHARS]
    return f"{said} is not one of the options: {', '.join(question.options)}"


def _plain(value: Any) -> Any:
    """Return an answer without the blanks around it, each option once."""
    return list(dict.fromkeys(each.strip() for each in value)) if isinstance(value, list) else value.strip()
