"""Requests of pi's sub-agents: what is understood, what is passed over, and the file that answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_mux.errors import IntercomError
from intercom_mux.supervise import answer, child_request
from tests.supervise.child import request
from tests.supervise.test_contact import INTERVIEW

if TYPE_CHECKING:
    from intercom_mux.supervise.child_request import ChildRequest

Json = dict[str, Any]


def read(**fields: Any) -> ChildRequest | None:
    """Return what is made of a request with these fields."""
    value = {key: each for key, each in request(**fields).items() if each is not None}
    return child_request.read(json.dumps(value).encode(), str(value.get("id")))


def known(**fields: Any) -> ChildRequest:
    """Return a request that is understood."""
    found = read(**fields)
    assert found is not None
    return found


def test_a_decision_reads_as_if_it_came_through_a_broker() -> None:
    """The same text, so that whoever answers asks of ours answers these."""
    head = "Run: run1\nAgent: scout\nChild index: 0\nChild intercom target: subagent-scout-run1-1"
    assert known().text == f"Subagent needs a supervisor decision.\n{head}\n\nWhich way?"
    assert answer.read("x", "scout", known().text).text == "Which way?"


def test_an_interview_becomes_its_questions() -> None:
    """They are rendered as ours are; questions that make no sense leave the message, which prose answers."""
    asked = known(reason="interview_request", interview=INTERVIEW, message=None)
    assert answer.read("x", "scout", asked.text).interview == asked.interview
    broken = known(reason="interview_request", interview={"questions": []})
    assert (broken.interview, broken.body) == (None, "Which way?")
    assert read(reason="interview_request", message=None) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "progress_update", "expectsReply": False},
        {"reason": "other"},
        {"expectsReply": None},
        {"type": "subagent.supervisor.reply"},
        {"message": " "},
        {"message": 3},
        {"createdAt": None},
        {"createdAt": True},
        {"createdAt": "yesterday"},
        {"createdAt": "0001-01-01"},
        {"createdAt": float("inf")},
        {"createdAt": 1e400},
        {"agent": ["scout"]},
        {"childIndex": "0"},
        {"runId": None},
    ],
)
def test_what_nobody_has_to_answer_is_passed_over(fields: Json) -> None:
    """Updates, and what lacks what a request has."""
    assert read(**fields) is None


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_junk_is_passed_over(data: bytes | str) -> None:
    """Bytes and JSON of any kind."""
    assert child_request.read(data.encode() if isinstance(data, str) else data, "x") is None


@given(st.sampled_from(sorted(request())), st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_a_field_of_any_kind_never_breaks_it(field: str, value: object) -> None:
    """The request is understood or passed over; what is understood has a text and can be shown and answered."""
    found = read(**{field: value})
    if found is not None:
        assert found.text.startswith("Subagent ")
        json.dumps(child_request.row(found, 0), allow_nan=False)
        assert json.loads(child_request.answer(found, "left", (), 1))["message"] == "left"


WHOLE = request()


@given(st.integers(0, len(json.dumps(WHOLE)) - 1))
def test_a_half_written_file_is_passed_over(length: int) -> None:
    """However much of it is there."""
    assert child_request.read(json.dumps(WHOLE).encode()[:length], WHOLE["id"]) is None


def test_the_id_in_the_file_must_be_that_of_its_name() -> None:
    """A copied or renamed file answers nothing."""
    value = request()
    assert child_request.read(json.dumps(value).encode(), "other") is None
    assert [child_request.is_id(text) for text in ("a-1.b", "", "../x", ".x", "a/b", "x" * 129)] == [True] + [False] * 5


def test_who_says_no_end_waits_ten_minutes() -> None:
    """Or as long as the caller's environment says."""
    assert known(createdAt=1000, expiresAt=None).expires_at == 601_000
    value = {**request(createdAt=1000), "expiresAt": None}
    found = child_request.read(json.dumps(value).encode(), value["id"], wait_ms=5)
    assert found is not None
    assert found.expires_at == 1005


def test_the_answer_is_dated_as_the_request_is() -> None:
    """In milliseconds, or in words."""
    assert json.loads(child_request.answer(known(id="a"), "left", (), 1500.5)) == {
        "type": "subagent.supervisor.reply",
        "requestId": "a",
        "createdAt": 1500,
        "message": "left",
    }
    asked = known(id="a", createdAt="2026-01-01T00:00:00.000Z")
    assert (asked.created_at, json.loads(child_request.answer(asked, "left", (), 1500))["createdAt"]) == (
        1_767_225_600_000,
        "1970-01-01T00:00:01.500Z",
    )


FITS = {"responses": [{"id": "db", "value": "sqlite"}]}


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        (json.dumps(FITS, indent=2), json.dumps(FITS)),
        (f"```json\n{json.dumps(FITS)}\n```\n", json.dumps(FITS)),
        (f"Here:\n```json\n{json.dumps(FITS)}\n```", f"Here:\n```json\n{json.dumps(FITS)}\n```"),
        (f"{json.dumps(FITS)} and good luck", f"{json.dumps(FITS)} and good luck"),
        ("Take sqlite.", "Take sqlite."),
    ],
)
def test_answers_go_as_bare_json_if_they_are_nothing_else(said: str, sent: str) -> None:
    """What a supervisor says beside them is not lost."""
    asked = known(reason="interview_request", interview=INTERVIEW)
    assert json.loads(child_request.answer(asked, said, (), 1))["message"] == sent


def test_answers_that_do_not_fit_are_refused_by_question() -> None:
    """Nothing is made of them."""
    asked = known(reason="interview_request", interview=INTERVIEW)
    said = '{"responses": [{"id": "db", "value": "mysql"}, {"id": "x", "value": "y"}]}'
    with pytest.raises(IntercomError) as caught:
        child_request.answer(asked, said, (), 1)
    assert caught.value.code == "E_INVALID_ANSWER"
    assert caught.value.fields["problems"] == [
        '"db": "mysql" is not one of the options: sqlite, postgres',
        '"x" is no question; the ids are db',
    ]


@pytest.mark.parametrize(("text", "code"), [(" ", "E_INVALID_MESSAGE"), ("x" * 65_536, "E_MESSAGE_TOO_LARGE")])
def test_a_reply_must_be_one(text: str, code: str) -> None:
    """Not empty, and not more than the channel takes."""
    with pytest.raises(IntercomError) as caught:
        child_request.answer(known(), text, (), 1)
    assert caught.value.code == code


def test_attachments_stand_below() -> None:
    """In the shape that pi sessions know, in a fence that their content does not close."""
    files = [{"type": "file", "name": "a.md", "content": "~~~\nx", "language": "md"}]
    assert json.loads(child_request.answer(known(), "left", files, 1))["message"] == (
        "left\n\n---\nAttachment: a.md\n~~~~md\n~~~\nx\n~~~~"
    )
