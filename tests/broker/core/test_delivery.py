"""One message from sender to receiver: accepted, delivered, confirmed, redelivered, taken back, ended."""

from __future__ import annotations

from typing import Any

import pytest

from intercom_mux.broker.core.model import Limits
from intercom_mux.wire.frames import MAX_FRAME_BYTES
from tests.broker.core.bench import HOUR, Bench


def test_a_message_arrives_as_it_was_written_and_is_stamped(bench: Bench) -> None:
    """Unknown keys and attachments survive; the broker adds its two times."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    attachment = {"type": "snippet", "name": "a.py", "content": "pass", "language": "python"}
    message = {
        "id": "m1",
        "timestamp": 5,
        "content": {"text": "héllo", "attachments": [attachment]},
        "mood": {"x": [1]},
    }
    planner.post(type="send", to="worker", message=message)
    (frame,) = worker.take("message")
    stamps = {"brokerReceivedAt": bench.now, "brokerDeliveredAt": bench.now}
    assert frame["message"] == {**message, **stamps}
    assert frame["from"]["id"] == "id-planner"


def test_delivered_says_what_happened_and_to_whom(bench: Bench) -> None:
    """The v1 keys for all; for ours also who that was and what it is doing."""
    pi, shell = bench.pi("scout"), bench.shell()
    bench.peer("worker-1").post(type="presence", status="thinking")
    v1 = {"type": "delivered", "delivery": "socket_delivered", "retryable": False, "outcomeKnown": True}
    assert pi.send("blue/worker-1", id="m1") == {**v1, "messageId": "m1"}
    ours = {"to": "blue/worker-1", "targetId": "blue-worker-1", "status": "thinking", "before": 1}
    assert shell.send("worker-1", id="m2") == {**v1, "messageId": "m2", **ours}


def test_delivered_says_why_the_first_of_what_waits_does(bench: Bench) -> None:
    """However many wait between, the sender hears how many go before its message, and what holds the first."""
    worker, shell = bench.peer("worker-1"), bench.shell()
    for name in ("m1", "m2"):
        shell.send("worker-1", id=name)
    for name, why in (("m1", "draft"), ("m2", "behind 1 other: draft")):
        receipt = {"messageId": name, "status": "queued", "timestamp": bench.now, "detail": why}
        worker.post(type="message_receipt", receipt=receipt)
    answer = shell.send("worker-1", id="m3")
    assert (answer["before"], answer["held"]) == (2, "draft")


def test_a_message_to_somebody_away_is_queued_and_comes_in_order(bench: Bench) -> None:
    """All of it, oldest first, when its receiver is back."""
    planner = bench.pi("planner")
    bench.pi("worker").close()
    assert [planner.send("worker", text)["delivery"] for text in "abc"] == ["queued"] * 3
    assert bench.pi("worker").texts() == ["a", "b", "c"]


def test_the_unconfirmed_go_first_on_a_return(bench: Bench) -> None:
    """Redelivery keeps the order of acceptance."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.send("worker", "before")
    worker.close()
    planner.send("worker", "while away")
    assert bench.pi("worker").texts() == ["before", "while away"]


def test_live_delivery_never_waits_for_a_receipt(bench: Bench) -> None:
    """A slow agent does not stop its mail."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    for text in "abc":
        planner.send("worker", text)
    assert worker.texts() == ["a", "b", "c"]


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


def test_a_06_client_never_gets_receipts_or_controls(bench: Bench) -> None:
    """Any frame that it does not know would kill it."""
    old, worker = bench.old("old"), bench.pi("worker")
    old.take()
    message_id = old.send("worker", id="m1")["messageId"]
    worker.confirm(message_id)
    worker.send("old", "one", id="m2")
    worker.post(type="cancel_message", messageId="m2")
    worker.send("old", "two", id="m3", supersedes="m2")
    assert {frame["type"] for frame in old.take()} == {"message"}


def test_a_06_client_has_what_was_written_to_it(bench: Bench) -> None:
    """It never sends a receipt, so nothing is sent twice."""
    planner, old = bench.pi("planner"), bench.old("old")
    planner.send("old")
    assert old.texts() == ["hello"]
    assert bench.core.state.sessions[next(k for k in bench.core.state.sessions if k.id != "id-planner")].mailbox == {}


def test_a_06_client_that_misbehaved_still_gets_its_next_mail(bench: Bench) -> None:
    """A connection on its way out takes no message with it."""
    planner, old = bench.pi("planner"), bench.old("old")
    session_id = next(k.id for k in bench.core.state.sessions if k.id != "id-planner")
    bench.core.receive(old.number, b"not json", bench.now)
    message = b'{"type":"send","to":"old","message":{"id":"m1","timestamp":1,"content":{"text":"x"}}}'
    bench.core.receive(planner.number, message, bench.now)
    bench.settle()
    assert bench.mailbox(session_id) == ["m1"]


def test_nothing_after_a_bad_frame_is_carried_out(bench: Bench) -> None:
    """Frames that came in the same breath as the bad one are ignored."""
    worker, planner = bench.pi("worker"), bench.pi("planner")
    for payload in (
        b'{"type":"nonsense"}',
        b'{"type":"send","to":"worker","message":{"id":"m1","timestamp":1,"content":{"text":"x"}}}',
    ):
        bench.core.receive(planner.number, payload, bench.now)
    bench.settle()
    assert planner.is_closed
    assert worker.texts() == []


def test_the_exact_pair_reaches_just_that_endpoint(bench: Bench) -> None:
    """Id and epoch must both fit; a later endpoint is another one, and that is worth a retry."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.post(type="list", requestId="r")
    epoch = planner.one("sessions")["sessions"][1]["endpointEpoch"]
    exact = {"targetId": "id-worker", "targetEpoch": epoch}
    assert planner.send("whoever", frame=exact)["type"] == "delivered"
    bench.pi("worker")
    answer = planner.send("whoever", frame=exact)
    assert (answer["code"], answer["retryable"]) == ("E_TARGET_REBOUND", True)
    assert worker.texts() == ["hello"]


@pytest.mark.parametrize(
    "pair",
    [
        {"targetId": "id-worker"},
        {"targetEpoch": "e"},
        {"targetId": "", "targetEpoch": "e"},
        {"targetId": "id-worker", "targetEpoch": ""},
        {"targetId": 1, "targetEpoch": "e"},
        {"targetId": None, "targetEpoch": None},
    ],
    ids=repr,
)
def test_half_a_pair_is_invalid(bench: Bench, pair: dict[str, object]) -> None:
    """Both or none."""
    planner = bench.pi("planner")
    bench.pi("worker")
    assert planner.send("worker", frame=pair)["code"] == "E_INVALID_TARGET"


def test_an_exact_target_that_left_is_not_found(bench: Bench) -> None:
    """The exact path never queues for a foreign session."""
    planner = bench.pi("planner")
    bench.pi("worker").close()
    exact = {"targetId": "id-worker", "targetEpoch": "e"}
    assert planner.send("worker", frame=exact)["code"] == "E_TARGET_NOT_FOUND"


@pytest.mark.parametrize("message", [None, {}, {"id": "m1"}, {"id": "m1", "timestamp": 1, "content": {}}], ids=repr)
def test_a_malformed_message_is_answered_and_the_connection_stays(bench: Bench, message: object) -> None:
    """As v1 does."""
    planner = bench.pi("planner")
    planner.post(type="send", to="planner", message=message)
    answer = planner.one("delivery_failed")
    assert (answer["code"], answer["messageId"]) == ("E_INVALID_MESSAGE", "unknown")
    assert not planner.is_closed


def test_the_same_message_again_is_answered_again_and_not_delivered_again(bench: Bench) -> None:
    """Live, after it was confirmed, and after a crash."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    first = planner.send("worker", id="m1")
    assert planner.send("worker", id="m1") == first
    worker.confirm("m1")
    assert planner.send("worker", id="m1") == first
    bench.crash()
    planner, again = bench.pi("planner"), bench.pi("worker")
    assert planner.send("worker", id="m1") == first
    assert worker.texts() == ["hello"]
    assert again.texts() == []


def test_times_do_not_make_a_message_another_one(bench: Bench) -> None:
    """A resend may carry a new time, sequence and deadline."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.send("worker", id="m1", senderSequence=1)
    bench.wait(5000)
    assert planner.send("worker", id="m1", senderSequence=2)["type"] == "delivered"
    assert worker.texts() == ["hello"]


@pytest.mark.parametrize(
    "changes",
    [{"text": "other"}, {"to": "scout"}, {"retryOf": "m0"}, {"content": {"text": "hello", "attachments": []}}],
    ids=repr,
)
def test_an_id_with_other_content_is_refused(bench: Bench, changes: dict[str, Any]) -> None:
    """The id stands for what was authored under it."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    bench.pi("scout")
    planner.send("worker", id="m1")
    answer = planner.send(**{"to": "worker", "text": "hello", "id": "m1", **changes})
    assert answer["code"] == "E_MESSAGE_ID_REUSE"
    assert worker.texts() == ["hello"]


def test_two_senders_may_not_use_one_id_for_one_receiver(bench: Bench) -> None:
    """Receivers tell messages apart by id: the second would pass for a duplicate, its receipt for the first's."""
    worker = bench.pi("worker")
    planner, scout = bench.pi("planner"), bench.pi("scout")
    planner.send("worker", id="m1")
    assert scout.send("worker", id="m1")["code"] == "E_MESSAGE_ID_REUSE"
    assert scout.send("planner", id="m1")["type"] == "delivered"
    worker.confirm("m1")
    assert len(planner.take("message_receipt")) == 1


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


def test_a_full_mailbox_refuses() -> None:
    """By number and by size; what is there stays."""
    bench = Bench(Limits(mailbox_messages=2, mailbox_bytes=100_000))
    planner = bench.pi("planner")
    bench.pi("worker").close()
    bench.pi("scout").close()
    assert [planner.send("worker")["type"] for _ in range(2)] == ["delivered"] * 2
    answer = planner.send("worker")
    assert (answer["code"], answer["retryable"]) == ("E_MAILBOX_FULL", False)
    assert planner.send("scout", "x" * 100_000)["type"] == "delivered"
    assert planner.send("scout")["code"] == "E_MAILBOX_FULL"
    assert bench.pi("worker").confirm_all() == ["hello", "hello"]
    assert planner.send("worker")["type"] == "delivered"


def test_a_message_that_no_frame_could_carry_is_refused(bench: Bench) -> None:
    """The sender hears it; the receiver's connection lives. Just below the bound it passes everywhere."""
    planner, worker = bench.pi("planner"), bench.peer("worker-1")
    room = MAX_FRAME_BYTES - 200
    assert planner.send("blue-worker-1", "x" * room)["code"] == "E_MESSAGE_TOO_LARGE"
    large = "x" * (MAX_FRAME_BYTES - 3000)
    assert planner.send("blue-worker-1", large, id="big")["type"] == "delivered"
    assert worker.texts() == [large]
    pane = bench.handle("worker-1")
    assert pane.op("inbox", id="big", peek=True)["message"]["content"]["text"] == large
    (row,) = pane.op("inbox")["messages"]
    assert row["message"]["content"]["text"] == large


def test_a_large_mailbox_is_handed_over_piece_by_piece(bench: Bench) -> None:
    """A returning receiver is given what it can read, and live mail does not overtake."""
    planner = bench.pi("planner")
    bench.pi("worker").close()
    for number in range(40):
        planner.send("worker", f"{number:02d}" + "x" * 100_000)
    worker = bench.open()
    worker.is_stalled = True
    session = {"name": "worker", "cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}
    worker.post(type="register", sessionId="id-worker", session=session)
    first = worker.texts()
    assert 5 < len(first) < 15
    assert planner.send("worker", "live")["delivery"] == "queued"
    worker.is_stalled = False
    bench.core.drained(worker.number, bench.now)
    bench.settle()
    seen = [text[:4] for text in first + worker.texts()]
    assert seen == [f"{number:02d}xx" for number in range(40)] + ["live"]
    assert planner.send("worker")["delivery"] == "socket_delivered"


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


def test_nobody_of_ours_messages_itself(bench: Bench) -> None:
    """v1 sessions may: their own client refuses it."""
    shell, pi = bench.shell(), bench.pi("scout")
    answer = shell.send("shell-pts1")
    assert (answer["code"], answer["reason"]) == ("E_SELF_TARGET", "Cannot message the current session")
    assert pi.send("scout")["type"] == "delivered"


def test_v1_clients_are_cut_at_their_rate_and_ours_are_not(bench: Bench) -> None:
    """240 at once, 120 a second; the reason comes before the end, and the mail waits."""
    pi, ours, planner = bench.pi("scout"), bench.peer("worker-1"), bench.pi("planner")
    for _ in range(239):
        pi.post(type="health", requestId="h")
        ours.post(type="health", requestId="h")
    assert not pi.is_closed
    pi.take()
    pi.post(type="health", requestId="h").post(type="health", requestId="h")
    assert pi.frames == [{"type": "error", "error": "Intercom broker rate limit exceeded"}]
    assert pi.is_closed
    for _ in range(1000):
        ours.post(type="health", requestId="h")
    assert not ours.is_closed
    bench.wait(1000)
    assert planner.send("scout")["delivery"] == "queued"


def test_the_rate_recovers(bench: Bench) -> None:
    """120 frames a second go on for ever."""
    pi = bench.pi("scout")
    for _ in range(100):
        for _ in range(12):
            pi.post(type="health", requestId="h")
        bench.wait(100)
    assert not pi.is_closed


def test_order_per_sender_is_kept_over_a_crash(bench: Bench) -> None:
    """What was accepted before and after a crash arrives in the order of acceptance."""
    planner = bench.pi("planner")
    bench.pi("worker").close()
    planner.send("worker", "a")
    bench.crash()
    planner = bench.pi("planner")
    planner.send("worker", "b")
    assert bench.pi("worker").texts() == ["a", "b"]


def test_a_message_is_committed_before_its_sender_hears_delivered(bench: Bench) -> None:
    """Its record is in the effects that carry `delivered`, and records are carried out first."""
    planner = bench.pi("planner")
    bench.pi("worker")
    message = b'{"type":"send","to":"worker","message":{"id":"m1","timestamp":1,"content":{"text":"x"}}}'
    bench.core.receive(planner.number, message, bench.now)
    effects = bench.core.take_effects()
    assert [record[0] for record in effects.records] == ["message"]
    assert len(effects.output) == 2


def test_a_notice_never_causes_a_notice(bench: Bench) -> None:
    """A mailbox that nobody reads ends in silence, not in a chain."""
    bench.shell(name="ops").close()
    bench.peer("worker-1").close()
    bench.shell().send("worker-1")
    bench.wait(100 * HOUR)
    assert [record[0] for record in bench.committed if record[0] == "message"] == ["message"] * 2


def test_an_exact_message_again_is_answered_again_whatever_the_endpoint_is_now(bench: Bench) -> None:
    """A client that lost the answer does not have it delivered twice because its receiver has reconnected."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.post(type="list", requestId="r")
    epoch = planner.one("sessions")["sessions"][1]["endpointEpoch"]
    exact = {"targetId": "id-worker", "targetEpoch": epoch}
    first = planner.send("worker", id="m1", frame=exact)
    worker.confirm("m1")
    again = bench.pi("worker")
    assert planner.send("worker", id="m1", frame=exact) == first
    assert planner.send("worker", "other", id="m1", frame=exact)["code"] == "E_MESSAGE_ID_REUSE"
    assert again.texts() == []


def test_superseding_is_checked_before_the_reply(bench: Bench) -> None:
    """The order of v1's checks; the later id is named when the old message is sent again."""
    planner = bench.pi("planner")
    bench.pi("worker")
    assert planner.send("worker", supersedes="x", replyTo="y")["code"] == "E_SUPERSEDE_TARGET"
    planner.send("worker", "old", id="m1")
    planner.send("worker", "new", id="m2", supersedes="m1")
    assert planner.send("worker", "old", id="m1")["reason"] == "Superseded by m2"


def test_the_receipts_that_a_v1_client_owes_are_beyond_its_rate(bench: Bench) -> None:
    """However many messages waited for it, each may be confirmed as pi does, and it is neither cut nor parked."""
    planner = bench.peer("planner")
    bench.pi("scout").close()
    for _ in range(400):
        planner.send("scout")
    pi = bench.pi("scout")
    for message in pi.messages():
        for status in ("receiver_received", "acknowledged", "injected"):
            pi.confirm(message["id"], status)
    assert not pi.is_closed
    assert bench.mailbox("id-scout") == []
    for _ in range(240):
        pi.confirm("unasked")
    assert pi.is_closed
