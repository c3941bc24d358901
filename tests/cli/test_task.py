"""`task` and `wait --task`, as real processes against a real broker."""

from __future__ import annotations

import pytest

from tests.cli.stage import Both, Peer, run, start
from tests.support import wait_until


@pytest.fixture
def pane(crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> dict[str, Peer]:
    """The planner's pane."""
    crew["worker-1"].answer = None
    crew["planner"].enter_pane(monkeypatch)
    return crew


def test_a_task_given_to_a_peer_comes_with_a_message(pane: dict[str, Peer]) -> None:
    """The peer reads what it is about and its id; `task show` names the message."""
    made = run("task", "add", "Write the parser", "--to", "worker-1", "--note", "see #7", "--json").json
    assert (made["id"], made["owner"], made["state"]) == ("write-the-parser", "worker-1", "assigned")
    wait_until(pane["worker-1"].texts, what="the message")
    assert pane["worker-1"].texts() == ["[task] Write the parser\n\nsee #7"]
    shown = run("task", "show", "write-the-parser").out
    assert "from planner" in shown
    assert f"message {made['messages'][0][:8]}" in shown


def test_a_task_goes_through_its_life(pane: dict[str, Peer]) -> None:
    """Made, assigned, begun, done; each list shows it as it is."""
    assert run("task", "add", "Write it", "--id", "T1").out.split() == ["T1", "0%", "assigned", "-", "Write", "it"]
    assert run("task", "assign", "T1", "worker-1").out.split()[:4] == ["T1", "0%", "assigned", "worker-1"]
    run("progress", "T1", "--percent", "30")
    assert [row["id"] for row in run("task", "list", "--state", "started", "--json").json] == ["T1"]
    assert run("task", "list", "--state", "failed").out == "no tasks\n"
    assert "T1 30%" in run("list").out
    row = next(row for row in run("list", "--json").json if row["name"] == "worker-1")
    assert row["task"] == {"id": "T1", "title": "Write it", "state": "started", "percent": 30}
    assert run("task", "done", "T1", "--note", "merged").out.split()[:3] == ["T1", "100%", "done"]
    assert "by planner  merged" in run("task", "show", "T1").out
    late = run("progress", "T1", "--percent", "40")
    assert late.code == 6
    assert 'Task "T1" is done, not at 40 %' in late.err
    assert "progress ID --state started" in late.err


def test_what_is_refused(pane: dict[str, Peer]) -> None:
    """An id that is taken, a task that is not there, a peer that is not there; nothing is made of those."""
    run("task", "add", "One", "--id", "T")
    assert run("task", "add", "Two", "--id", "T", "--json").json["error"]["code"] == "E_TASK_EXISTS"
    for call in (("show", "X"), ("done", "X"), ("assign", "X", "worker-1")):
        assert run("task", *call, "--json").json["error"]["code"] == "E_NO_TASK"
    assert run("task", "add", "Three", "--to", "nobody").code == 6
    assert [row["id"] for row in run("task", "list", "--json").json] == ["T"]
    assert run("task", "add", "x", "--id", "a]b", "--to", "worker-1").code == 2


def test_wait_for_a_task(pane: dict[str, Peer]) -> None:
    """An event ends the wait: 0 when it is there, 12 when the task ended otherwise, 11 when it is late."""
    run("task", "add", "One", "--id", "T")
    assert run("wait", "--task", "T", "--until", "done", "--timeout", "0.2").code == 11
    with start("wait", "--task", "T", "--until", "done", "--timeout", "20s") as waiting:
        run("progress", "T", "--percent", "100")
        out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out.split()[:3], err) == (0, ["T", "100%", "done"], "")
    lost = run("wait", "--task", "T", "--until", "failed", "--json")
    assert (lost.code, lost.json["error"]["code"]) == (12, "E_TASK_ENDED")
    for call in (("T2", "--until", "done"), ("--until", "idle"), ("p", "--task", "T", "--until", "blocked")):
        assert run("wait", *call).code == 2


def test_wait_for_a_task_that_is_yet_to_come(pane: dict[str, Peer]) -> None:
    """Another one whose id begins so is not taken for it; one that never comes is told when the time is over."""
    with start("wait", "--task", "T1", "--until", "done", "--timeout", "20s") as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == 'note: there is no task "T1" yet, waiting for it\n'
        run("progress", "T10", "--percent", "100")
        run("progress", "T1", "--title", "One")
        run("progress", "T1", "--percent", "100")
        out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out.split()[:3], err) == (0, ["T1", "100%", "done"], "")
    late = run("wait", "--task", "X", "--until", "done", "--timeout", "0.1")
    assert (late.code, 'within 0.1 s no task "X" came' in late.err) == (11, True)


def test_the_assigner_hears_of_a_blocked_task(both: Both, pane: dict[str, Peer]) -> None:
    """The worker's command reaches the planner as a message of the broker's."""
    both.click("task", "add", "Write it", "--id", "T", "--to", "worker-1")
    with pytest.MonkeyPatch.context() as patch:
        pane["worker-1"].enter_pane(patch)
        both.fast("progress", "T", "--state", "blocked", "--note", "which grammar?")
    wait_until(pane["planner"].texts, what="the notice")
    assert pane["planner"].texts() == ["Task T (Write it) of worker-1 is blocked: which grammar?"]
