"""Frame by frame against a real broker: what a v1 client may send, what it gets, and what ends its connection."""

from __future__ import annotations

import json
import struct
import time
from typing import TYPE_CHECKING

import pytest

from tests.broker.live import start
from tests.support import wait_until
from tests.v1.raw import MISS, SESSION, Raw, without
from tests.v1.strict import MAX_FRAME, Json

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def broker(home: Path) -> None:
    """A running broker for each test."""
    start()


# -- registration -----------------------------------------------------------------------------------------------------


def test_registered_is_first_and_offers_only_known_features() -> None:
    """A client that gets anything else first hangs up, and one upstream test compares the features exactly."""
    with Raw() as other, Raw() as me:
        other.register("other")
        other.send("id-me", "early")
        me.post("register", session={**SESSION, "name": "me"}, sessionId="id-me")
        assert me.next() in (
            {"type": "registered", "sessionId": "id-me", "features": features}
            for features in ([], ["exact-send-v1"], ["extension-bus-v1", "exact-send-v1"])
        )


BAD_SESSIONS = [
    *({**SESSION, key: bad} for key in SESSION for bad in (MISS, None, [], True)),
    *({**SESSION, key: bad} for key in ("name", "status", "tmuxPane") for bad in (None, 1)),
    {**SESSION, "runtimeFallbackAlias": None},
    {**SESSION, "runtimeFallbackAlias": "yes"},
]


def test_a_bad_registration_ends_the_connection_and_evicts_nobody() -> None:
    """Validation precedes the takeover."""
    bad: list[Json] = [{"session": without(session)} for session in BAD_SESSIONS]
    bad += [{"session": SESSION, "sessionId": value} for value in ("", "  ", 7, None)]
    bad += [{"session": SESSION, "scopeId": value} for value in (7, None, True)]
    bad += [{}, {"session": None}, {"session": []}]
    with Raw() as holder:
        holder.register("holder", "id-1")
        for fields in bad:
            with Raw() as stranger:
                stranger.post("register", **{"sessionId": "id-1", **fields})
                assert stranger.is_ended(), fields
        assert [row["id"] for row in holder.roster()] == ["id-1"]
        assert holder.seen() == []


def test_only_the_known_facts_of_a_registration_are_taken() -> None:
    """Id, uid, trust, epoch and context numbers are the broker's to say."""
    forged = {"id": "x", "peerUid": 99_999, "trustedLocal": False, "endpointEpoch": "mine", "contextPct": 5, "junk": 1}
    with Raw() as me:
        me.register("me", session={**forged, "status": "idle", "tmuxPane": "%1"})
        (row,) = me.roster()
    assert (row["id"], row["status"], row["tmuxPane"]) == ("id-me", "idle", "%1")
    assert row["endpointEpoch"] != "mine"
    assert row["trustedLocal"] is True
    assert row.get("peerUid") != 99_999
    assert not {"contextPct", "junk"} & row.keys()


@pytest.mark.parametrize(
    "kind", ["list", "send", "presence", "unregister", "cancel_ask", "message_receipt", "nonsense"]
)
def test_nothing_but_health_comes_before_registration(kind: str) -> None:
    """Anything else ends the connection."""
    with Raw() as stranger:
        stranger.post("health", requestId="h")
        health = {"type": "health_ok", "requestId": "h", "protocol": "pi-intercom", "version": 1}
        assert health.items() <= stranger.next().items()
        stranger.post(kind, requestId="1", messageId="m")
        assert stranger.is_ended()


def test_a_second_register_ends_the_connection() -> None:
    """But after `unregister` it is a first one again."""
    with Raw() as me, Raw() as twice:
        me.register("me").post("unregister")
        me.register("me again")
        assert me.roster()[0]["name"] == "me again"
        twice.register("twice").post("register", session=SESSION)
        assert twice.is_ended()


BAD_FRAMES: list[tuple[str, Json]] = [
    ("health", {}),
    ("health", {"requestId": None}),
    ("list", {}),
    ("list", {"requestId": 1}),
    *(("presence", {key: None}) for key in ("name", "status", "model")),
    *(("presence", {key: 1}) for key in ("name", "status", "model", "runtimeFallbackAlias")),
    *(("presence", {key: "1"}) for key in ("contextPct", "contextTokens", "contextWindow")),
    ("presence", {"contextPct": True}),
    ("message_receipt", {}),
    ("message_receipt", {"receipt": {"messageId": "m", "status": "eaten", "timestamp": 1}}),
    ("message_receipt", {"receipt": {"messageId": "m", "status": "injected"}}),
    ("message_receipt", {"receipt": {"messageId": "m", "status": "injected", "timestamp": 1, "detail": None}}),
    ("cancel_message", {}),
    ("cancel_ask", {"messageId": 1}),
    ("delivered", {"messageId": "m"}),
    ("nonsense", {}),
    ("mux", {"requestId": "1", "op": "status"}),
]


def test_a_malformed_or_unknown_frame_ends_its_connection_alone() -> None:
    """Silently: v1 has no words for it."""
    with Raw() as witness:
        witness.register("witness")
        for kind, fields in BAD_FRAMES:
            with Raw() as member:
                member.register("member")
                member.post(kind, **fields)
                assert member.is_ended(), (kind, fields)
        assert [row["name"] for row in witness.roster()] == ["witness"]


# -- who is there -----------------------------------------------------------------------------------------------------


def test_others_hear_of_join_change_and_leave() -> None:
    """The session itself does not."""
    with Raw() as me:
        me.register("me")
        with Raw() as other:
            other.register("other")
            assert me.next()["session"]["name"] == "other"
            other.post("presence", status="thinking", contextPct=40)
            update = me.until("presence_update")["session"]
            assert (update["status"], update["contextPct"]) == ("thinking", 40)
            other.post("presence", contextPct=None)
            assert "contextPct" not in me.until("presence_update")["session"]
            assert other.seen() == []
            other.post("unregister")
            assert me.until("session_left") == {"type": "session_left", "sessionId": "id-other"}


def test_mere_activity_is_told_once_a_second_and_a_change_at_once() -> None:
    """The clock starts at registration."""
    with Raw() as me, Raw() as other:
        me.register("me")
        other.register("other")
        begun = time.monotonic()
        for _ in range(10):
            other.post("presence", status="idle")
        other.roster()
        told = [frame["type"] for frame in me.seen()]
        assert time.monotonic() - begun < 0.9
        assert told == ["session_joined", "presence_update"]
        wait_until(lambda: other.post("presence", status="idle").roster() and me.seen(), what="a beat")
        assert time.monotonic() - begun > 0.9


def test_the_roster_lists_everybody_of_the_scope_in_order() -> None:
    """Including the asker."""
    with Raw() as one, Raw() as two, Raw() as three:
        one.register("one")
        two.register("two", scopeId=" other ")
        three.register("three", scopeId="  ")
        assert [row["name"] for row in three.roster()] == ["one", "three"]
        assert [row["name"] for row in two.roster()] == ["two"]
        assert one.send("id-two", "m1")["code"] == "E_TARGET_NOT_FOUND"
        assert [frame["type"] for frame in one.seen()] == []


def test_a_takeover_is_a_join_with_a_new_epoch() -> None:
    """The old connection gets FIN; nobody hears of a leave; the place in the roster stays."""
    with Raw() as old, Raw() as witness, Raw() as new:
        old.register("first", "id-1")
        witness.register("witness")
        before = witness.roster()[0]["endpointEpoch"]
        new.register("first", "id-1")
        old.until("session_joined")
        assert old.is_ended()
        joined = witness.next()
        assert (joined["type"], joined["session"]["id"]) == ("session_joined", "id-1")
        assert witness.seen() == []
        row = witness.roster()[0]
        assert row["id"] == "id-1"
        assert row["endpointEpoch"] == joined["session"]["endpointEpoch"] != before


def test_more_than_the_rate_of_a_v1_client_ends_it_with_a_word() -> None:
    """240 frames at once are allowed; its session is away after that."""
    with Raw() as witness, Raw() as flood:
        witness.register("witness")
        flood.register("flood")
        for _ in range(230):
            flood.post("presence", status="idle")
        assert flood.seen() == []
        for _ in range(100):
            flood.post("presence", status="idle")
        assert flood.until("error")["error"] == "Intercom broker rate limit exceeded"
        assert flood.is_ended()
        assert witness.until("session_left")["sessionId"] == "id-flood"


@pytest.mark.parametrize("word", [b"1e400", b"NaN", b"-Infinity", b"null"])
def test_a_number_that_is_none_reaches_nobody(word: bytes) -> None:
    """A roster with it would end every client that reads it."""
    with Raw() as witness, Raw() as poisoner:
        witness.register("witness")
        session = json.dumps({**SESSION, "name": "p"}).encode().replace(b'"startedAt": 1', b'"startedAt": ' + word)
        payload = b'{"type":"register","sessionId":"id-p","session":' + session + b"}"
        poisoner.sock.sendall(struct.pack(">I", len(payload)) + payload)
        assert poisoner.is_ended()
        assert [row["name"] for row in witness.roster()] == ["witness"]


def test_a_frame_over_the_limit_ends_its_connection_by_its_length_alone() -> None:
    """The limit itself is fine."""
    with Raw() as a, Raw() as b:
        b.register("b"), a.register("a")
        a.sock.sendall(struct.pack(">I", MAX_FRAME + 1))
        assert a.is_ended()
        padding = {"pad": "x" * (MAX_FRAME - len('{"type":"list","requestId":"1","pad":""}'))}
        assert b.post("list", requestId="1", **padding).until("sessions")["requestId"] == "1"
