"""What the board shows of what was seen."""

from __future__ import annotations

from dataclasses import replace

from intercom_mux.watch import model
from tests.watch.views import message, session, snapshot, task


def test_a_row_tells_how_a_peer_is() -> None:
    """Status with its colour and age, the task under way, waiting mail, and whom it waits for."""
    asks = [{"from_id": "id-worker-1", "to": "worker-2", "age_s": 61}]
    seen = replace(
        snapshot(tasks=[task("parser", "worker-1", 50), task("old", "worker-1", 100, "done")], asks=asks),
        sessions=[session("worker-1", "blocked:permission", 90)],
        mail={"id-worker-1": 3},
    )
    rows = model.rows(seen)
    assert [cell for cell, _ in rows["worker-1"]] == [
        "worker-1",
        "blocked:permission",
        "1m",
        "███░░░  50% the parser",
        "3",
        "worker-2 1m",
    ]
    assert rows["worker-1"][1][1] == "red"
    assert [cell for cell, _ in rows["worker-2"]] == ["worker-2", "gone", "-", "-", "-", "-"]
    assert list(model.rows(seen, "GONE")) == ["worker-2"]


def test_only_changed_cells_are_told() -> None:
    """Of 40 peers of which one becomes busy one cell changes; other rows mean that all is drawn anew."""
    before = snapshot(40)
    busy = [session(name, "thinking" if name == "worker-7" else "idle") for name in before.peers]
    after = replace(before, sessions=busy)
    assert model.changes(model.rows(before), model.rows(after)) == [("worker-7", 1, ("thinking", "yellow"))]
    assert model.changes(model.rows(before), model.rows(before)) == []
    assert model.changes(model.rows(before), model.rows(snapshot(39))) is None


def test_replies_stand_below_their_asks() -> None:
    """A thread is moved as a whole to the end by what is said in it, and nothing in a text steers the terminal."""
    told = [
        message("a", "worker-1", "worker-2", "why?\x1b[2J", kind="ask", outcome="answered"),
        message("b", "worker-2", "worker-1", "hello"),
        message("c", "worker-2", "worker-1", "because\nof it", kind="reply", reply_to="a"),
        message("d", "worker-1", "worker-2", "and?", kind="ask", outcome="open"),
    ]
    lines = model.timeline(snapshot(messages=told))
    assert [line.text for line in lines] == [
        "worker-2 → worker-1: hello",
        "worker-1 ? worker-2: why? [2J",
        "  └ worker-2 ✓ worker-1: because of it",
        "worker-1 ? worker-2 (waits 1s): and?",
    ]
    assert [line.is_reply for line in lines] == [False, False, True, False]
    assert [line.key for line in model.timeline(snapshot(messages=told), "because")] == ["c"]


def test_tasks_under_way_come_first() -> None:
    """What is blocked or begun stands before what is done."""
    seen = snapshot(tasks=[task("old", "worker-1", 100, "done"), task("new", "worker-2", 10)])
    assert [line.split()[-1] for line in model.tasks(seen)] == ["new", "old"]
