"""Asks over connections and brokers that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.broker.core.bench import Bench


def test_an_asker_of_ours_survives_a_killed_broker(bench: Bench) -> None:
    """Both come back, the ask is sent again under its id, and the reply arrives once."""
    bench.peer("planner"), bench.peer("worker-1")
    bench.handle("planner").ask("worker-1", "how?", id="q1", blocking=True)
    bench.crash()
    worker, planner, pane = bench.peer("worker-1"), bench.peer("planner"), bench.handle("planner")
    assert worker.texts() == ["how?"]
    assert pane.ask("worker-1", "how?", id="q1", blocking=True)["type"] == "delivered"
    worker.reply("so")
    assert (pane.texts(), planner.texts(), worker.texts()) == (["so"], [], [])


def test_a_reply_that_precedes_its_returning_asker_waits_a_moment_for_it(bench: Bench) -> None:
    """After a crash the asked may be back first."""
    bench.peer("planner"), bench.peer("worker-1")
    bench.handle("planner").ask("worker-1", "how?", id="q1", blocking=True)
    bench.crash()
    worker, planner = bench.peer("worker-1"), bench.peer("planner")
    worker.reply("so")
    bench.wait(1000)
    pane = bench.handle("planner")
    pane.ask("worker-1", "how?", id="q1", blocking=True)
    assert (pane.texts(), planner.texts()) == (["so"], [])


def test_an_asker_that_does_not_return_gets_its_reply_in_the_mailbox(bench: Bench) -> None:
    """After five seconds nobody waits any more."""
    bench.peer("planner"), bench.peer("worker-1")
    bench.handle("planner").ask("worker-1", "how?", id="q1", blocking=True)
    bench.crash()
    worker, planner = bench.peer("worker-1"), bench.peer("planner")
    worker.reply("so")
    assert planner.texts() == []
    bench.wait(5000)
    assert planner.texts() == ["so"]


def test_who_asks_again_after_the_end_is_told_to_fetch_the_result(bench: Bench) -> None:
    """The reply went elsewhere while its asker was away: it hears so instead of waiting for ever."""
    bench.peer("planner")
    worker, shell = bench.peer("worker-1"), bench.shell()
    shell.ask("worker-1", "how?", id="q1", blocking=True)
    shell.close()
    worker.reply("so")
    bench.shell().op("inbox")
    again = bench.shell()
    again.ask("worker-1", "how?", id="q1", blocking=True)
    assert again.one("mux_event")["code"] == "E_ASK_ENDED"
    assert again.op("result", id="q1")["reply"]["message"]["content"]["text"] == "so"


def test_a_ticket_may_be_waited_for_later(bench: Bench) -> None:
    """The same ask sent again as a blocking one goes on where it was."""
    bench.peer("planner")
    worker, shell = bench.peer("worker-1"), bench.shell()
    shell.ask("worker-1", "how?", id="q1")
    shell.close()
    again = bench.shell()
    again.ask("worker-1", "how?", id="q1", blocking=True)
    worker.reply("so")
    assert again.texts() == ["so"]
    assert worker.texts() == ["how?"]


def test_a_v1_client_that_asks_again_gets_no_frame_it_does_not_know(bench: Bench) -> None:
    """`mux_event` would kill it."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.ask("worker", "how?", id="q1")
    worker.send("planner", replyTo="q1")
    planner.take()
    assert planner.ask("worker", "how?", id="q1")["type"] == "delivered"
    assert planner.take() == []


def test_the_edge_outlives_connections(bench: Bench) -> None:
    """Neither the asker's nor the asked's absence closes an ask."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.ask("worker", id="q1")
    planner.close()
    worker.close()
    planner, worker = bench.pi("planner"), bench.pi("worker")
    assert worker.send("planner", replyTo="q1")["type"] == "delivered"


def test_the_reply_to_a_foreign_asker_is_not_held_after_a_crash(bench: Bench) -> None:
    """It has given up with its connection: nothing waits for its return, and the order stays."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.ask("worker", id="q1")
    bench.crash()
    planner, worker = bench.pi("planner"), bench.pi("worker")
    worker.send("planner", "so", replyTo="q1")
    worker.send("planner", "next")
    assert planner.texts() == ["so", "next"]


def test_an_endpoint_that_was_lost_does_not_wait_for_ever(bench: Bench) -> None:
    """Its blocking asks become tickets as those of a handle do, also when it was taken over; it may ask again."""
    bench.peer("worker-1")
    bench.peer("worker-2")
    planner = bench.peer("planner")
    planner.ask("worker-1", id="q1", blocking=True, group="a")
    planner.close()
    again = bench.peer("planner")
    assert again.ask("worker-2", id="q2", blocking=True, group="b")["type"] == "delivered"
    taken_over = bench.peer("planner")
    again.close()
    assert taken_over.ask("worker-2", id="q3", blocking=True, group="c")["type"] == "delivered"
    assert [row["is_blocking"] for row in taken_over.op("pending")["from_me"]] == [False, False, True]
