"""The worker, against a recording client."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.agents.demo import decisions
from intercom_mux.agents.demo.intercom import verb
from intercom_mux.agents.demo.worker import Worker
from intercom_mux.errors import AskTimeout, IntercomError, TeamError
from tests.agents.demo.recording import RecordingIntercom, RecordingPane, session

if TYPE_CHECKING:
    from intercom_mux.agents.demo.intercom import Verb

APP = Path(__file__).parents[3] / "examples" / "quickstart" / "app"
TASK = "[intercom] from planner · message 1a\nTask T1: Retry failed warehouse calls"
ME = session("worker-1", "worker", is_self=True)
PLANNER = session("planner", "planner")
SCOUT = session("reference-auth", "scout")


def no_supervisor(*words: str, stdin: str = "") -> dict[str, Any]:
    raise TeamError("no supervisor", code="E_NO_SUPERVISOR")


def worker(
    roster: list[dict[str, Any]],
    answers: dict[str, str | Exception] | None = None,
    prompt: str = "",
    verb: Verb = no_supervisor,
    root: Path = APP,
) -> tuple[Worker, RecordingIntercom, RecordingPane]:
    intercom = RecordingIntercom(roster=roster, answers=answers or {})
    pane = RecordingPane()
    agent = Worker("worker-1", "worker", pane, intercom.connect, root, prompt=prompt, verb=verb)
    agent.start()
    return agent, intercom, pane


def states(intercom: RecordingIntercom) -> list[tuple[str, str, int]]:
    return [(each["task"], each["state"], each["percent"]) for each in intercom.progressed]


def test_a_task_is_started_clarified_done_and_reported() -> None:
    """One question to the scout, then the own files, then the result to whoever sent the task."""
    agent, intercom, _ = worker([PLANNER, ME, SCOUT], {"reference-auth": "Use a budget.\nSee refresh.py:64-77"})
    agent.handle(TASK)
    assert states(intercom) == [("T1", "started", 0), ("T1", "started", 50), ("T1", "done", 100)]
    [(asked, question)] = intercom.asked
    assert asked == "reference-auth"
    assert "Retry failed warehouse calls" in question
    [(to, result)] = intercom.sent
    assert to == "planner"
    assert result.startswith("Done T1: Retry failed warehouse calls\n")
    assert "reference-auth says:\n  Use a budget." in result
    assert "orders/warehouse.py:" in result
    assert "no file was changed" in result


def test_without_a_scout_the_planner_is_asked() -> None:
    """Scouts of other teams and those that exited do not count."""
    elsewhere, gone = session("spy", "scout", team="other"), session("late", "scout", status="exited:1")
    agent, intercom, _ = worker([PLANNER, ME, elsewhere, gone], {"planner": "Keep it small."})
    agent.handle(TASK)
    assert [to for to, _ in intercom.asked] == ["planner"]
    assert "planner says:" in intercom.sent[0][1]


def test_with_nobody_there_the_work_goes_on() -> None:
    """No adviser is no failure."""
    agent, intercom, _ = worker([ME])
    agent.handle(TASK)
    assert intercom.asked == []
    assert "There was nobody to ask." in intercom.sent[0][1]
    assert states(intercom)[-1] == ("T1", "done", 100)


def test_the_next_adviser_is_asked_when_one_fails() -> None:
    """A scout that does not answer costs time, not the task."""
    agent, intercom, pane = worker(
        [PLANNER, ME, SCOUT], {"reference-auth": AskTimeout("no reply in time"), "planner": "Go on."}
    )
    agent.handle(TASK)
    assert [to for to, _ in intercom.asked] == ["reference-auth", "planner"]
    assert "✗ no answer from reference-auth: no reply in time" in pane.seen
    assert intercom.sent[0][1].startswith("Done T1")


def test_a_task_nobody_helps_with_is_blocked_and_said() -> None:
    """The board and the planner both learn what blocks, and why."""
    agent, intercom, _ = worker([PLANNER, ME, SCOUT], {"reference-auth": AskTimeout("no reply in time")})
    agent.handle(TASK)
    assert states(intercom)[-1] == ("T1", "blocked", 0)
    assert "nobody answered" in intercom.progressed[-1]["note"]
    [(to, result)] = intercom.sent
    assert to == "planner"
    assert result.startswith("Blocked T1: Retry failed warehouse calls")


def test_a_worker_answers_about_its_work_and_about_its_files() -> None:
    """`status` is told from memory, anything else like a scout does."""
    agent, intercom, _ = worker([ME])
    agent.handle("[intercom] from a · ask 1\nwhat is your status?")
    agent.handle(TASK)
    agent.handle("[intercom] from a · ask 2\nHow far is T1?")
    agent.handle("[intercom] from a · ask 3\nWhere is the warehouse client?")
    first, second, third = (text for _, text in intercom.replied)
    assert first == "I have no task yet."
    assert second == "T1: done, 100 %, Retry failed warehouse calls (see orders/warehouse.py:21-33)"
    assert "orders/warehouse.py:" in third


def test_a_task_that_is_asked_for_is_answered() -> None:
    """A task inside an ask gets its result as the reply."""
    agent, intercom, _ = worker([ME])
    agent.handle("[intercom] from boss · ask 9\nTask T9: Renew the token")
    assert intercom.sent == []
    assert intercom.replied[0][1].startswith("Done T9: Renew the token")


def test_a_person_and_a_prompt_can_give_tasks() -> None:
    """Their result stays on the screen."""
    agent, intercom, pane = worker([ME], prompt="You work.\nTask P1: Look at the server")
    agent.handle("Task H1: Look at the health path")
    assert [task for task, state, _ in states(intercom) if state == "done"] == ["P1", "H1"]
    assert "Done H1" in pane.seen
    assert intercom.sent == []


def test_chatter_is_no_task() -> None:
    """A message without a task line is only shown."""
    agent, intercom, _ = worker([PLANNER, ME])
    agent.handle("[intercom] from planner · message 2\nThanks, the task is done!")
    assert intercom.progressed == []
    assert intercom.sent == []


def test_a_missing_file_blocks_until_it_is_there(tmp_path: Path) -> None:
    """The supervisor is told what is missing; after its answer the worker looks again."""
    asked: list[str] = []

    def supervisor(*words: str, stdin: str = "") -> dict[str, Any]:
        asked.append(stdin)
        (tmp_path / "rates.csv").write_text("EUR,1\n")
        return {"text": "It is there now."}

    agent, intercom, _ = worker([ME], verb=supervisor, root=tmp_path)
    agent.handle("[intercom] from planner · message 1a\nTask T1: Convert the prices\nNeeds: rates.csv")
    assert [(each["state"], each.get("note")) for each in intercom.progressed] == [
        ("started", None),
        ("blocked", "needs rates.csv, which is not here"),
        ("started", "has rates.csv"),
        ("started", "nobody to ask"),
        ("done", "nothing here matches it"),
    ]
    assert asked[0].startswith("T1 needs rates.csv, which is not in ")


@pytest.mark.parametrize(("said", "head"), [("Go on without it.", "Done T1"), ("I am looking.", "Blocked T1")])
def test_a_file_that_stays_missing(said: str, head: str) -> None:
    """It may be done without, if the answer says so; else the task ends blocked. Here the giver decides."""
    agent, intercom, _ = worker([ME], {"lead": said})
    agent.handle("[intercom] from lead · message 1a\nTask T1: Convert the prices\nNeeds: rates.csv")
    assert intercom.sent[0][1].startswith(head)
    assert [to for to, _ in intercom.asked] == ["lead"]


def test_what_is_open_is_decided_by_the_supervisor() -> None:
    """One question is a decision, several are an interview; the result says what was decided."""
    calls: list[tuple[str, str]] = []

    def supervisor(*words: str, stdin: str = "") -> dict[str, Any]:
        calls.append((words[1], stdin))
        return (
            {"text": "raw", "responses": [{"id": "q1", "value": "sqlite"}]}
            if words[1] == "interview"
            else {"text": "EUR"}
        )

    agent, intercom, _ = worker([ME], verb=supervisor)
    agent.handle("[intercom] from lead · message 1\nTask T1: Price it\nOpen: Which currency? EUR | USD")
    agent.handle("[intercom] from lead · message 2\nTask T2: Store it\nOpen: Which store? sqlite | pg\nOpen: Why?")
    assert calls[0] == ("decide", "Which currency? (EUR | USD)")
    assert calls[1][0] == "interview"
    assert "Decided:\n  EUR" in intercom.sent[0][1]
    assert "Decided:\n  Which store? sqlite\n  Why? left open" in intercom.sent[1][1]


@pytest.mark.parametrize(("giver", "asked", "head"), [("lead", ["lead"], "Done T1"), ("planner", [], "Blocked T1")])
def test_what_the_supervisor_cannot_decide_goes_to_the_giver(giver: str, asked: list[str], head: str) -> None:
    """Unless that is the same one: then the task is blocked, and nothing counts as decided."""

    def supervisor(*words: str, stdin: str = "") -> dict[str, Any]:
        return {"from": "planner", "text": f"{decisions.UNDECIDED}: nothing says anything about it."}

    agent, intercom, _ = worker([ME], {"lead": "EUR"}, verb=supervisor)
    agent.handle(f"[intercom] from {giver} · message 1\nTask T1: Price it\nOpen: Which currency? EUR | USD")
    assert [to for to, _ in intercom.asked] == asked
    [(to, result)] = intercom.sent
    assert (to, result.startswith(head)) == (giver, True)
    assert ("Decided:\n  EUR" in result) == bool(asked)
    assert asked or "planner cannot decide: Which currency? (EUR | USD)" in result


def test_a_marked_task_bears_the_id_that_the_broker_gave_it() -> None:
    """Its progress goes to the same task."""
    agent, intercom, _ = worker([ME])
    intercom.board = [{"id": "mend-it", "title": "Mend it", "owner": "worker-1"}]
    agent.handle("[intercom] from lead · message 1\n[task] Mend it")
    assert states(intercom)[-1] == ("mend-it", "done", 100)


def test_attachments_are_looked_through_too() -> None:
    """What came with the task counts as a place that it concerns."""
    agent, intercom, _ = worker([ME])
    agent.handle(
        "[intercom] from lead · message 1\nTask T1: zebra stripes\n\nAttachment: notes.md\n~~~\nzebra stripes\n~~~"
    )
    assert "attachment:notes.md:1" in intercom.sent[0][1]


def test_the_verb_that_is_run_is_the_real_one(home: Path) -> None:
    """Outside a team it fails as it does for anybody."""
    with pytest.raises(IntercomError) as caught:
        verb("supervisor", "decide", "-", stdin="Which?")
    assert caught.value.code == "E_NO_SUPERVISOR"
