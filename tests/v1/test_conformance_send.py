"""Frame by frame against a real broker: `send`, its answers, receipts, asks, cancel and supersede, as v1 has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.broker.live import start
from tests.v1.raw import MISS, SESSION, Raw, without
from tests.v1.strict import MAX_FRAME, Json

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def broker(home: Path) -> None:
    """A running broker for each test."""
    start()


def test_a_message_arrives_whole_and_stamped() -> None:
    """Unknown keys survive; the broker adds its two times; the answer says how."""
    extra = {"senderSequence": 3, "retryOf": "old", "x-own": {"deep": [1, None]}}
    content = {"text": "grüß 😀", "attachments": [{"type": "snippet", "name": "a", "content": "b", "language": "py"}]}
    with Raw() as a, Raw() as b:
        a.register("a"), b.register("b")
        message = {"id": "m1", "timestamp": 5, "content": content, **extra}
        answer = a.post("send", to="b", message=message).until("delivered")
        frame = b.until("message")
    outcome = {"delivery": "socket_delivered", "retryable": False, "outcomeKnown": True}
    assert answer == {"type": "delivered", "messageId": "m1", **outcome}
    got = frame["message"]
    assert message.items() <= got.items()
    assert got["brokerReceivedAt"] <= got["brokerDeliveredAt"]
    assert frame["from"]["id"] == "id-a"


GOOD: Json = {"id": "m1", "timestamp": 1, "content": {"text": "x"}}
BAD_MESSAGES = [
    *({**GOOD, key: bad} for key in GOOD for bad in (MISS, None, [])),
    *({**GOOD, key: None} for key in ("replyTo", "supersedes", "retryOf", "expectsReply", "senderSequence")),
    {**GOOD, "expectsReply": 1},
    {**GOOD, "content": {"text": "x", "attachments": None}},
    {**GOOD, "content": {"text": "x", "attachments": [{"type": "image", "name": "a", "content": "b"}]}},
    {**GOOD, "content": {"text": "x", "attachments": [{"type": "file", "name": "a"}]}},
]


def test_a_malformed_message_is_answered_and_the_connection_goes_on() -> None:
    """`unknown` stands for an id that cannot be told."""
    with Raw() as a:
        a.register("a")
        for message in BAD_MESSAGES:
            answer = a.post("send", to="a", message=without(message)).next()
            assert (answer["code"], answer["reason"]) == ("E_INVALID_MESSAGE", "Invalid message format"), message
            assert answer["messageId"] == "unknown", message
        assert a.post("send", to="a").next()["messageId"] == "unknown"
        assert a.post("send", message=GOOD).next()["code"] == "E_INVALID_MESSAGE"


def test_the_address_ladder() -> None:
    """Exact id, then name whatever its case, then the start of an id; one rung only."""
    with Raw() as a, Raw() as b, Raw() as c, Raw() as d:
        a.register("Alpha", "ab-1"), b.register("beta", "ab-2"), c.register("ab", "ab-3"), d.register("BETA", "zz")
        for number, (address, target) in enumerate(
            [("ab-1", a), ("ALPHA", a), ("ab", c), ("ab-2", b), ("z", d), ("ab-3", c)]
        ):
            assert c.send(address, f"m{number}")["type"] == "delivered", address
            if target is not c:
                assert target.until("message")["message"]["id"] == f"m{number}"
        twice = c.send("Beta", "m9")
        assert twice["code"] == "E_AMBIGUOUS_TARGET"
        assert twice["reason"] == 'Multiple sessions named "Beta" are connected. Use the session ID instead.'
        assert c.send("ab-", "m10")["code"] == "E_AMBIGUOUS_TARGET"
        nobody = c.send("nobody", "m11")
        assert (nobody["code"], nobody["reason"]) == ("E_TARGET_NOT_FOUND", "Session not found")
        assert (nobody["delivery"], nobody["retryable"], nobody["outcomeKnown"]) == ("failed", False, True)


def test_an_exact_send_reaches_that_endpoint_or_nobody() -> None:
    """A wrong epoch is the one failure worth a retry, under the same id."""
    with Raw() as a, Raw() as b, Raw() as again:
        a.register("a"), b.register("b")
        epoch = a.roster()[1]["endpointEpoch"]
        exact = {"targetId": "id-b", "targetEpoch": epoch}
        assert a.send("whatever", "m1", exact=exact)["delivery"] == "socket_delivered"
        assert b.until("message")["message"]["id"] == "m1"
        again.register("b")
        late = a.send("b", "m2", exact=exact)
        assert (late["code"], late["retryable"]) == ("E_TARGET_REBOUND", True)
        assert late["reason"] == "Target endpoint changed before delivery"
        exact["targetEpoch"] = a.roster()[1]["endpointEpoch"]
        assert a.send("b", "m2", exact=exact)["type"] == "delivered"
        assert again.until("message")["message"]["id"] in ("m1", "m2")
        assert a.send("b", "m3", exact={"targetId": "id-x", "targetEpoch": "e"})["code"] == "E_TARGET_NOT_FOUND"
        for half in ({"targetId": "id-b"}, {"targetEpoch": "e"}, {"targetId": "", "targetEpoch": "e"}):
            refused = a.send("b", "m4", exact=half)
            assert refused["code"] == "E_INVALID_TARGET"
            assert refused["reason"] == "Exact target requires an id and endpoint epoch"


def test_the_same_id_again_is_the_same_message() -> None:
    """Times are not part of it; other content is refused."""
    with Raw() as a, Raw() as b:
        a.register("a"), b.register("b")
        first = a.send("b", "m1", "hello")
        assert a.send("b", "m1", "hello", timestamp=99, senderSequence=8) == first
        changes: list[Json] = [{"words": "other"}, {"retryOf": "x"}, {"expectsReply": True}]
        for changed in changes:
            refused = a.send("b", "m1", **{"words": "hello", **changed})
            assert refused["code"] == "E_MESSAGE_ID_REUSE", changed
            assert refused["reason"] == "Message id was reused with different authored content"
        assert [frame["type"] for frame in b.seen()].count("message") == 1


def test_mail_for_one_who_left_waits_for_it() -> None:
    """Found by id, name and prefix; handed over in order, before anything new, from whom it was then."""
    with Raw() as a:
        a.register("a")
        with Raw() as b:
            b.register("b", "id-b-long")
            a.until("session_joined")
            b.post("unregister")
            a.until("session_left")
        for message_id, address in (("m1", "id-b-long"), ("m2", "B"), ("m3", "id-b-l")):
            assert a.send(address, message_id)["delivery"] == "queued"
        asked = a.send("b", "m4", expectsReply=True)
        assert asked["code"] == "E_TARGET_DISCONNECTED"
        assert asked["reason"] == "Target session is not currently connected; blocking asks are not queued"
        with Raw() as b:
            b.register("b", "id-b-long")
            a.send("b", "m5")
            frames = [frame for frame in b.seen() if frame["type"] == "message"]
    assert [frame["message"]["id"] for frame in frames] == ["m1", "m2", "m3", "m5"]
    assert {frame["from"]["name"] for frame in frames} == {"a"}


def test_mail_for_one_who_left_finds_its_successor() -> None:
    """A new session of the same name and directory gets what waited for the lost one; one elsewhere does not."""
    with Raw() as a:
        a.register("a")
        with Raw() as b:
            b.register("b", "id-1", session={"cwd": "/tmp"}).post("unregister")
            a.until("session_left")
        a.send("id-1", "m1")
        with Raw() as elsewhere, Raw() as heir:
            elsewhere.register("b", "id-2", session={"cwd": "/usr"})
            assert elsewhere.seen() == []
            elsewhere.post("unregister")
            a.until("session_left")
            heir.register("B", "id-3", session={"cwd": "/tmp/."})
            assert heir.until("message")["message"]["id"] == "m1"


def test_receipts_go_to_the_sender_after_its_answer() -> None:
    """From the receiver alone; for what nobody sent they go nowhere."""
    with Raw() as a, Raw() as b, Raw() as stranger:
        a.register("a"), b.register("b"), stranger.register("stranger")
        a.send("b", "m1")
        b.until("message")
        stranger.receipt("m1", "injected").roster()
        b.receipt("unknown").receipt("m1", "receiver_received").receipt("m1").roster()
        frames = [frame for frame in a.seen() if frame["type"] == "message_receipt"]
    assert [(f["receipt"]["messageId"], f["receipt"]["status"]) for f in frames] == [
        ("m1", "receiver_received"),
        ("m1", "acknowledged"),
    ]
    assert {frame["from"]["id"] for frame in frames} == {"id-b"}


def test_an_ask_is_answered_once_by_the_asked() -> None:
    """Nobody else, and to nobody else."""
    no_ask = "Reply target does not match a pending ask"
    with Raw() as a, Raw() as b, Raw() as c:
        a.register("a"), b.register("b"), c.register("c")
        a.send("b", "q1", expectsReply=True)
        assert c.send("a", "r0", replyTo="q1")["code"] == "E_REPLY_TARGET"
        assert b.send("c", "r0", replyTo="q1")["code"] == "E_REPLY_TARGET"
        mutual = b.send("a", "q2", expectsReply=True)
        assert (mutual["code"], mutual["reason"]) == (
            "E_MUTUAL_ASK",
            "Mutual ask refused: target session is already waiting for a reply from this session.",
        )
        assert b.send("a", "q3", expectsReply=True, replyTo="q1")["type"] == "delivered"
        assert a.until("message")["message"]["replyTo"] == "q1"
        assert a.send("b", "r3", replyTo="q3")["type"] == "delivered"
        late = b.send("a", "r2", replyTo="q1")
        assert (late["code"], late["reason"]) == ("E_REPLY_TARGET", no_ask)


def test_a_cancelled_ask_frees_both() -> None:
    """Only its asker can do it; there is no answer."""
    with Raw() as a, Raw() as b:
        a.register("a"), b.register("b")
        a.send("b", "q1", expectsReply=True)
        b.post("cancel_ask", messageId="q1")
        assert b.send("a", "q2", expectsReply=True)["code"] == "E_MUTUAL_ASK"
        a.post("cancel_ask", messageId="q1").roster()
        assert b.send("a", "r1", replyTo="q1")["code"] == "E_REPLY_TARGET"
        assert b.send("a", "q2", expectsReply=True)["type"] == "delivered"


def test_a_message_can_be_taken_back_by_its_sender() -> None:
    """A waiting one for good, a delivered one by asking the receiver; answers are bare."""
    with Raw() as a, Raw() as b, Raw() as gone:
        a.register("a"), b.register("b"), gone.register("gone").post("unregister")
        a.until("session_left")
        a.send("b", "m1"), a.send("gone", "m2")
        b.post("cancel_message", messageId="m1")
        refused = b.until("delivery_failed")
        assert refused["reason"] == "Message cannot be cancelled by this session"
        assert a.post("cancel_message", messageId="m1").until("delivered")["messageId"] == "m1"
        control = b.until("message_control")
        assert (control["control"]["messageId"], control["control"]["action"]) == ("m1", "cancel")
        assert control["from"]["id"] == "id-a"
        a.post("cancel_message", messageId="m2").until("delivered")
        again = a.send("gone", "m2")
        assert again["code"] == "E_DELIVERY_CANCELLED"
        gone.register("gone")
        assert "message" not in [frame["type"] for frame in gone.seen()]


def test_a_later_message_replaces_an_earlier_one() -> None:
    """The control comes first; only one's own to the same receiver can be replaced."""
    reason = "Supersede target does not match a previous message from this sender to this receiver"
    with Raw() as a, Raw() as b, Raw() as c:
        a.register("a"), b.register("b"), c.register("c")
        a.send("b", "m1")
        for sender, to, earlier in ((c, "b", "m1"), (a, "c", "m1"), (a, "b", "unknown")):
            refused = sender.send(to, "m9", supersedes=earlier)
            assert (refused["code"], refused["reason"]) == ("E_SUPERSEDE_TARGET", reason)
        a.send("b", "m2", supersedes="m1")
        kinds = [frame for frame in b.seen() if frame["type"] in ("message", "message_control")]
        assert [frame["type"] for frame in kinds] == ["message", "message_control", "message"]
        assert kinds[1]["control"]["action"] == "supersede"
        assert kinds[1]["control"].get("supersededBy") == "m2"
        assert a.send("b", "m1")["code"] == "E_DELIVERY_SUPERSEDED"


def test_a_06_client_gets_neither_receipts_nor_controls() -> None:
    """It registers without an id, gets one, and would die of those frames."""
    with Raw() as old, Raw() as new:
        old.post("register", session={**SESSION, "name": "old"})
        assert old.next()["sessionId"]
        new.register("new")
        old.send("new", "m1")
        new.until("message")
        new.receipt("m1", "receiver_received").receipt("m1").roster()
        new.send("old", "m2")
        new.post("cancel_message", messageId="m2").until("delivered", "delivery_failed")
        assert {frame["type"] for frame in old.seen()} <= {"message", "session_joined", "presence_update"}


def test_a_message_that_no_frame_could_carry_on_fails_at_its_sender() -> None:
    """What the broker adds would lift it over the limit that its receiver checks; a little less goes through."""
    with Raw() as a, Raw() as b:
        a.register("a"), b.register("b")
        room = MAX_FRAME - len(json.dumps({"type": "send", "to": "b", "message": GOOD}, separators=(",", ":")))
        assert a.send("b", "m1", "x" * room)["type"] == "delivery_failed"
        assert a.send("b", "m2", "x" * (room - 4_096))["type"] == "delivered"
        assert b.until("message")["message"]["id"] == "m2"
