"""The worker, against a recording client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intercom_mux.agents.demo.worker import Worker
from intercom_mux.errors import AskTimeout
from tests.agents.demo.recording import RecordingIntercom, RecordingPane, session

APP = Path(__file__).parents[3] / "examples" / "quickstart" / "app"
TASK = "[intercom] from planner · message 1a\nTask T1: Retry failed warehouse calls"
ME = session("worker-1", "worker", is_self=True)
PLANNER = session("planner", "planner")
SCOUT = session("reference-auth", "scout")


def worker(
    roster: list[dict[str, Any]], answers: dict[str, str | Exception] | None = None, prompt: str = ""
) -> tuple[Worker, RecordingIntercom, RecordingPane]:
    intercom = RecordingIntercom(roster=roster, answers=answers or {})
    pane = RecordingPane()
    agent = Worker("worker-1", "worker", pane, intercom.connect, APP, prompt=prompt)
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
    assert second == "T1: done, 100 %, Retry failed warehouse calls"
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
