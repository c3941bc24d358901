"""Interviews: which requests are taken, how they read on the wire, and what a reply is held to."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.errors import IntercomError
from intercom_mux.supervise.interview import Answers, Question, read_reply, read_request, render

Json = dict[str, Any]

REQUEST = {
    "title": "Storage",
    "description": "Before I start.",
    "questions": [
        {"id": "why", "type": "info", "question": "The table grows by 1 GB a day."},
        {"id": "db", "type": "single", "question": "Which one?", "options": ["sqlite", {"label": "postgres"}]},
        {
            "id": "keep",
            "type": "multi",
            "question": "Keep what?",
            "options": ["a", "b", "c"],
            "context": "Of old rows.",
        },
        {"id": "name", "type": "text", "question": "What name?"},
        {"id": "logo", "type": "image", "question": "Which logo?"},
    ],
}
INTERVIEW = read_request(REQUEST)


def one(**changes: Any) -> Json:
    """Return a request with one question, changed; a value of None takes the key out."""
    question = {"id": "db", "type": "single", "question": "Which?", "options": ["x"], **changes}
    return {"questions": [{key: value for key, value in question.items() if value is not None}]}


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ([], "it must be an object with questions"),
        ({"questions": []}, "questions must be an array with at least one question"),
        ({"questions": {}}, "questions must be an array with at least one question"),
        ({**one(), "title": 3}, "it: title must be a text"),
        ({"questions": ["x"]}, "question 1 must be an object"),
        (one(id="  "), "question 1: id is missing"),
        (one(id=7), "question 1: id is missing"),
        ({"questions": one()["questions"] + one(id=" db ")["questions"]}, 'question 2: the id "db" is taken'),
        (one(type="choice"), 'question 1 ("db"): type must be one of single, multi, text, image, info'),
        (one(question=None), 'question 1 ("db"): question is missing'),
        (one(context=1), 'question 1 ("db"): context must be a text'),
        (one(options="x"), 'question 1 ("db"): options must be an array'),
        (one(options=["x", " "]), 'question 1 ("db"): option 2 must be a text, or an object with a label'),
        (one(options=[{"name": "x"}]), 'question 1 ("db"): option 1 must be a text, or an object with a label'),
        (one(options=None), 'question 1 ("db"): a single question needs options'),
        (one(type="text"), 'question 1 ("db"): a text question takes no options'),
    ],
)
def test_a_request_is_refused_with_its_first_fault(request_: object, problem: str) -> None:
    """Whatever is wrong is named with the question it is in."""
    with pytest.raises(IntercomError) as caught:
        read_request(request_)
    assert caught.value.message == f"Invalid interview request: {problem}"
    assert caught.value.code == "E_INVALID_INTERVIEW"


def test_an_interview_reads_as_pi_writes_it() -> None:
    """The body has title, description, note, numbered questions with context and options, and a worked example."""
    head, instructions = render(INTERVIEW, "I would take sqlite.").split("\n\nSupervisor reply instructions:\n")
    assert head == (
        "Interview: Storage\n"
        "Before I start.\n"
        "Child note: I would take sqlite.\n"
        "\n"
        "Questions:\n"
        "1. [why] (info) The table grows by 1 GB a day.\n"
        "2. [db] (single) Which one?\n"
        "   Options:\n"
        "   - sqlite\n"
        "   - postgres\n"
        "3. [keep] (multi) Keep what?\n"
        "   Context: Of old rows.\n"
        "   Options:\n"
        "   - a\n"
        "   - b\n"
        "   - c\n"
        "4. [name] (text) What name?\n"
        "5. [logo] (image) Which logo?"
    )
    example = json.loads(instructions.split("```json\n")[1].removesuffix("\n```"))
    assert [row["id"] for row in example["responses"]] == ["db", "keep", "name", "logo"]


def test_the_example_in_the_instructions_is_a_valid_reply() -> None:
    """Whoever copies the example answers every question; without a head the questions come first."""
    answers = read_reply(INTERVIEW, render(INTERVIEW))
    assert answers is not None
    assert (len(answers.responses), answers.problems) == (4, ())
    assert render(read_request(one())).startswith("Questions:\n1. [db]")


GOOD = {"responses": [{"id": "db", "value": " sqlite "}, {"id": "keep", "value": ["a", "c"]}]}
TAKEN = ({"id": "db", "value": "sqlite"}, {"id": "keep", "value": ["a", "c"]})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"\n {json.dumps(GOOD, indent=2)}\nGood luck.",
        f"Here:\n```json\n{json.dumps(GOOD)}\n```\nand ```json\n[]\n```",
        f"```\n{json.dumps(GOOD)}\n```",
        f"```json {json.dumps(GOOD)}```",
        f"~~~json\n{json.dumps(GOOD)}\n~~~",
        f"\ufeff{json.dumps(GOOD)}",
    ],
)
def test_a_reply_is_taken_bare_or_fenced(text: str) -> None:
    """JSON alone, the first fence with JSON in it, with or without its language; labels lose their blanks."""
    assert read_reply(INTERVIEW, text) == Answers(TAKEN, ())


@pytest.mark.parametrize("text", ["Take sqlite.", "", "see ```python\nx\n```", "The set {a, b}", '"text"'])
def test_prose_is_no_answer_and_no_fault(text: str) -> None:
    """A supervisor may answer in its own words."""
    assert read_reply(INTERVIEW, text) is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"id": "db", "value": "mysql"}, '"db": "mysql" is not one of the options: sqlite, postgres'),
        ({"id": "db", "value": ["sqlite"]}, '"db": ["sqlite"] is not one of the options: sqlite, postgres'),
        ({"id": "db"}, '"db": the value is missing'),
        ({"id": "keep", "value": "a"}, '"keep": the value must be an array of options'),
        ({"id": "keep", "value": ["a", "z"]}, '"keep": "z" is not one of the options: a, b, c'),
        ({"id": "name", "value": 3}, '"name": the value must be a text'),
        ({"id": "logo", "value": None}, '"logo": the value must be a text'),
        ({"id": "why", "value": "ok"}, '"why": is for information and takes no answer'),
        ({"id": "size", "value": "1"}, '"size" is no question; the ids are db, keep, name, logo'),
        ({"value": "1"}, "response 2 is not an object with an id"),
        ("x", "response 2 is not an object with an id"),
        ({"id": "first", "value": "again"}, '"first" is answered twice'),
    ],
)
def test_a_faulty_answer_is_named_and_the_others_count(row: object, problem: str) -> None:
    """Each answer is judged alone."""
    questions = [{"id": "first", "type": "text", "question": "?"}, *REQUEST["questions"]]
    interview = read_request({"questions": questions})
    answers = read_reply(interview, json.dumps({"responses": [{"id": "first", "value": "yes"}, row]}))
    assert answers is not None
    assert answers.responses == ({"id": "first", "value": "yes"},)
    assert [each.replace("first, ", "") for each in answers.problems] == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"responses": [}', "not valid JSON: Expecting value at line 1 column 16"),
        ("{}", 'there is no array "responses"'),
        ("[]", 'there is no array "responses"'),
        ('{"responses": {}}', 'there is no array "responses"'),
        ("[" * 100_000, "not valid JSON: a number or the nesting is beyond all measure"),
        ('{"responses": ' + "9" * 5000 + "}", "not valid JSON: a number or the nesting is beyond all measure"),
    ],
)
def test_what_is_no_reply_at_all_is_told(text: str, problem: str) -> None:
    """The place of a fault in the JSON is told; hostile JSON is one more fault."""
    assert read_reply(INTERVIEW, text) == Answers((), (problem,))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_no_reply_breaks_the_reader(text: str) -> None:
    """Any text is answers, faults or prose, and every answer is to a question."""
    answers = read_reply(INTERVIEW, text)
    assert answers is None or {row["id"] for row in answers.responses} <= {q.id for q in INTERVIEW.to_answer}


_words = st.text(min_size=1).filter(str.strip)
_values = st.recursive(
    st.none() | st.booleans() | st.text() | st.sampled_from(["db", "sqlite", "a"]),
    lambda inner: st.lists(inner) | st.fixed_dictionaries({"id": _words | st.sampled_from(["db"]), "value": inner}),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.lists(_values))
def test_every_response_is_taken_or_named(rows: list[object]) -> None:
    """Of any list of responses each one is either among the answers or among the faults."""
    answers = read_reply(INTERVIEW, json.dumps({"responses": rows}))
    assert answers is not None
    assert len(answers.responses) + len(answers.problems) == len(rows)


def fits(question: Question, value: object) -> bool:
    """Whether a value answers a question: an option, options each once, a text."""
    if question.kind == "multi":
        return isinstance(value, list) and len(set(value)) == len(value) and set(value) <= set(question.options)
    return isinstance(value, str) and (question.kind != "single" or value in question.options)


_ids = st.sampled_from([question.id for question in INTERVIEW.questions]) | st.text(max_size=3)
_said = st.sampled_from(["sqlite", " postgres ", "a", "b", "x", "", 3, None, True])
_rows = st.fixed_dictionaries({"id": _ids}, optional={"value": _said | st.lists(_said, max_size=4)})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.lists(_rows, max_size=6))
def test_answers_fit_their_questions_and_faults_name_them(rows: list[dict[str, object]]) -> None:
    """What is taken fits its question, each question once; every fault names the response's id or its number."""
    answers = read_reply(INTERVIEW, json.dumps({"responses": rows}))
    assert answers is not None
    questions = {question.id: question for question in INTERVIEW.to_answer}
    assert len({row["id"] for row in answers.responses}) == len(answers.responses)
    assert all(fits(questions[row["id"]], row["value"]) for row in answers.responses)
    for problem in answers.problems:
        assert any(problem.startswith(f'"{str(row["id"]).strip()}"') or f'"{row["id"]}"' in problem for row in rows)
        assert len(problem) > len('"x": ')


def test_of_many_faults_the_first_are_told() -> None:
    """A flood does not fill the screen, and a long id not the line."""
    answers = read_reply(INTERVIEW, json.dumps({"responses": [1] * 51 + [{"id": "x" * 999}]}))
    assert answers is not None
    assert (len(answers.problems), answers.problems[-1]) == (51, "and 2 more")
    named = read_reply(INTERVIEW, json.dumps({"responses": [{"id": "x" * 999}]}))
    assert named is not None
    assert len(named.problems[0]) < 150


def test_an_option_chosen_twice_counts_once() -> None:
    """In the order of the reply."""
    said = json.dumps({"responses": [{"id": "keep", "value": ["c", "a", " c"]}]})
    assert read_reply(INTERVIEW, said) == Answers(({"id": "keep", "value": ["c", "a"]},), ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_request_breaks_the_reader(value: object) -> None:
    """Any value is an interview or is refused in words."""
    with contextlib.suppress(IntercomError):
        assert read_request({"questions": [value]}).questions
