"""How a message ends: parked, expired, cancelled, superseded, and forgotten at last."""

from __future__ import annotations

from intercom_mux.broker.core.model import Limits
from tests.broker.core.bench import HOUR, Bench


def test_ended_records_are_forgotten_by_age_and_number() -> None:
    """An hour, or the latest so many."""
    bench = Bench(Limits(records=3))
    planner, worker = bench.pi("planner"), bench.pi("worker")
    for number in range(5):
        worker.confirm(planner.send("worker", id=f"m{number}")["messageId"])
    assert len(bench.core.state.records) == 3
    bench.wait(2 * HOUR)
    worker.confirm(planner.send("worker", id="later")["messageId"])
    assert [key[1] for key in bench.core.state.records] == ["later"]
    assert len(bench.core.state.inbound) == 1


def test_what_still_waits_is_remembered_however_much_ends(bench: Bench) -> None:
    """Only ended messages are forgotten."""
    bench = Bench(Limits(records=2))
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.send("worker", id="waiting")
    for number in range(5):
        worker.confirm(planner.send("worker", id=f"m{number}")["messageId"])
    assert planner.send("worker", id="waiting")["type"] == "delivered"
    assert bench.mailbox("id-worker") == ["waiting"]


def test_after_five_redeliveries_a_message_is_parked_and_its_sender_told(bench: Bench) -> None:
    """A message that its receiver never confirms does not go round for ever."""
    ops = bench.shell(name="ops")
    worker = bench.pi("worker")
    ops.send("worker", "poison", id="m-poison")
    seen = []
    for _ in range(7):
        seen += worker.texts()
        worker.close()
        worker = bench.pi("worker")
    seen += worker.texts()
    assert seen == ["poison"] * 6
    (row,) = ops.op("inbox")["messages"]
    assert row["from"]["id"] == "intercom-mux"
    assert row["message"]["content"]["text"] == (
        "Message m-poison to worker was delivered several times and never confirmed; it is parked."
    )
    assert ops.send("worker", "poison", id="m-poison")["code"] == "E_DELIVERY_FAILED"


def test_a_receiver_that_says_received_is_not_given_up(bench: Bench) -> None:
    """An agent may be busy for hours while its daemon comes and goes."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.send("worker", id="m1")
    for _ in range(10):
        worker.confirm("m1", "receiver_received")
        worker.close()
        worker = bench.pi("worker")
    assert worker.texts() == ["hello"]


def test_expiry_is_told_to_the_sender(bench: Bench) -> None:
    """A notice for ours, the receipt `expired` for a connected v1 sender; the resend says so too."""
    ops, pi = bench.shell(name="ops"), bench.pi("scout")
    bench.peer("worker-1").close()
    ops.send("worker-1", id="m-ops")
    pi.send("worker-1", id="m-pi")
    bench.wait(24 * HOUR)
    (row,) = ops.op("inbox")["messages"]
    assert row["message"]["content"]["text"] == "Message m-ops to blue/worker-1 expired before it could be delivered."
    assert pi.one("message_receipt")["receipt"]["status"] == "expired"
    assert bench.mailbox("blue-worker-1") == []
    assert pi.send("worker-1", id="m-pi")["code"] == "E_DELIVERY_EXPIRED"


def test_each_message_expires_at_its_own_time(bench: Bench) -> None:
    """One timer looks after a whole mailbox, whatever lies in it."""
    planner = bench.pi("planner")
    bench.peer("worker-1").close()
    planner.ask("worker-1", id="long", deadline=bench.now + 30 * HOUR)
    planner.send("worker-1", id="a")
    bench.wait(HOUR)
    planner.send("worker-1", id="b")
    planner.ask("worker-1", id="short", deadline=bench.now + HOUR)
    left = []
    for _ in range(4):
        left.append(bench.mailbox("blue-worker-1"))
        bench.wait({0: HOUR, 1: 22 * HOUR, 2: HOUR}.get(len(left) - 1, 6 * HOUR))
    assert left == [["long", "a", "b", "short"], ["long", "a", "b"], ["long", "b"], ["long"]]
    assert bench.mailbox("blue-worker-1") == []


def test_timers_do_not_pile_up_with_the_messages(bench: Bench) -> None:
    """A busy day costs no memory afterwards."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    for _ in range(200):
        worker.confirm(planner.send("worker")["messageId"])
    assert len(bench.core.state.timers) < 10


def test_cancel_takes_back_what_waits(bench: Bench) -> None:
    """It never arrives; cancelling twice is as good as once."""
    planner = bench.pi("planner")
    bench.pi("worker").close()
    message_id = planner.send("worker")["messageId"]
    planner.post(type="cancel_message", messageId=message_id)
    assert planner.one("delivered") == {"type": "delivered", "messageId": message_id}
    planner.post(type="cancel_message", messageId=message_id)
    assert planner.one("delivered")["messageId"] == message_id
    assert bench.pi("worker").texts() == []
    assert planner.send("worker", id=message_id)["code"] == "E_DELIVERY_CANCELLED"


def test_cancel_asks_a_receiver_to_drop_what_it_has(bench: Bench) -> None:
    """The request is passed on; redelivery stops."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.send("worker", id="m1")
    planner.post(type="cancel_message", messageId="m1")
    control = worker.one("message_control")
    assert control["control"]["action"] == "cancel"
    assert control["control"]["messageId"] == "m1"
    assert control["from"]["id"] == "id-planner"
    worker.close()
    assert bench.pi("worker").texts() == []


def test_only_the_sender_may_cancel(bench: Bench) -> None:
    """A bare failure without a code, as in v1."""
    planner, scout = bench.pi("planner"), bench.pi("scout")
    bench.pi("worker")
    planner.send("worker", id="m1")
    scout.post(type="cancel_message", messageId="m1")
    reason = "Message cannot be cancelled by this session"
    assert scout.one("delivery_failed") == {"type": "delivery_failed", "messageId": "m1", "reason": reason}


def test_a_later_message_supersedes_an_earlier_one(bench: Bench) -> None:
    """The receiver is told before it gets the new one; what still waited never comes."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    worker.take()
    planner.send("worker", "old", id="m1")
    planner.send("worker", "new", id="m2", supersedes="m1")
    kinds = [frame["type"] for frame in worker.frames]
    assert kinds == ["message", "message_control", "message"]
    assert worker.frames[1]["control"]["supersededBy"] == "m2"
    worker.close()
    assert bench.pi("worker").texts() == ["new"]
    assert planner.send("worker", "old", id="m1")["code"] == "E_DELIVERY_SUPERSEDED"


def test_superseding_needs_an_earlier_message_between_the_same_two(bench: Bench) -> None:
    """Neither another sender's nor another receiver's, and nothing changes then."""
    planner, scout = bench.pi("planner"), bench.pi("scout")
    bench.pi("worker")
    planner.send("worker", id="m1")
    assert scout.send("worker", supersedes="m1")["code"] == "E_SUPERSEDE_TARGET"
    assert planner.send("scout", supersedes="m1")["code"] == "E_SUPERSEDE_TARGET"
    assert planner.send("worker", supersedes="unknown")["code"] == "E_SUPERSEDE_TARGET"
    assert bench.mailbox("id-worker") == ["m1"]
    assert bench.mailbox("id-scout") == []


def test_a_notice_never_causes_a_notice(bench: Bench) -> None:
    """A mailbox that nobody reads ends in silence, not in a chain."""
    bench.shell(name="ops").close()
    bench.peer("worker-1").close()
    bench.shell().send("worker-1")
    bench.wait(100 * HOUR)
    assert [record[0] for record in bench.committed if record[0] == "message"] == ["message"] * 2


def test_superseding_is_checked_before_the_reply(bench: Bench) -> None:
    """The order of v1's checks; the later id is named when the old message is sent again."""
    planner = bench.pi("planner")
    bench.pi("worker")
    assert planner.send("worker", supersedes="x", replyTo="y")["code"] == "E_SUPERSEDE_TARGET"
    planner.send("worker", "old", id="m1")
    planner.send("worker", "new", id="m2", supersedes="m1")
    assert planner.send("worker", "old", id="m1")["reason"] == "Superseded by m2"
