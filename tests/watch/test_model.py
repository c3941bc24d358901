"""What the board shows of what was seen."""

from __future__ import annotations

from dataclasses import replace

from intercom_mux.watch import model
from tests.watch.views import message, session, snapshot, task


def test_a_row_tells_how_a_peer_is() -> None:
    """Status with its colour and age, the task under way, waiting mail, and whom it waits for."""
    asks = [{"from_id": "id-worker-1", "to": "crew/worker-2", "to_id": "id-boss", "age_s": 61}]
    seen = replace(
        snapshot(tasks=[task("parser", "worker-1", 50), task("old", "worker-1", 100, "done")], asks=asks),
        sessions=[session("worker-1", "blocked:permission", 90)],
        mail={"id-worker-1": 3},
    )
    rows = model.rows(seen)
    assert rows["worker-1"] == (
        ("worker-1", "strong"),
        ("▲ blocked:permission", "bad"),
        ("1m", ""),
        ("3", "busy"),
        ("·", "quiet"),
        ("worker-2 1m", "mine"),
        ("━━━╌╌╌  50% the parser", ""),
    )
    assert [cell for cell, _ in rows["worker-2"]] == ["worker-2", "✗ gone", "·", "·", "·", "·", "·"]
    assert list(model.rows(seen, "GONE")) == ["worker-2"]


def test_the_head_tells_first_what_is_to_be_done() -> None:
    """What waits for the person, then the peers by state, each state with a sign of its own."""
    sessions = [session("worker-1"), session("worker-2", "blocked:permission"), session("worker-3", "tool:bash")]
    seen = replace(snapshot(4, to_me=[{}, {}]), sessions=sessions)
    told = "".join(text for text, _ in model.head(seen))
    assert told == "crew   2 to answer: a   4 peers  ▲ 1 blocked  ✗ 1 ended  ● 1 working  ○ 1 idle"


def test_the_board_is_not_shown_on_itself() -> None:
    """The peer that looks is no row."""
    assert list(model.rows(replace(snapshot(3), me="id-worker-2"))) == ["worker-1", "worker-3"]


def test_replies_stand_below_their_asks() -> None:
    """A thread is moved as a whole to the end by what is said in it, and nothing in a text steers the terminal."""
    told = [
        message("a", "worker-1", "worker-2", "why?\x1b[2J", kind="ask", outcome="answered"),
        message("b", "worker-2", "worker-1", "hello"),
        message("c", "worker-2", "worker-1", "because\nof it", kind="reply", reply_to="a"),
        message("d", "worker-1", "worker-2", "and?", kind="ask", outcome="open"),
    ]
    lines = model.timeline(snapshot(messages=told))
    assert [line.text[6:] for line in lines] == [
        "worker-2 → worker-1  hello",
        "worker-1 ? worker-2  why? [2J",
        "└ worker-2 ✓ worker-1  because of it",
        "worker-1 ? worker-2  waits 1s  and?",
    ]
    assert [line.indent for line in lines] == [6, 6, 8, 6]
    assert [line.text[6:] for line in model.timeline(snapshot(messages=told), "because")] == [lines[2].text[6:]]
    assert model.timeline(snapshot(messages=told), peer="worker-3") == []


def test_tasks_under_way_come_first() -> None:
    """What is blocked or begun stands before what is done."""
    seen = snapshot(tasks=[task("old", "worker-1", 100, "done"), task("new", "worker-2", 10)])
    assert [line.text.split()[-1] for line in model.tasks(seen)] == ["new", "old"]
