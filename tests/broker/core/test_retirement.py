"""Sessions that are over: retired by name, forgotten with time, and what becomes of their mail and asks."""

from __future__ import annotations

from typing import Any

from tests.broker.core.bench import GREEN, HOUR, Bench

SESSION = {"cwd": "/repo", "model": "m", "pid": 7, "startedAt": 1, "lastActivity": 1}


def test_retire_forgets_a_peer_and_tells_everybody_concerned(bench: Bench) -> None:
    """Its mail comes back as notices, its asks end, its name is free, its connections are closed."""
    ops = bench.shell(name="ops")
    worker = bench.peer("worker-1")
    inside = bench.handle("worker-1")
    ops.send("blue/worker-1", "plain")
    ops.ask("blue/worker-1", "why?", id="ask-1")
    daemon = bench.peer("planner")
    gone = daemon.op(
        "retire", sessions=[{"id": "blue-worker-1", "token": "secret"}, {"id": "blue-x", "token": "y"}], reason="down"
    )
    assert gone == {"retired": ["blue-worker-1"]}
    assert worker.is_closed
    assert inside.is_closed
    texts = [row["message"]["content"]["text"] for row in ops.op("inbox")["messages"]]
    assert texts == [
        "Ask ask-1 to blue/worker-1 ended: down.",
        "Message m0001 to blue/worker-1 was not delivered: down.",
    ]
    assert ops.send("blue/worker-1")["code"] == "E_TARGET_NOT_FOUND"
    bench.crash()
    assert bench.shell().send("blue/worker-1")["code"] == "E_TARGET_NOT_FOUND"


def test_retire_needs_the_token_of_each(bench: Bench) -> None:
    """A stranger retires nobody, whatever it sends."""
    worker, planner, stranger = bench.peer("worker-1"), bench.peer("planner", GREEN), bench.shell()
    for listed in ([{"id": "blue-worker-1", "token": "wrong"}], [{"id": "blue-worker-1"}], [{"id": "shell-1"}]):
        assert stranger.op("retire", sessions=listed) == {"retired": []}
    malformed: list[Any] = [None, "all", ["x"], [{}], [{"id": []}], [None]]
    for hostile in malformed:
        assert bench.shell().post(type="mux", requestId="r", op="retire", sessions=hostile).is_closed
    assert not worker.is_closed
    assert not planner.is_closed


def test_one_may_retire_oneself_and_hear_that_it_worked(bench: Bench) -> None:
    """`down` from inside the team gets its answer."""
    bench.peer("worker-1")
    handle = bench.handle("worker-1")
    assert handle.op("retire", sessions=[{"id": "blue-worker-1", "token": "secret"}])["retired"] == ["blue-worker-1"]


def test_a_blocking_asker_that_is_retired_hears_it(bench: Bench) -> None:
    """Its command does not hang until its time-out."""
    bench.peer("worker-1")
    pane = bench.handle("worker-1")
    bench.pi("planner")
    pane.ask("planner", blocking=True, id="q1")
    bench.peer("scout").op("retire", sessions=[{"id": "blue-worker-1", "token": "secret"}], reason="down")
    assert pane.one("mux_event")["reason"] == "down"


def test_foreign_sessions_are_forgotten_after_a_day(bench: Bench) -> None:
    """Peers stay until they are retired, shells as long as they are used."""
    planner = bench.peer("planner")
    bench.peer("worker-1").close()
    bench.pi("passer-by").close()
    shell = bench.shell()
    bench.wait(25 * HOUR)
    assert planner.send("passer-by")["code"] == "E_TARGET_NOT_FOUND"
    assert planner.send("worker-1")["delivery"] == "queued"
    assert planner.send("shell-pts1")["type"] == "delivered"
    shell.close()
    bench.wait(25 * HOUR)
    assert planner.send("shell-pts1")["code"] == "E_TARGET_NOT_FOUND"


def test_a_forgotten_receiver_gives_its_mail_back(bench: Bench) -> None:
    """Whoever wrote to it hears that it never came back."""
    ops = bench.shell(name="ops")
    bench.pi("passer-by").close()
    bench.wait(HOUR)
    ops.send("passer-by", id="m-lost")
    bench.wait(25 * HOUR)
    (row,) = bench.shell().op("inbox")["messages"]
    assert row["message"]["content"]["text"].startswith("Message m-lost to passer-by ")
