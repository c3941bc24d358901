"""contact_supervisor held to what pi's sessions write and read: whole texts, and both sides' rules written anew here.

Nothing of ours is asked what is valid: `pi_takes_request` and `pi_reads_reply` are the rules of the v1 sessions.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from intercom_mux.client.blocking import Client
from intercom_mux.client.identity import Identity, Supervisor
from intercom_mux.errors import IntercomError
from intercom_mux.supervise import contact
from intercom_mux.supervise.interview import read_reply, read_request
from tests.broker.live import start
from tests.cli.stage import TEAM, Peer
from tests.support import wait_until
from tests.v1.client import V1Client

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

KINDS = ("single", "multi", "text", "image", "info")
REQUEST: Json = {
    "title": "Storage",
    "description": "Before I start.",
    "questions": [
        {"id": "why", "type": "info", "question": "The table grows."},
        {"id": "db", "type": "single", "question": "Which?", "options": ["sqlite", {"label": "postgres", "x": 1}]},
        {"id": "keep", "type": "multi", "question": "What?", "options": ["a", "b"], "context": "Of old rows."},
        {"id": "name", "type": "text", "question": "What name?"},
        {"id": "logo", "type": "image", "question": "Which logo?"},
    ],
}
FACTS = "Run: crew-1\nAgent: worker\nChild index: 1\nChild intercom target: worker-1\n\n"
INTERVIEW_BODY = (
    "Interview: Storage\nBefore I start.\nChild note: soon\n\nQuestions:\n"
    "1. [why] (info) The table grows.\n"
    "2. [db] (single) Which?\n   Options:\n   - sqlite\n   - postgres\n"
    "3. [keep] (multi) What?\n   Context: Of old rows.\n   Options:\n   - a\n   - b\n"
    "4. [name] (text) What name?\n"
    "5. [logo] (image) Which logo?\n\n"
    "Supervisor reply instructions:\n"
)


# -- the rules of the v1 sessions ----------------------------------------------------------------------------------


def pi_takes_request(value: Json) -> bool:
    """Whether a v1 child would put these questions."""
    rows = value.get("questions")
    if not all(isinstance(value.get(key, ""), str) for key in ("title", "description")):
        return False
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return False
    ids = [row.get("id") for row in rows]
    if not all(map(_is_filled, ids)) or len({str(each).strip() for each in ids}) != len(ids):
        return False
    return all(map(_pi_takes_question, rows))


def _pi_takes_question(row: Json) -> bool:
    options: Any = row.get("options", [])
    if row.get("type") not in KINDS or not _is_filled(row.get("question")):
        return False
    if not isinstance(row.get("context", ""), str) or not isinstance(options, list):
        return False
    labels = [option.get("label") if isinstance(option, dict) else option for option in options]
    return all(map(_is_filled, labels)) and bool(labels) is (row["type"] in ("single", "multi"))


def _is_filled(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def pi_reads_reply(request: Json, text: str) -> dict[str, Any] | str | None:
    """What a v1 child makes of a reply: answers by id, "error", or None for prose."""
    fence = re.search(r"```(?:json)?\s*\n(.*?)```", text, re.DOTALL)
    body = (fence[1] if fence else text).strip()
    if not body.startswith(("{", "[")):
        return None
    try:
        rows = json.loads(body)["responses"]
        found: dict[str, Any] = {}
        for row in rows:
            question = next(each for each in request["questions"] if each["id"] == row["id"])
            assert question["type"] != "info"
            assert row["id"] not in found
            found[row["id"]] = _pi_reads_value(question, row["value"])
    except (ValueError, KeyError, TypeError, AssertionError, StopIteration):
        return "error"
    return found


def _pi_reads_value(question: Json, value: Any) -> object:
    labels = [option["label"] if isinstance(option, dict) else option for option in question.get("options", [])]
    if question["type"] == "multi":
        assert isinstance(value, list)
        return [_pi_reads_label(labels, each) for each in value]
    assert isinstance(value, str)
    return _pi_reads_label(labels, value) if question["type"] == "single" else value.strip()


def _pi_reads_label(labels: Iterable[str], value: object) -> str:
    assert isinstance(value, str)
    assert value.strip() in labels
    return value.strip()


# -- what goes over the wire ---------------------------------------------------------------------------------------


def test_a_v1_supervisor_gets_the_very_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """All three, whole, from the client through the broker; the example reply is one that a v1 child would take."""
    with V1Client(start(), "pi-boss") as boss, Peer("worker-1", role="worker", team=TEAM) as worker:
        boss.on_ask = lambda _question: "ok"
        worker.enter_pane(monkeypatch, supervisor=boss)
        with Client.connect() as client:
            contact.need_decision(client, "Which?\n\nSoon.")
        with Client.connect() as client:
            contact.interview_request(client, read_request(REQUEST), "soon")
            contact.progress_update(client, "half done")
        texts = wait_until(lambda: boss.texts() if len(boss.texts()) == 3 else [], what="three messages")
    decision, interview, progress = texts
    assert decision == f"Subagent needs a supervisor decision.\n{FACTS}Which?\n\nSoon."
    assert progress == f"Subagent progress update.\n{FACTS}half done"
    head = f"Subagent requests a structured supervisor interview.\n{FACTS}{INTERVIEW_BODY}"
    assert interview.startswith(head)
    assert re.fullmatch(r"[^\n]+\n\n```json\n\{\n.*\n\}\n```", interview[len(head) :], re.DOTALL)
    read = pi_reads_reply(REQUEST, interview[len(head) :])
    assert isinstance(read, dict)
    assert list(read) == ["db", "keep", "name", "logo"]


def test_a_child_without_a_name_leaves_its_line_out() -> None:
    """The line of the target is the only one that may be missing."""
    me = Identity("id", "worker-1", Path("/"), token="t", supervisor=Supervisor("b", "boss", "crew-1", "worker", 1))
    nameless = replace(me, name=None)
    assert contact.compose(contact.PROGRESS, nameless, "x") == (
        "Subagent progress update.\nRun: crew-1\nAgent: worker\nChild index: 1\n\nx"
    )


# -- requests ------------------------------------------------------------------------------------------------------

_texts = st.sampled_from(["a", "b", " a ", "", " ", "Which?"])
_odd = st.sampled_from([3, True, [], {}])
_options = st.lists(_texts | _odd | st.fixed_dictionaries({"label": _texts | _odd}), max_size=2)
_good_question = st.one_of(
    st.fixed_dictionaries(
        {"id": _texts, "type": st.sampled_from(["single", "multi"]), "question": st.just("?"), "options": _options}
    ),
    st.fixed_dictionaries({"id": _texts, "type": st.sampled_from(["text", "image", "info"]), "question": st.just("?")}),
)
_any_question = st.fixed_dictionaries(
    {},
    optional={
        "id": _texts | _odd,
        "type": st.sampled_from([*KINDS, "choice", 3]),
        "question": _texts | _odd,
        "context": _texts | _odd,
        "options": _options | _odd,
    },
)
_requests = st.fixed_dictionaries(
    {"questions": st.lists(_good_question | _any_question | _odd, max_size=3) | _odd},
    optional={"title": _texts | _odd, "description": _texts | _odd},
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(_requests)
@example(REQUEST)
@example({"questions": [{"id": "x", "type": "info", "question": "?", "options": ["a"]}]})
@example({"questions": [{"id": "x", "type": "image", "question": "?", "options": ["a"]}]})
@example({"questions": [{"id": "x", "type": "multi", "question": "?", "options": []}]})
@example({"description": 3, "questions": [{"id": "x", "type": "text", "question": "?"}]})
def test_questions_are_taken_exactly_when_pi_takes_them(value: Json) -> None:
    """Neither more nor less, and what is refused is refused in the words that pi begins with."""
    if pi_takes_request(value):
        read_request(value)
        return
    with pytest.raises(IntercomError, match=r"^Invalid interview request: "):
        read_request(value)


# -- replies -------------------------------------------------------------------------------------------------------

_ids = st.sampled_from(["why", "db", "keep", "name", "logo", "else"])
_said = st.sampled_from(["sqlite", " postgres", "a", "b ", "mysql", "x", 3, None])
_row = st.fixed_dictionaries({"id": _ids}, optional={"value": _said | st.lists(_said, unique_by=str, max_size=2)})
_right = st.sampled_from(
    [
        {"id": "db", "value": " sqlite"},
        {"id": "keep", "value": ["b", "a"]},
        {"id": "keep", "value": []},
        {"id": "name", "value": "orders"},
        {"id": "logo", "value": "logo.png"},
    ]
)
_frames = st.sampled_from(["{}", "```json\n{}\n```", "```\n{}\n```\nGood luck.", "Here you are:\n```json\n{}\n```"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(st.lists(_right, max_size=3) | st.lists(_row | _right, max_size=3), _frames)
def test_a_reply_means_what_it_means_to_pi(rows: list[Json], frame: str) -> None:
    """What pi takes whole is taken whole, with the same values; in what pi refuses, a fault is named."""
    text = frame.replace("{}", json.dumps({"responses": rows}))
    theirs, ours = pi_reads_reply(REQUEST, text), read_reply(read_request(REQUEST), text)
    assert ours is not None
    if theirs == "error":
        assert ours.problems
    else:
        assert (ours.problems, {row["id"]: row["value"] for row in ours.responses}) == ((), theirs)


@pytest.mark.parametrize("text", ["Take sqlite.", "", "```python\nx = 1\n```", '"sqlite"', "3"])
def test_what_is_prose_to_pi_is_prose_to_us(text: str) -> None:
    """Neither an answer nor a fault."""
    assert pi_reads_reply(REQUEST, text) is None
    assert read_reply(read_request(REQUEST), text) is None
