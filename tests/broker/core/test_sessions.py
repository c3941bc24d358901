"""Registration, ids and tokens, handles, takeover, presence, retirement."""

from __future__ import annotations

from typing import Any

import pytest

from tests.broker.core.bench import BLUE, Bench

SESSION = {"cwd": "/repo", "model": "m", "pid": 7, "startedAt": 1, "lastActivity": 1}


def test_registered_is_the_first_frame_and_names_the_features(bench: Bench) -> None:
    """A v1 client gets exactly the v1 answer; one of ours also its name and what waits for it."""
    assert bench.register("id-1", "planner").frames == [
        {"type": "registered", "sessionId": "id-1", "features": ["extension-bus-v1", "exact-send-v1"]}
    ]
    ours = bench.register("id-2", "worker-1", {"version": 1}).frames[0]
    assert ours["features"] == ["extension-bus-v1", "exact-send-v1", "mux-v1"]
    assert (ours["name"], ours["waiting"]) == ("worker-1", 0)


def test_registration_comes_before_what_waited(bench: Bench) -> None:
    """The mailbox follows `registered`, never precedes it."""
    planner = bench.pi("planner")
    bench.peer("worker-1").close()
    planner.send("blue-worker-1")
    wire = bench.register("blue-worker-1", "worker-1", {"team": BLUE, "token": "secret"})
    assert [frame["type"] for frame in wire.frames] == ["registered", "message"]


def test_an_id_is_made_for_a_client_that_brings_none(bench: Bench) -> None:
    """0.6-era clients are told apart by not naming a session id."""
    first, second = bench.register(None, "a"), bench.register(None, "b")
    assert first.frames[0]["sessionId"] != second.frames[0]["sessionId"]


@pytest.mark.parametrize(
    "frame",
    [
        {"session": {}},
        {"session": None},
        {"session": SESSION, "sessionId": ""},
        {"session": SESSION, "sessionId": "  "},
        {"session": SESSION, "sessionId": 7},
        {"session": SESSION, "sessionId": "x" * 300},
        {"session": SESSION, "scopeId": 7},
        {"session": SESSION, "scopeId": "s" * 300},
        {"session": SESSION, "sessionId": "id-1", "mux": {"team": {"id": "t"}}},
    ],
    ids=repr,
)
def test_a_bad_registration_closes_only_its_own_connection(bench: Bench, frame: dict[str, Any]) -> None:
    """Validation precedes the takeover: the holder of the id stays."""
    holder = bench.pi("planner", "id-1")
    bad = bench.open().post(type="register", **frame)
    assert bad.is_closed
    assert not holder.is_closed
    assert bench.pi("scout").send("planner")["type"] == "delivered"
    assert holder.texts() == ["hello"]


def test_registering_twice_closes_the_connection(bench: Bench) -> None:
    """One registration per connection."""
    wire = bench.pi("planner")
    wire.post(type="register", session=SESSION)
    assert wire.is_closed


def test_anything_but_health_before_registration_closes(bench: Bench) -> None:
    """`health` is answered at any time, the rest needs a session."""
    wire = bench.open().post(type="health", requestId="h")
    assert wire.one("health_ok") == {
        "type": "health_ok",
        "requestId": "h",
        "protocol": "pi-intercom",
        "version": 1,
        "broker": "intercom-mux",
    }
    wire.post(type="list", requestId="1")
    assert wire.is_closed


def test_who_does_not_register_in_time_is_cut(bench: Bench) -> None:
    """A second is enough for a client; the one that registered stays."""
    idle, pi = bench.open(), bench.pi("planner")
    bench.wait(999)
    assert not idle.is_closed
    bench.wait(1)
    assert idle.is_closed
    assert not pi.is_closed


def test_the_oldest_unregistered_connection_makes_room(bench: Bench) -> None:
    """At most 32 wait unregistered; each one more costs the oldest."""
    wires = [bench.open() for _ in range(32)]
    assert not any(wire.is_closed for wire in wires)
    more = [bench.open() for _ in range(3)]
    assert [wire.is_closed for wire in wires] == [True] * 3 + [False] * 29
    assert not any(wire.is_closed for wire in more)


def test_a_takeover_displaces_the_old_endpoint_without_a_farewell(bench: Bench) -> None:
    """Same id, new connection: others see it join again with a new epoch and never see it leave."""
    watcher = bench.pi("scout")
    old = bench.pi("planner")
    (joined,) = watcher.take("session_joined")
    new = bench.pi("planner")
    assert old.is_closed
    (again,) = watcher.take()
    assert again["type"] == "session_joined"
    assert again["session"]["endpointEpoch"] != joined["session"]["endpointEpoch"]
    watcher.send("planner")
    assert new.texts() == ["hello"]


def test_a_displaced_endpoint_speaks_for_nobody(bench: Bench) -> None:
    """Frames of the loser, still on their way, do nothing."""
    scout, old = bench.pi("scout"), bench.pi("planner")
    bench.pi("planner")
    message = {"id": "late", "timestamp": 1, "content": {"text": "from the grave"}}
    old.post(type="send", to="scout", message=message)
    old.close()
    assert scout.texts() == []
    assert scout.names() == ["scout", "planner"]


def test_what_the_old_endpoint_had_not_confirmed_comes_again(bench: Bench) -> None:
    """A takeover redelivers under the same ids, in order."""
    planner, old = bench.pi("planner"), bench.pi("worker")
    ids = [planner.send("worker", text)["messageId"] for text in ("one", "two", "three")]
    old.confirm(ids[1])
    assert bench.pi("worker").texts() == ["one", "three"]


def test_a_reserved_id_needs_its_token(bench: Bench) -> None:
    """Neither a v1 session nor one of ours with a wrong token takes a peer over."""
    worker = bench.peer("worker-1")
    for mux in (None, {"token": "wrong"}, {"token": ""}, {"team": BLUE}):
        wire = bench.register("blue-worker-1", "worker-1", mux)
        assert wire.is_closed
        assert "reserved" in wire.one("error")["error"]
    assert not worker.is_closed
    bench.peer("worker-1")
    assert worker.is_closed


def test_a_reserved_id_stays_reserved_while_its_peer_is_away(bench: Bench) -> None:
    """A team member's mail never goes to a stranger, not after a crash either."""
    bench.peer("worker-1").close()
    assert bench.register("blue-worker-1", "worker-1").is_closed
    bench.crash()
    assert bench.register("blue-worker-1", "worker-1").is_closed


def test_a_handle_acts_as_its_session_and_takes_nothing_over(bench: Bench) -> None:
    """A command in a pane sends as the peer; the peer's endpoint keeps its mail."""
    planner, worker = bench.pi("planner"), bench.peer("worker-1")
    handle = bench.handle("worker-1")
    handle.send("planner", "from the pane")
    (frame,) = planner.take("message")
    assert frame["from"]["id"] == "blue-worker-1"
    planner.send("blue-worker-1", "to the agent")
    assert worker.texts() == ["to the agent"]
    assert handle.frames == []
    assert not worker.is_closed


def test_a_handle_needs_the_token(bench: Bench) -> None:
    """Wrong or missing token: refused with a reason."""
    bench.peer("worker-1")
    for token in ("wrong", None):
        wire = bench.register(None, None, {"as": "blue-worker-1", "token": token})
        assert wire.is_closed
        assert "Wrong token" in wire.one("error")["error"]


def test_a_handle_of_nobody_is_refused(bench: Bench) -> None:
    """Only a shell comes into being by its first command."""
    wire = bench.register(None, None, {"as": "ghost"})
    assert "not registered" in wire.one("error")["error"]
    assert wire.is_closed


def test_a_shell_is_one_session_over_many_commands(bench: Bench) -> None:
    """Its mailbox waits between two commands of the same terminal, its name stays."""
    planner = bench.pi("planner")
    first = bench.shell()
    first.op("name", name="ops")
    first.close()
    planner.send("ops", "are you there?")
    again = bench.shell()
    assert [row["message"]["content"]["text"] for row in again.op("inbox")["messages"]] == ["are you there?"]


def test_unregister_leaves_and_the_connection_may_register_again(bench: Bench) -> None:
    """Also when it was a handle before: then it is an endpoint like any other."""
    scout, worker = bench.pi("scout"), bench.peer("worker-1")
    wire = bench.handle("worker-1")
    wire.post(type="unregister").post(type="register", sessionId="id-x", session={**SESSION, "name": "x"})
    assert wire.one("registered")["sessionId"] == "id-x"
    scout.send("x")
    assert wire.texts() == ["hello"]
    wire.close()
    assert scout.send("x")["delivery"] == "queued"
    assert not worker.is_closed


def test_leaving_is_told_to_the_others(bench: Bench) -> None:
    """By hanging up and by `unregister`."""
    watcher = bench.pi("scout")
    bench.pi("planner").close()
    bench.pi("worker").post(type="unregister")
    assert [f["sessionId"] for f in watcher.take("session_left")] == ["id-planner", "id-worker"]


def test_scopes_do_not_see_each_other(bench: Bench) -> None:
    """Roster, events, names and full ids end at the scope; blanks around a scope do not matter."""
    inside, outside = bench.pi("planner", scopeId=" lab "), bench.pi("scout")
    assert outside.names() == ["scout"]
    assert outside.send("planner")["code"] == "E_TARGET_NOT_FOUND"
    assert outside.send("id-planner")["code"] == "E_TARGET_NOT_FOUND"
    assert inside.take() == []
    bench.pi("worker", scopeId="lab").send("planner")
    assert inside.texts() == ["hello"]


def test_events_are_for_those_who_want_them(bench: Bench) -> None:
    """v1 sessions always, ours when they ask, handles never."""
    v1, quiet, curious = bench.pi("scout"), bench.peer("quiet"), bench.peer("curious", events=True)
    handle = bench.handle("quiet")
    v1.take()
    bench.pi("planner")
    assert [len(wire.take("session_joined")) for wire in (v1, quiet, curious, handle)] == [1, 0, 1, 0]


def test_presence_tells_changes_at_once_and_activity_once_a_second(bench: Bench) -> None:
    """A change is broadcast; mere activity at most once a second."""
    watcher, planner = bench.pi("scout"), bench.pi("planner")
    watcher.take()
    planner.post(type="presence", status="thinking", contextPct=40)
    shown = watcher.one("presence_update")["session"]
    assert (shown["status"], shown["contextPct"]) == ("thinking", 40)
    planner.post(type="presence", status="thinking")
    assert watcher.take() == []
    bench.wait(1000)
    planner.post(type="presence", contextPct=None)
    assert "contextPct" not in watcher.one("presence_update")["session"]


def test_presence_renames(bench: Bench) -> None:
    """The new name is the address, the old one is free."""
    scout, planner = bench.pi("scout"), bench.pi("planner")
    planner.post(type="presence", name="architect")
    assert scout.send("planner")["code"] == "E_TARGET_NOT_FOUND"
    scout.send("Architect")
    assert planner.texts() == ["hello"]


def test_a_session_info_says_only_what_the_broker_knows(bench: Bench) -> None:
    """No `null` anywhere, and trust comes from the broker."""
    scout = bench.pi("scout", session={"tmuxPane": "%3"})
    bench.peer("worker-1", role="reviewer")
    scout.post(type="list", requestId="r")
    mine, peer = scout.one("sessions")["sessions"]
    assert mine["tmuxPane"] == "%3"
    assert mine["trustedLocal"] is True
    assert mine["peerUid"] == 1000
    assert peer["mux"] == {"kind": "peer", "role": "reviewer", "team": "blue", "teamId": "team-blue"}
    assert None not in [*mine.values(), *peer.values()]


def test_no_frame_ever_shows_a_token(bench: Bench) -> None:
    """Tokens go in and never come out."""
    watcher = bench.pi("scout")
    worker = bench.peer("worker-1", events=True)
    bench.handle("worker-1").send("scout")
    watcher.names()
    bench.handle("worker-1").op("pending")
    assert "secret" not in repr([watcher.frames, worker.frames])


def test_the_number_of_sessions_is_limited_but_a_takeover_is_not() -> None:
    """Beyond the limit an error frame, then the end of that connection."""
    from intercom_mux.broker.core.model import Limits

    bench = Bench(Limits(sessions=2))
    bench.pi("planner")
    bench.pi("worker")
    third = bench.register("id-3", "scout")
    assert third.one("error")["error"] == "Too many registered intercom sessions"
    assert third.is_closed
    assert bench.pi("worker").names() == ["planner", "worker"]


def test_a_roster_is_cut_rather_than_too_large_for_a_frame(bench: Bench) -> None:
    """Hundreds of verbose sessions do not get the lister thrown out."""
    first = bench.pi("first")
    for number in range(80):
        bench.register(f"id-{number}", "\x01" * 2000, session={"cwd": "\x01" * 2000, "model": "\x01" * 2000})
        first.take()
    assert 40 < len(first.names()) < 80
    assert not first.is_closed


def test_sessions_survive_a_crash_with_what_they_are(bench: Bench) -> None:
    """Name, team, role, kind and reservation come back from the journal."""
    bench.peer("worker-1", role="reviewer")
    bench.shell(name="ops")
    bench.crash()
    planner = bench.peer("planner")
    assert planner.send("worker-1")["delivery"] == "queued"
    assert planner.send("ops")["delivery"] == "queued"
    handle = bench.handle("worker-1")
    assert handle.names() == ["worker-1", "planner"]


def test_two_live_processes_do_not_fight_for_an_id_for_ever(bench: Bench) -> None:
    """After three takeovers within ten seconds the newcomer is refused, by name of the holder, and goes on so."""
    holder = bench.pi("planner", "id-1", session={"pid": 1})
    for pid in (2, 1, 2):
        bench.wait(1000)
        rival = bench.pi("planner", "id-1", session={"pid": pid})
        assert holder.is_closed
        holder = rival
    for pause in (1000, 5000, 30_000, 30_000, 30_000):
        bench.wait(pause)
        refused = bench.register("id-1", "planner", session={"pid": 1})
        assert "in use by process 2" in refused.frames[0]["error"]
        assert refused.is_closed
    assert not holder.is_closed
    holder.close()
    assert not bench.pi("planner", "id-1", session={"pid": 1}).is_closed


def test_a_process_may_replace_its_own_connection_as_often_as_it_likes(bench: Bench) -> None:
    """Nor is anybody refused whose rival has hung up."""
    for _ in range(10):
        wire = bench.pi("planner", "id-1")
    for pid in range(2, 12):
        wire.close()
        wire = bench.pi("planner", "id-1", session={"pid": pid})
    assert not wire.is_closed
