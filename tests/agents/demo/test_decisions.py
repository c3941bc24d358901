"""Questions that a worker takes to its planner, in the very texts of the supervisor's messages."""

from __future__ import annotations

import json
from pathlib import Path

from intercom_mux.agents.demo import decisions
from intercom_mux.agents.demo.search import Document
from intercom_mux.agents.demo.task import Question, in_message
from intercom_mux.client.identity import Identity, Supervisor
from intercom_mux.supervise import contact
from intercom_mux.supervise.interview import read_reply, read_request, render

STORE = Question("Which store?", ("sqlite", "postgres"))
NAME = Question("What is the table called?")
KNOWN = [
    Document("plan", "Storage: the store is sqlite; nobody is there to run a server."),
    Document("plan", "The table is called orders_v2."),
]


def from_worker(heading: str, body: str) -> str:
    """Return what the supervisor gets."""
    boss = Supervisor("id", "planner", "crew-1", "worker", 1)
    return contact.compose(heading, Identity("w", "worker-1", Path("/"), token="t", supervisor=boss), body)


def test_a_task_says_what_it_needs_and_leaves_open() -> None:
    """Lines of its details; choices stand behind the question."""
    (task,) = in_message(
        "Task T1: Store orders\nNeeds: data/rates.csv\nOpen: Which store? sqlite | postgres\nOpen: Why?"
    )
    assert task.needs == ["data/rates.csv"]
    assert task.questions == [STORE, Question("Why?")]


def test_marked_tasks_are_tasks() -> None:
    """What `task add --to` sends; the broker makes up an id where none is given."""
    found = in_message("[task:T7] Store orders\n\nsoon\n[task] Mend it")
    assert [(task.id, task.title, task.details) for task in found] == [
        ("T7", "Store orders", "soon"),
        ("", "Mend it", ""),
    ]


def test_the_body_of_a_decision_is_what_is_asked() -> None:
    """The lines that say who asks are no part of the question; another text is left as it is."""
    assert decisions.body(from_worker(contact.DECISION, "Which store?\n\nSoon.")) == "Which store?\n\nSoon."
    assert decisions.body("a\n\nb") == "a\n\nb"
    assert not decisions.is_interview(from_worker(contact.DECISION, "Which store?"))


def test_an_interview_is_answered_so_that_its_asker_takes_it() -> None:
    """What goes out by our own renderer comes back valid; what nothing known settles is left out."""
    request = read_request(decisions.as_interview("T1 Store", [STORE, NAME, Question("Which logo?", ("red", "blue"))]))
    text = from_worker(contact.INTERVIEW, render(request))
    assert decisions.is_interview(text)
    questions = decisions.in_interview(text)
    assert questions == {"q1": STORE, "q2": NAME, "q3": Question("Which logo?", ("red", "blue"))}
    answers = read_reply(request, decisions.answers(questions, KNOWN))
    assert answers is not None
    assert answers.problems == ()
    assert answers.responses == (
        {"id": "q1", "value": "sqlite"},
        {"id": "q2", "value": "The table is called orders_v2."},
    )


def test_a_choice_needs_one_option_alone() -> None:
    """A passage that names both settles nothing, nor does a longer word that holds the option."""
    assert decisions.settle(STORE, [Document("plan", "The store may be sqlite or postgres.")]) == ""
    assert decisions.settle(STORE, [Document("plan", "The store is sqlite3-like.")]) == ""
    assert json.loads(decisions.answers({"q": STORE}, [])) == {"responses": []}
