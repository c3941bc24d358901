"""What a worker takes to whoever decides, and how a planner answers it: from the passages it knows. Pure.

The texts are those of `supervisor decide` and `supervisor interview` (docs/protocol.md, "Supervision").
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from intercom_mux.agents.demo.search import rank
from intercom_mux.agents.demo.task import Question

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intercom_mux.agents.demo.search import Document

PASSAGES_MAX = 3
"""How many of the best passages may settle a choice; the first that names one option alone does."""

UNDECIDED = "I cannot decide this"
"""How the answer of a planner begins that finds nothing about a decision; it settles nothing."""

_HEAD = re.compile(r"\ASubagent (?P<what>needs a supervisor decision|requests a structured supervisor interview)\.\n")
_ASKED = re.compile(r"^\d+\. \[(?P<id>[^\]\n]+)\] \((?P<kind>\w+)\) (?P<text>.+)$")
_OPTION = re.compile(r"^   - (?P<label>.+)$")


def as_text(questions: Sequence[Question]) -> str:
    """Return questions as a person reads them, one a line, with the choices in brackets."""
    return "\n".join(each.text + (f" ({' | '.join(each.options)})" if each.options else "") for each in questions)


def as_interview(title: str, questions: Sequence[Question]) -> dict[str, Any]:
    """Return questions as `supervisor interview` takes them; their ids are q1, q2, …"""
    rows: list[dict[str, Any]] = []
    for number, each in enumerate(questions, start=1):
        row: dict[str, Any] = {"id": f"q{number}", "type": "single" if each.options else "text", "question": each.text}
        rows.append({**row, "options": list(each.options)} if each.options else row)
    return {"title": title, "questions": rows}


def is_interview(text: str) -> bool:
    """Return whether a message is an interview."""
    head = _HEAD.match(text)
    return head is not None and head["what"].startswith("requests")


def is_decision(text: str) -> bool:
    """Return whether a message asks for a decision."""
    head = _HEAD.match(text)
    return head is not None and head["what"].startswith("needs")


def body(text: str) -> str:
    """Return what a worker asks, without the lines that say who it is; any other text as it is."""
    return text.partition("\n\n")[2] if _HEAD.match(text) else text


def in_interview(text: str) -> dict[str, Question]:
    """Return the questions of an interview, by their ids."""
    found: dict[str, Question] = {}
    last = ""
    for line in text.partition("Supervisor reply instructions:")[0].split("\n"):
        if asked := _ASKED.match(line):
            last = asked["id"]
            found[last] = Question(asked["text"])
        elif last and (option := _OPTION.match(line)):
            found[last] = Question(found[last].text, (*found[last].options, option["label"]))
    return found


def answers(questions: Mapping[str, Question], known: Sequence[Document]) -> str:
    """Return the reply to an interview as JSON: what `known` settles. The rest is left out rather than guessed."""
    settled = {key: settle(question, known) for key, question in questions.items()}
    rows = [{"id": key, "value": value} for key, value in settled.items() if value]
    return json.dumps({"responses": rows}, indent=2, ensure_ascii=False)


def settle(question: Question, known: Sequence[Document]) -> str:
    """Return the option that the best passages name, or the best passage for a question without any; else ""."""
    hits = rank(f"{question.text} {' '.join(question.options)}", known).hits[:PASSAGES_MAX]
    if not question.options:
        return " ".join(" ".join(hits[0].passage.lines).split()) if hits else ""
    for hit in hits:
        said = " ".join(hit.passage.lines).casefold()
        named = [
            option for option in question.options if re.search(rf"(?<!\w){re.escape(option.casefold())}(?!\w)", said)
        ]
        if len(named) == 1:
            return named[0]
    return ""
