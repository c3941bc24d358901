"""What a person is asked, and the reply that its answers make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.client.identity import Identity, Supervisor
from intercom_mux.errors import IntercomError
from intercom_mux.supervise import answer, contact, interview
from intercom_mux.supervise.interview import Answers, Interview, Question

ME = Identity("id", "worker-1", Path("/s"), token="t", supervisor=Supervisor("boss", "planner", "crew-1", "worker", 1))

WHICH = Interview(
    (
        Question("db", "single", "Which?", ("sqlite", "files"), "both work"),
        Question("os", "multi", "Where?", ("linux", "mac", "windows")),
        Question("why", "text", "Why?"),
        Question("look", "image", "How?"),
        Question("note", "info", "Mind the gap."),
    ),
    "Storage",
    "Two ways.",
)


def _interview(request: Interview, note: str | None = None) -> answer.Pending:
    return answer.read("a1", "worker-1", contact.compose(contact.INTERVIEW, ME, interview.render(request, note)))


def test_a_decision_is_shown_without_its_head() -> None:
    """The reply is the person's words."""
    one = answer.read("a1", "worker-1", contact.compose(contact.DECISION, ME, "Which?\n\nsqlite or files"))
    assert answer.screens(one) == (answer.Screen("", "worker-1 needs a decision", "Which?\n\nsqlite or files"),)
    assert answer.reply(one, {"": "files"}) == "files"


def test_a_plain_ask_is_shown_whole() -> None:
    """Anybody may ask a person."""
    one = answer.read("a1", "scout", "how far?")
    assert (one.kind, [screen.title for screen in answer.screens(one)]) == ("ask", ["scout asks"])


def test_an_interview_has_a_screen_for_each_question() -> None:
    """The remarks stand above the first; options keep their order."""
    one = _interview(WHICH, "hurry")
    screens = answer.screens(one)
    assert [screen.kind for screen in screens] == ["single", "multi", "text", "image", "info"]
    assert screens[0].title == "worker-1: Storage · 1 of 5"
    assert screens[0].text == "Two ways.\nChild note: hurry\n\nWhich?\n\nboth work"
    assert screens[1].options == ("linux", "mac", "windows")


def test_the_reply_is_what_the_asker_reads() -> None:
    """Answered questions only, as the asking side validates them."""
    said = answer.reply(_interview(WHICH), {"db": "files", "os": ["mac"]})
    assert interview.read_reply(WHICH, said) == Answers(
        ({"id": "db", "value": "files"}, {"id": "os", "value": ["mac"]}), ()
    )


@pytest.mark.parametrize("answers", [{"db": "no"}, {"os": "mac"}, {"note": "x"}, {"nobody": "x"}, {}], ids=json.dumps)
def test_answers_that_do_not_fit_are_refused(answers: dict[str, answer.Value]) -> None:
    """Before anything is sent."""
    with pytest.raises(IntercomError, match="not a valid answer"):
        answer.reply(_interview(WHICH), answers)
    with pytest.raises(IntercomError, match="no answer is given"):
        answer.reply(answer.read("a1", "scout", "?"), {"": " "})


def test_an_interview_of_another_shape_is_answered_as_text() -> None:
    """Whatever a foreign program writes below the heading."""
    one = answer.read("a1", "pi", f"{contact.INTERVIEW}\nRun: r\n\nQuestions:\nwhich one?")
    assert (one.kind, one.interview, one.text) == ("decision", None, "Questions:\nwhich one?")


WORDS = st.from_regex(r"[A-Za-z][a-z ]{0,8}[a-z]", fullmatch=True)
CHOICE = st.builds(
    lambda kind, text, options: {"type": kind, "question": text, "options": options},
    st.sampled_from(["single", "multi"]),
    WORDS,
    st.lists(WORDS, min_size=1, max_size=4),
)
FREE = st.builds(lambda kind, text: {"type": kind, "question": text}, st.sampled_from(["text", "image", "info"]), WORDS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(CHOICE | FREE, min_size=1, max_size=5))
def test_what_is_rendered_is_read_back(rows: list[dict[str, object]]) -> None:
    """Ids, kinds, texts and options of every interview."""
    request = interview.read_request({"questions": [{"id": f"q{n}", **row} for n, row in enumerate(rows)]})
    assert answer.read_interview(interview.render(request)) == request


ODD = st.text(st.sampled_from("ab [](){}.:,-`~\n1"), min_size=1, max_size=12).filter(str.strip)
ODD_ROW = st.fixed_dictionaries({"id": ODD, "question": ODD}, optional={"context": ODD})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    st.lists(
        ODD_ROW.flatmap(
            lambda row: st.one_of(
                st.just({**row, "type": "text"}),
                st.just({**row, "type": "info"}),
                st.lists(ODD, min_size=1, max_size=3).map(lambda o: {**row, "type": "multi", "options": o}),
            )
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda row: str(row["id"]).strip(),
    )
)
def test_what_reads_as_another_interview_is_taken_for_none(rows: list[dict[str, object]]) -> None:
    """Whatever stands in ids and options: what is read back asks for the same answers by the same ids."""
    request = interview.read_request({"questions": rows})
    found = answer.read_interview(interview.render(request))
    assert found is None or [q.id for q in found.to_answer] == [q.id for q in request.to_answer]
