"""Peers whose agent brings a client of its own: keeper and client of one session."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.broker.core.bench import BLUE, GREEN, Bench, Wire

ID = "blue-pi"


def keeper(bench: Bench, *keeps: str, token: str = "secret") -> Wire:
    """Register a native peer as the team's daemon does."""
    mux = {"version": 1, "team": BLUE, "role": "worker", "token": token, "native": True, "keeps": list(keeps)}
    return bench.register(ID, "pi", mux, session={"pid": 1, "status": "starting"})


def client(bench: Bench, pid: int = 2, **more: Any) -> Wire:
    """Join as the agent's own client does, under a name of its own."""
    return bench.register(ID, "whatever", session={"pid": pid, "status": "idle"}, **more)


def events(wire: Wire) -> list[str]:
    return [frame["event"] for frame in wire.take("mux_event")]


def statuses(bench: Bench) -> dict[str, str]:
    looker = bench.pi("looker")
    looker.post(type="list", requestId="r")
    rows = looker.one("sessions")["sessions"]
    looker.close()
    return {row["name"]: row.get("status", "") for row in rows}


def test_a_keeper_holds_mail_and_the_client_gets_it(bench: Bench) -> None:
    """Before it joins messages wait, then they come, oldest first, and so do later ones."""
    daemon, scout = keeper(bench), bench.peer("scout")
    assert events(daemon) == ["native_left"]
    assert scout.send("pi", "one")["delivery"] == "queued"
    scout.send("pi", "two")
    pi = client(bench)
    assert pi.confirm_all() == ["one", "two"]
    assert events(daemon) == ["native_joined"]
    assert scout.send("pi", "three")["delivery"] == "socket_delivered"
    assert pi.texts() == ["three"]
    assert daemon.texts() == []


def test_the_peer_keeps_its_name_and_takes_the_clients_status(bench: Bench) -> None:
    """Outside `team/peer`, inside bare; the client's own name is not heard, its presence is, by the keeper too."""
    daemon, scout = keeper(bench), bench.peer("scout")
    pi = client(bench)
    daemon.take()
    assert statuses(bench)["blue/pi"] == "idle"
    pi.post(type="presence", name="other", status="thinking", runtimeFallbackAlias=True)
    assert statuses(bench)["blue/pi"] == "thinking"
    assert [frame["status"] for frame in daemon.take("mux_event")] == ["thinking"]
    daemon.post(type="presence", status="idle")
    assert statuses(bench)["blue/pi"] == "thinking"
    assert set(scout.names()) == {"pi", "scout"} == set(pi.names())


def test_when_the_client_leaves_the_keeper_has_the_session_again(bench: Bench) -> None:
    """The peer stays in the roster with the daemon's status; the unconfirmed comes first on the client's return."""
    daemon, scout = keeper(bench), bench.peer("scout")
    pi = client(bench)
    scout.send("pi", "one")
    daemon.post(type="presence", status="unknown")
    pi.close()
    assert events(daemon)[-1] == "native_left"
    assert statuses(bench)["blue/pi"] == "unknown"
    scout.send("pi", "two")
    assert client(bench, pid=3).texts() == ["one", "two"]


def test_a_keeper_that_asks_for_the_messages_gets_them(bench: Bench) -> None:
    """And gives them back, but for those it has begun with, before the client is given any."""
    daemon, scout = keeper(bench), bench.peer("scout")
    for name in ("one", "two", "three"):
        scout.send("pi", name, id=name)
    assert daemon.op("courier", on=True) == {"courier": True}
    assert daemon.texts() == ["one", "two", "three"]
    pi = client(bench)
    scout.send("pi", "four", id="four")
    assert pi.texts() == []
    assert daemon.op("courier", on=False, keep=["one"]) == {"courier": False}
    assert pi.confirm_all() == ["two", "three", "four"]
    daemon.confirm("one", "injected")
    assert bench.mailbox(ID) == []


def test_what_the_keeper_gives_up_later_goes_to_the_client(bench: Bench) -> None:
    """A message that could not be typed after all is not lost."""
    daemon, scout = keeper(bench), bench.peer("scout")
    daemon.op("courier", on=True)
    scout.send("pi", "one", id="one")
    pi = client(bench)
    daemon.op("courier", on=False, keep=["one"])
    assert pi.texts() == []
    daemon.op("courier", on=False)
    assert pi.texts() == ["one"]


def test_a_keeper_that_goes_yields_everything(bench: Bench) -> None:
    """With its connection; and one that comes back displaces no client."""
    daemon, scout = keeper(bench), bench.peer("scout")
    daemon.op("courier", on=True)
    scout.send("pi", "one")
    pi = client(bench)
    daemon.close()
    assert pi.confirm_all() == ["one"]
    again = keeper(bench)
    assert not pi.is_closed
    assert events(again) == ["native_joined"]
    again.close()
    pi.close()
    scout.send("pi", "two")
    assert client(bench).texts() == ["two"]


def test_after_a_crash_a_keeper_names_what_it_was_sending(bench: Bench) -> None:
    """That comes to it, and only the rest to the client; the door opens with the keeper."""
    daemon, scout = keeper(bench), bench.peer("scout")
    daemon.op("courier", on=True)
    scout.send("pi", "one", id="one")
    scout.send("pi", "two", id="two")
    bench.crash()
    assert client(bench).take()[0]["type"] == "error"
    daemon = keeper(bench, "one")
    assert daemon.texts() == ["one"]
    pi = client(bench)
    daemon.op("courier", on=False, keep=["one"])
    assert pi.texts() == ["two"]


def test_commands_of_the_pane_act_as_the_peer_beside_the_client(bench: Bench) -> None:
    """Their blocking ask gets its reply, mail goes to the client; neither takes the session over."""
    keeper(bench)
    scout, pi, handle = bench.peer("scout"), client(bench), bench.handle("pi")
    assert handle.ask("scout", "how?", blocking=True, id="q")["type"] == "delivered"
    scout.send("pi", "by the way")
    scout.send("pi", "so", replyTo="q")
    assert handle.texts() == ["so"]
    assert pi.texts() == ["by the way"]
    assert not pi.is_closed


def test_asks_both_ways_and_not_in_a_circle(bench: Bench) -> None:
    """The client is asked and answers, asks and is answered; two that wait for each other are refused."""
    keeper(bench)
    scout, pi = bench.peer("scout"), client(bench)
    scout.ask("pi", "well?", blocking=True, id="q1")
    assert pi.ask("scout", "and you?", id="q2")["code"] == "E_MUTUAL_ASK"
    pi.send("blue-scout", "fine", replyTo="q1")
    assert scout.texts() == ["fine"]
    assert pi.ask("scout", "and you?", id="q3")["type"] == "delivered"
    scout.reply("too")
    assert "too" in pi.texts()


def test_a_clients_ask_to_a_peer_that_exits_ends(bench: Bench) -> None:
    """In the only way it knows: a reply."""
    keeper(bench)
    scout, pi = bench.peer("scout"), client(bench)
    pi.ask("scout", id="q")
    scout.post(type="presence", status="exited:1")
    (ended,) = pi.messages()
    assert (ended["replyTo"], ended["muxEnded"]) == ("q", "E_ASK_ENDED")


def test_an_exact_send_means_one_joining_of_the_client(bench: Bench) -> None:
    """When it comes and when it goes the endpoint is another one."""
    keeper(bench)
    scout = bench.peer("scout")
    state = bench.core.state

    def epoch() -> str:
        return next(session.epoch for session in state.sessions.values() if session.key.id == ID)

    kept = epoch()
    pi = client(bench)
    joined = epoch()
    pi.close()
    assert len({kept, joined, epoch()}) == 3
    refused = scout.send("pi", frame={"targetId": ID, "targetEpoch": joined})
    assert refused["code"] == "E_TARGET_REBOUND"


def test_a_child_of_the_agent_that_inherits_the_id_is_refused(bench: Bench) -> None:
    """While the client is there; the client's own process may come back on a new connection."""
    keeper(bench)
    pi = client(bench, pid=2)
    child = client(bench, pid=3)
    assert child.frames[0]["type"] == "error"
    assert not pi.is_closed
    assert client(bench, pid=2).frames[0]["type"] == "registered"
    assert pi.is_closed


def test_mail_of_a_namesake_stays_with_the_namesake(bench: Bench) -> None:
    """A team's peer has no mailbox identity, not under its own client either."""
    scout = bench.pi("scout")
    bench.pi("whatever").close()
    scout.send("whatever", "not for you")
    keeper(bench)
    assert client(bench).texts() == []


def test_a_retired_peer_is_gone_for_its_client_too(bench: Bench) -> None:
    """Both connections end, and the id is nobody's."""
    daemon, scout, pi = keeper(bench), bench.peer("scout"), client(bench)
    scout.op("retire", sessions=[{"id": ID, "token": "secret"}])
    assert daemon.is_closed
    assert pi.is_closed
    assert "pi" not in scout.names()


def test_a_peer_that_is_native_no_longer_gets_its_messages_itself(bench: Bench) -> None:
    """A plain registration with the token displaces keeper and client, and shuts the door."""
    daemon, pi = keeper(bench), client(bench)
    plain = bench.peer("pi")
    assert daemon.is_closed
    assert pi.is_closed
    bench.peer("scout").send("pi", "hello")
    assert plain.texts() == ["hello"]
    assert client(bench).frames[0]["type"] == "error"


WRONG = st.one_of(st.none(), st.text(max_size=8), st.integers(), st.booleans()).filter(lambda token: token != "secret")
MUX = st.fixed_dictionaries(
    {"version": st.just(1)},
    optional={
        "token": WRONG,
        "team": st.sampled_from([BLUE, GREEN]),
        "native": st.booleans(),
        "role": st.just("worker"),
        "events": st.booleans(),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    is_native=st.booleans(),
    is_joined=st.booleans(),
    mux=st.one_of(st.none(), MUX, MUX.map(lambda mux: {**mux, "as": ID})),
    scope=st.sampled_from(["", "elsewhere"]),
    other=st.sampled_from([ID, "blue-other"]),
)
def test_nobody_without_the_token_but_the_one_v1_id_takes_over(
    is_native: bool, is_joined: bool, mux: dict[str, Any] | None, scope: str, other: str
) -> None:
    """Whatever a registration says, the peers' mail goes to nobody else."""
    bench = Bench()
    _ = keeper(bench) if is_native else bench.peer("pi")
    bench.peer("other")
    pi = client(bench) if is_native and is_joined else None
    more: dict[str, Any] = {"scopeId": scope} if scope else {}
    wire = bench.register(other, "x", mux, session={"pid": 99}, **more)
    scout = bench.peer("scout")
    scout.send(ID, "secret mail")
    scout.send("blue-other", "secret mail")
    may_have = is_native and not is_joined and mux is None and other == ID and not scope
    assert bool(wire.texts()) is may_have
    assert pi is None or not pi.is_closed
