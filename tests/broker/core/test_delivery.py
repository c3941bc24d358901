"""One message from sender to receiver: accepted, delivered, confirmed, redelivered, taken back, ended."""

from __future__ import annotations

from typing import Any

import pytest

from intercom_mux.broker.core.model import Limits
from intercom_mux.wire.frames import MAX_FRAME_BYTES
from tests.broker.core.bench import Bench


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


def test_nobody_of_ours_messages_itself(bench: Bench) -> None:
    """v1 sessions may: their own client refuses it."""
    shell, pi = bench.shell(), bench.pi("scout")
    answer = shell.send("shell-pts1")
    assert (answer["code"], answer["reason"]) == ("E_SELF_TARGET", "Cannot message the current session")
    assert pi.send("scout")["type"] == "delivered"


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
