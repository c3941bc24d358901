"""What a receiver says became of a message, and who hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.broker.core.bench import Bench


@pytest.mark.parametrize("status", ["acknowledged", "injected"])
def test_a_confirmed_message_is_never_delivered_again(bench: Bench, status: str) -> None:
    """Either receipt is final, over a reconnect and over a crash."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    worker.confirm(planner.send("worker")["messageId"], status)
    worker.close()
    assert bench.pi("worker").texts() == []
    bench.crash()
    assert bench.pi("worker").texts() == []


@pytest.mark.parametrize("status", ["receiver_received", "queued", "cancellation_requested"])
def test_a_lesser_receipt_does_not_end_a_message(bench: Bench, status: str) -> None:
    """Received is not done: the agent may never have seen it."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    worker.confirm(planner.send("worker")["messageId"], status)
    worker.close()
    assert bench.pi("worker").texts() == ["hello"]


def test_a_receipt_for_what_was_never_delivered_does_not_hide_it(bench: Bench) -> None:
    """`receiver_received` for a message that still waits is not taken for its delivery."""
    planner = bench.pi("planner")
    bench.peer("worker-1").close()
    message_id = planner.send("blue-worker-1")["messageId"]
    pane = bench.handle("worker-1")
    pane.confirm(message_id, "receiver_received")
    assert bench.peer("worker-1").texts() == ["hello"]


def test_receipts_reach_the_sender_and_nobody_else(bench: Bench) -> None:
    """Those of the receiver only; a stranger's receipt does nothing."""
    planner, worker, stranger = bench.pi("planner"), bench.pi("worker"), bench.pi("stranger")
    message_id = planner.send("worker")["messageId"]
    stranger.confirm(message_id)
    assert planner.take("message_receipt") == []
    worker.confirm(message_id, "receiver_received")
    worker.confirm(message_id, "acknowledged")
    worker.confirm(message_id, "injected")
    seen = [f["receipt"]["status"] for f in planner.take("message_receipt")]
    assert seen == ["receiver_received", "acknowledged", "injected"]
    assert stranger.take("message_receipt") == []


def test_delivered_precedes_any_receipt(bench: Bench) -> None:
    """The sender knows that a message is accepted before it hears what became of it."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.take(), worker.take()
    planner.post(type="send", to="worker", message={"id": "m1", "timestamp": 1, "content": {"text": "x"}})
    worker.confirm("m1")
    assert [frame["type"] for frame in planner.take()] == ["delivered", "message_receipt"]
