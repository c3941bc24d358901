"""The planner, against a recording client, and with workers that share its roster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from intercom_mux.agents.demo import decisions
from intercom_mux.agents.demo.planner import SETTLED_TICKS, Planner
from intercom_mux.errors import BrokerError
from tests.agents.demo.recording import RecordingIntercom, RecordingPane, session

APP = Path(__file__).parents[3] / "examples" / "quickstart" / "app"
PLAN = """You lead the work. Keep the public interface of Warehouse as it is.

Report to: boss

Tasks:
- Renew the token
- Retry failed calls
- Show a stale token
"""
ME = session("planner", "planner", is_self=True)
WORKERS = [session("worker-1", "worker"), session("worker-2", "worker")]


def planner(prompt: str = PLAN, *workers: dict[str, object]) -> tuple[Planner, RecordingIntercom, RecordingPane]:
    intercom = RecordingIntercom(roster=[ME, *(workers or WORKERS)])
    pane = RecordingPane()
    agent = Planner("planner", "planner", pane, intercom.connect, APP, prompt=prompt)
    agent.start()
    return agent, intercom, pane


def wait_for_workers(agent: Planner) -> None:
    for _ in range(SETTLED_TICKS + 2):
        if agent.tick_s is not None:
            agent.tick()


def test_tasks_go_round_the_workers() -> None:
    """Each worker gets every second task, the board learns the owners, and the looking ends."""
    agent, intercom, pane = planner()
    wait_for_workers(agent)
    assert [(to, text.split("\n")[-1]) for to, text in intercom.sent] == [
        ("worker-1", "Task T1: Renew the token"),
        ("worker-2", "Task T2: Retry failed calls"),
        ("worker-1", "Task T3: Show a stale token"),
    ]
    assert [(each["task"], each["state"], each["owner"]) for each in intercom.progressed] == [
        ("T1", "assigned", "worker-1"),
        ("T2", "assigned", "worker-2"),
        ("T3", "assigned", "worker-1"),
    ]
    assert "T2  assigned  worker-2  Retry failed calls" in pane.seen
    assert agent.tick_s is None


def test_nothing_is_handed_out_before_the_workers_are_there() -> None:
    """Without workers, and while they are still coming, the planner waits; other teams' workers do not count."""
    agent, intercom, _ = planner()
    intercom.roster = [ME, session("x", "worker", team="other"), session("y", "worker", status="exited:0")]
    wait_for_workers(agent)
    assert intercom.sent == []
    for count in (1, 2):
        intercom.roster = [ME, *WORKERS[:count]]
        for _ in range(SETTLED_TICKS):
            agent.tick()
        assert intercom.sent == []
    agent.tick()
    assert len(intercom.sent) == 3


@pytest.mark.parametrize("line", ["Workers: worker-1, worker-2", "Workers: worker-1 and worker-2", "- workers: 2"])
def test_a_plan_that_says_who_works_is_taken_at_its_word(line: str) -> None:
    """Named or counted workers are waited for, and then no time is lost."""
    agent, intercom, _ = planner(f"{line}\n{PLAN}", WORKERS[0])
    wait_for_workers(agent)
    assert intercom.sent == []
    intercom.roster = [ME, *WORKERS]
    agent.tick()
    assert len(intercom.sent) == 3


def test_results_fill_the_table_and_the_end_is_reported() -> None:
    """When the last task has ended, the summary is shown and sent to whom the plan names."""
    agent, intercom, pane = planner()
    wait_for_workers(agent)
    intercom.sent.clear()
    agent.handle("[intercom] from worker-1 · message 1\nDone T1: Renew the token\n\nfine")
    agent.handle("[intercom] from worker-2 · message 2\nBlocked T2: Retry failed calls")
    assert intercom.sent == []
    agent.handle("[intercom] from worker-1 · message 3\nT3 is finished.")
    assert "All 3 tasks have ended: 2 done, 1 blocked." in pane.seen
    [(to, text)] = intercom.sent
    assert to == "boss"
    assert "T2  blocked   worker-2  Retry failed calls" in text


def test_a_worker_is_answered_from_the_plan_and_the_files() -> None:
    """What the plan says comes first."""
    agent, intercom, _ = planner()
    agent.handle("[intercom] from worker-1 · ask 5\nMay I change the interface of Warehouse?")
    [(to, text)] = intercom.replied
    assert to == "5"
    assert text.startswith("The plan says:\n  You lead the work. Keep the public interface of Warehouse as it is.")
    assert "orders/warehouse.py:" in text


def test_a_worker_is_answered_while_the_workers_are_awaited() -> None:
    """Waiting for the team never keeps an ask waiting, and the planner itself asks nobody."""
    agent, intercom, _ = planner(f"Workers: 9\n{PLAN}")
    agent.tick()
    agent.handle("[intercom] from worker-1 · ask 5\nstatus?")
    assert "T1  waiting" in intercom.replied[0][1]
    wait_for_workers(agent)
    assert intercom.asked == []


def test_a_task_that_reaches_nobody_is_blocked() -> None:
    """The others are handed out all the same."""
    agent, intercom, pane = planner()
    intercom.refused = {"worker-2"}
    wait_for_workers(agent)
    assert [to for to, _ in intercom.sent] == ["worker-1", "worker-1"]
    assert "T2  blocked   worker-2" in pane.seen


def test_a_roster_that_cannot_be_read_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planner keeps looking, quietly."""
    monkeypatch.setattr("intercom_mux.agents.demo.agent.BROKER_PAUSE_S", 0)
    agent, intercom, pane = planner()
    intercom.connect_errors = [BrokerError("no broker")] * 9
    for _ in range(3):
        agent.tick()
    assert pane.seen.count("✗ the roster cannot be read") == 1
    wait_for_workers(agent)
    assert len(intercom.sent) == 3


def test_a_plan_without_tasks_gets_them_by_message() -> None:
    """A list in a message or typed by a person is handed out like the prompt's."""
    agent, intercom, pane = planner("Lead.")
    assert agent.tick_s is None
    assert "No list" in pane.seen
    agent.handle("[intercom] from boss · message 8\nTasks:\n- Look around")
    wait_for_workers(agent)
    assert [text.split("\n")[-1] for _, text in intercom.sent] == ["Task T1: Look around"]


def test_a_decision_and_an_interview_are_answered_from_the_plan() -> None:
    """The plan's words settle a question; tasks that ask it themselves do not."""
    plan = "Storage: the store is sqlite.\n\nTasks:\n- Store orders\n  Open: Which store? sqlite | postgres"
    agent, intercom, _ = planner(plan)
    who = "Run: r\nAgent: worker\nChild index: 1\n\n"
    agent.handle(f"[intercom] from worker-1 · ask 1\nSubagent needs a supervisor decision.\n{who}Which store?")
    interview = "Questions:\n1. [q1] (single) Which store?\n   Options:\n   - sqlite\n   - postgres"
    agent.handle(
        f"[intercom] from worker-1 · ask 2\nSubagent requests a structured supervisor interview.\n{who}{interview}"
    )
    agent.handle(f"[intercom] from worker-1 · ask 3\nSubagent needs a supervisor decision.\n{who}Which frobnicator?")
    (_, decision), (_, answers), (_, undecided) = intercom.replied
    assert undecided.startswith(f"{decisions.UNDECIDED}: neither the plan nor ")
    assert decision.startswith("The plan says:\n  Storage: the store is sqlite.\n\n")
    assert json.loads(answers) == {"responses": [{"id": "q1", "value": "sqlite"}]}


def test_a_notice_that_a_task_is_blocked_does_not_end_it() -> None:
    """Only its owner says how it ended: till then it may wait for a decision."""
    agent, _, pane = planner("Tasks:\n- Renew the token")
    wait_for_workers(agent)
    agent.handle("[intercom] from intercom-mux · message 1\nTask T1 (Renew) of worker-1 is blocked: to be decided")
    assert "have ended" not in pane.seen
    agent.handle("[intercom] from worker-1 · message 2\nDone T1: Renew the token")
    assert "All 1 tasks have ended: 1 done." in pane.seen
