"""Tasks in messages and plans."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.demo.task import Task, in_message, in_plan, outcome

ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
TITLES = st.from_regex(r"[A-Za-z][A-Za-z ]{0,20}[a-z]", fullmatch=True)


def test_a_message_brings_tasks_with_their_details() -> None:
    """Each line `Task ID: title` begins one; a person may write around it."""
    text = "Hello!\nTask T1: Renew the token\nbefore it expires\n\n  Task B-2: Retry\nTask: none\n"
    assert in_message(text) == [Task("T1", "Renew the token", "before it expires"), Task("B-2", "Retry", "Task: none")]


@pytest.mark.parametrize(
    ("plan", "tasks"),
    [
        ("Tasks:\n- one\n- two", [("T1", "one"), ("T2", "two")]),
        ("## Tasks\n\n1. one\n2) two\n\nThat is all.\n- not this", [("T1", "one"), ("T2", "two")]),
        ("**Tasks:**\n* [ ] one\n* [x] two", [("T1", "one"), ("T2", "two")]),
        ("tasks:\n  - T7: one\n  - two\n  - T1: three", [("T7", "one"), ("T2", "two"), ("T1", "three")]),
        ("Tasks:\n- T1: one\n- T1: again", [("T1", "one"), ("T2", "T1: again")]),
        ("Rules:\n- no tasks here", []),
        ("", []),
    ],
)
def test_a_plan_lists_tasks(plan: str, tasks: list[tuple[str, str]]) -> None:
    """Bullets and numbers below `Tasks:` are numbered, ids of their own are kept, and never is one used twice."""
    assert [(task.id, task.title) for task in in_plan(plan)] == tasks


def test_deeper_lines_are_details() -> None:
    """What is indented below an item belongs to it."""
    assert in_plan("Tasks:\n- one\n  - really\n  and more\n- two") == [
        Task("T1", "one", "- really\nand more"),
        Task("T2", "two"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Done T1: Renew", "done"),
        ("Blocked T1: Renew\n\nNobody answered", "blocked"),
        ("I have finished T1, and T2 failed", "done"),
        ("T1 is completed.", "done"),
        ("T1 failed: no such file", "failed"),
        ("T10 is done", None),
        ("Working on T1", None),
        ("", None),
    ],
)
def test_an_outcome_is_read_from_words(text: str, expected: str | None) -> None:
    """The demo worker's first line, and what a person or another agent would write."""
    assert outcome(text, "T1") == expected


@ANYWHERE
@given(st.lists(TITLES, min_size=1, max_size=12))
def test_what_is_handed_out_is_what_arrives(titles: list[str]) -> None:
    """A plan's task, written into a message, is the task the worker reads; ids are unique."""
    found = in_plan("Tasks:\n" + "\n".join(f"- {title}" for title in titles))
    assert len({task.id for task in found}) == len(titles)
    assert in_message("\n".join(task.text for task in found)) == found


@ANYWHERE
@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """Nothing raises."""
    in_message(text)
    in_plan(f"Tasks:\n{text}")
    outcome(text, "T1")
