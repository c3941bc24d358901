"""Back-pressure: clients of ours wait for room in a full mailbox, in order, for a bounded time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from intercom_mux.broker.core.backpressure import READ_AHEAD_BYTES
from intercom_mux.broker.core.model import MAILBOX_WAIT_MAX, Limits
from intercom_mux.client import link
from tests.broker.core.bench import Bench, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable

WAIT = Limits().mailbox_wait


def small(**limits: int) -> Bench:
    """Return a broker whose mailboxes take two messages."""
    return Bench(Limits(**{"mailbox_messages": 2, **limits}))


def push(wire: Wire, to: str, message_id: str, text: str = "x", **keys: Any) -> None:
    """Send without waiting for an answer."""
    message = {"id": message_id, "timestamp": 1, "content": {"text": text}, **keys}
    wire.post(type="send", to=to, message=message)


def answers(wire: Wire) -> list[tuple[str, str]]:
    """Return and forget the answers that came, as message id and `delivered` or the code."""
    return [(f["messageId"], f.get("code") or f["type"]) for f in wire.take("delivered", "delivery_failed")]


def delivered(ids: Iterable[str]) -> list[tuple[str, str]]:
    return [(message_id, "delivered") for message_id in ids]


def test_what_finds_a_full_mailbox_waits_until_there_is_room() -> None:
    """It is neither journaled nor answered before; then both, and the receiver gets it behind the others."""
    bench = small()
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    for message_id in "abc":
        push(planner, "worker-1", message_id)
    assert answers(planner) == delivered("ab")
    assert bench.mailbox("blue-worker-1") == ["a", "b"]
    assert not [row for row in bench.committed if row[0] == "message" and row[2] == "c"]
    worker.confirm("a")
    assert answers(planner) == delivered("c")
    assert [message["id"] for message in worker.messages()] == ["a", "b", "c"]


def test_it_is_refused_when_its_time_is_over() -> None:
    """With the code and reason that a v1 client gets at once; what it sends next has a time of its own."""
    bench = small()
    planner, stranger = bench.peer("planner"), bench.pi("stranger")
    bench.peer("worker-1").close()
    for message_id in "abc":
        push(planner, "worker-1", message_id)
    bench.wait(WAIT - 1)
    push(planner, "worker-1", "d")
    assert answers(planner) == delivered("ab")
    bench.wait(1)
    (refused,) = planner.take("delivery_failed")
    assert (refused["messageId"], refused["code"], refused["retryable"]) == ("c", "E_MAILBOX_FULL", False)
    assert stranger.send("blue-worker-1")["reason"] == refused["reason"]
    bench.wait(WAIT - 2)
    assert answers(planner) == []
    bench.wait(1)
    assert answers(planner) == [("d", "E_MAILBOX_FULL")]
    assert bench.mailbox("blue-worker-1") == ["a", "b"]


def test_our_clients_wait_longer_for_an_answer_than_any_message_is_held() -> None:
    """However the broker is configured; the fast path waits as long."""
    from intercom_mux._fastpath import line

    assert link.ANSWER_TIMEOUT_S == line.ANSWER_TIMEOUT_S
    assert link.ANSWER_TIMEOUT_S * 1000 > MAILBOX_WAIT_MAX >= WAIT


def test_room_comes_in_every_way_a_mailbox_shrinks() -> None:
    """A receipt, a read by `inbox`, a withdrawal, an expiry; a receiver that is retired is told of."""
    bench = small(message_ttl=3_000)
    planner, scout, worker = bench.peer("planner"), bench.peer("scout"), bench.peer("worker-1")
    for message_id in "ab":
        push(scout, "worker-1", message_id)
    push(planner, "worker-1", "c")
    worker.confirm("a", "injected")
    assert answers(planner) == delivered("c")
    push(planner, "worker-1", "d")
    scout.post(type="cancel_message", messageId="b")
    assert answers(planner) == delivered("d")
    push(planner, "worker-1", "e")
    bench.handle("worker-1").op("inbox", id="c")
    assert answers(planner) == delivered("e")
    push(planner, "worker-1", "f")
    bench.wait(3_000)
    assert answers(planner) == delivered("f")
    push(planner, "worker-1", "g")
    push(planner, "worker-1", "h")
    scout.op("retire", sessions=[{"id": "blue-worker-1", "token": "secret"}], team="team-blue")
    assert answers(planner) == [("g", "delivered"), ("h", "E_TARGET_NOT_FOUND")]


def test_what_is_sent_after_it_waits_behind_it() -> None:
    """Also to others, and replies and withdrawals too: a connection's messages are accepted in their order."""
    bench = small()
    planner, scout, worker = bench.peer("planner"), bench.peer("scout"), bench.peer("worker-1")
    question = scout.ask("planner", "how?")["messageId"]
    for message_id in "abc":
        push(planner, "worker-1", message_id)
    push(planner, "scout", "d")
    reply = {"id": "r", "timestamp": 1, "content": {"text": "so"}}
    planner.post(type="mux", requestId="1", op="reply", to=question, message=reply)
    planner.post(type="cancel_message", messageId="c")
    assert answers(planner) == delivered("ab")
    assert scout.messages() == planner.take("mux_result") == []
    worker.confirm("a")
    assert answers(planner) == delivered("cdc")
    assert planner.one("mux_result")["ok"] is True
    assert [message["id"] for message in scout.messages()] == ["d", "r"]
    assert bench.mailbox("blue-worker-1") == ["b"]


def test_a_reply_waits_for_room_too() -> None:
    """To a ticket; it stays open meanwhile, and is answered as if nothing had been."""
    bench = small()
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    question = planner.ask("worker-1")["messageId"]
    for message_id in "ab":
        push(worker, "planner", message_id)
    reply = {"id": "r", "timestamp": 1, "content": {"text": "so"}}
    worker.post(type="mux", requestId="1", op="reply", to="", message=reply)
    assert worker.take("mux_result") == []
    planner.confirm("a")
    assert worker.one("mux_result")["value"]["askId"] == question
    assert bench.core.state.asks == {}


def test_a_reply_that_somebody_blocks_on_gets_through() -> None:
    """Who waits for it reads no mail meanwhile; it comes before what waits for room."""
    bench = small()
    worker, scout, _ = bench.peer("worker-1"), bench.peer("scout"), bench.peer("planner")
    asking = bench.handle("planner")
    asking.ask("worker-1", blocking=True)
    for message_id in "abc":
        push(scout, "planner", message_id)
    assert answers(scout) == delivered("ab")
    worker.reply("so")
    assert [message["content"]["text"] for message in asking.messages()] == ["so"]
    assert bench.core.state.asks == {}
    bench.wait(WAIT)
    assert answers(scout) == [("c", "E_MAILBOX_FULL")]
    pi = bench.pi("pi-1")
    question = pi.ask("worker-1")["messageId"]
    for message_id in "de":
        push(scout, "pi-1", message_id)
    worker.reply("also so", to=question)
    assert pi.texts()[-1] == "also so"


def test_receipts_and_questions_of_a_held_client_go_on() -> None:
    """So two that write into each other's full mailbox make room for each other."""
    bench = small()
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    for message_id in "abc":
        push(planner, "worker-1", f"p{message_id}")
        push(worker, "planner", f"w{message_id}")
    assert answers(planner) == delivered(["pa", "pb"])
    assert planner.names() == ["planner", "worker-1"]
    assert planner.confirm_all() == ["x", "x"]
    assert answers(worker) == delivered(["wa", "wb", "wc"])
    assert worker.confirm_all() == ["x", "x"]
    assert answers(planner) == delivered(["pc"])


def test_two_that_wait_for_each_other_are_released_by_time() -> None:
    """Without a receipt from either both hear the refusal."""
    bench = small()
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    for message_id in "abc":
        push(planner, "worker-1", f"p{message_id}")
        push(worker, "planner", f"w{message_id}")
    bench.wait(WAIT)
    assert answers(planner)[-1] == ("pc", "E_MAILBOX_FULL")
    assert answers(worker)[-1] == ("wc", "E_MAILBOX_FULL")


def test_several_held_senders_take_turns() -> None:
    """In order of arrival and one message each, however much one of them has sent; newcomers stand behind them."""
    bench = small()
    worker = bench.peer("worker-1")
    first, second, third = bench.peer("lead"), bench.peer("planner"), bench.peer("scout")
    for message_id in ["a1", "a2", "a3", "a4", "a5"]:
        push(first, "worker-1", message_id)
    push(second, "worker-1", "b1")
    push(second, "worker-1", "b2")
    push(third, "worker-1", "c1")
    served = []
    while waiting := bench.mailbox("blue-worker-1"):
        worker.confirm(waiting[0])
        served.append(waiting[0])
    assert served == ["a1", "a2", "a3", "b1", "c1", "a4", "b2", "a5"]


def test_v1_clients_are_not_held() -> None:
    """They get their answer at once, and do not overtake who waits."""
    bench = small()
    planner, stranger, worker = bench.peer("planner"), bench.pi("stranger"), bench.peer("worker-1")
    for message_id in "abc":
        push(planner, "worker-1", message_id)
    assert stranger.send("blue-worker-1")["code"] == "E_MAILBOX_FULL"
    worker.confirm("a")
    assert stranger.send("blue-worker-1")["code"] == "E_MAILBOX_FULL"
    assert bench.mailbox("blue-worker-1") == ["b", "c"]


def test_who_hangs_up_takes_what_is_held_along() -> None:
    """Nobody promised anything; who waits behind moves up."""
    bench = small()
    planner, scout, worker = bench.peer("planner"), bench.peer("scout"), bench.peer("worker-1")
    for message_id in "abc":
        push(planner, "worker-1", message_id)
    push(scout, "worker-1", "s")
    planner.close()
    worker.confirm("a")
    assert answers(scout) == delivered("s")
    assert bench.mailbox("blue-worker-1") == ["b", "s"]


def test_the_same_message_again_is_accepted_once() -> None:
    """A client that lost its connection while it was held sends again; a killed broker makes no difference."""
    bench = small()
    planner = bench.peer("planner")
    bench.peer("worker-1").close()
    for message_id in "abc":
        push(planner, "worker-1", message_id)
    again = bench.handle("planner")
    push(again, "worker-1", "c")
    worker = bench.peer("worker-1")
    assert worker.confirm_all() == ["x", "x"]
    assert answers(planner) == delivered("abc")
    assert answers(again) == delivered("c")
    assert worker.confirm_all() == ["x"]
    for message_id in "def":
        push(planner, "worker-1", message_id)
    bench.crash()
    worker = bench.peer("worker-1")
    assert [message["id"] for message in worker.messages()] == ["d", "e"]


def test_a_client_that_goes_on_sending_is_not_read_from() -> None:
    """Once enough waits behind what is held; until less does. A large message alone pauses nothing."""
    bench = small()
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    push(planner, "worker-1", "a")
    push(planner, "worker-1", "b")
    push(planner, "worker-1", "c", "x" * 2 * READ_AHEAD_BYTES)
    push(planner, "worker-1", "d", "x" * (READ_AHEAD_BYTES - 200))
    assert bench.paused == set()
    push(planner, "worker-1", "e")
    push(planner, "worker-1", "f")
    assert bench.paused == {planner.number}
    worker.confirm("a")
    assert bench.paused == set()
    planner.close()
    assert all(not session.waiting_senders for session in bench.core.state.sessions.values())


class Pressure(RuleBasedStateMachine):
    """Three senders, two of them to two receivers whose mailboxes take three messages."""

    SENDERS = ("a", "b", "c")
    RECEIVERS = ("x", "y")

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(Limits(mailbox_messages=3))
        self.senders: dict[str, Wire] = {}
        self.receivers: dict[str, Wire] = {}
        self.open: dict[str, list[str]] = {}
        self.lost: set[str] = set()
        self.accepted: set[str] = set()
        self.refused: set[str] = set()
        self.order: dict[tuple[str, str], list[str]] = {}
        self.number = 0

    @initialize()
    def everybody_registers(self) -> None:
        for name in self.RECEIVERS:
            self.receivers[name] = self.bench.peer(name)
        for name in self.SENDERS:
            self.senders[name] = self.bench.peer(name)
            self.open[name] = []

    @rule(who=st.sampled_from(SENDERS), to=st.sampled_from(RECEIVERS), count=st.integers(1, 4))
    def sends(self, who: str, to: str, count: int) -> None:
        for _ in range(count):
            self.number += 1
            message_id = f"{who}{to}{self.number:05d}"
            self.open[who].append(message_id)
            push(self.senders[who], to, message_id)

    @rule(who=st.sampled_from(RECEIVERS), index=st.integers(0, 2))
    def confirms(self, who: str, index: int) -> None:
        waiting = self.bench.mailbox(f"blue-{who}")
        if waiting:
            self.receivers[who].confirm(waiting[index % len(waiting)])

    @rule(ms=st.integers(1, WAIT))
    def time_passes(self, ms: int) -> None:
        self.bench.wait(ms)

    @rule(who=st.sampled_from(SENDERS))
    def comes_again(self, who: str) -> None:
        self.hear()
        self.senders[who].close()
        self.lost.update(self.open[who])
        self.open[who].clear()
        self.senders[who] = self.bench.peer(who)

    @invariant()
    def every_send_is_answered_once_and_in_order(self) -> None:
        self.hear()

    def hear(self) -> None:
        for who, wire in self.senders.items():
            for frame in wire.take("delivered", "delivery_failed"):
                assert frame["messageId"] == self.open[who].pop(0)
                (self.accepted if frame["type"] == "delivered" else self.refused).add(frame["messageId"])

    @invariant()
    def what_arrives_was_promised_and_keeps_its_order(self) -> None:
        for name, wire in self.receivers.items():
            for message in wire.messages():
                assert message["id"] in self.accepted
                seen = self.order.setdefault((message["id"][0], name), [])
                assert not seen or seen[-1] < message["id"]
                seen.append(message["id"])

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        for name in self.RECEIVERS if self.receivers else ():
            held = [wire for wire in self.senders.values() if not wire.is_closed]
            links = [self.bench.core.state.connections[wire.number] for wire in held]
            waiting = [link for link in links if link.waits_for and link.waits_for.name == name]
            assert not waiting or len(self.bench.mailbox(f"blue-{name}")) == 3
            assert all(link.waits_for for link in links if link.held)

    def teardown(self) -> None:
        """In the end everything is answered, what was promised has arrived, and nobody is held."""
        self.bench.wait(WAIT)
        self.hear()
        assert not any(self.open.values())
        self.what_arrives_was_promised_and_keeps_its_order()
        assert {message_id for seen in self.order.values() for message_id in seen} == self.accepted
        assert not self.refused & self.accepted
        assert self.bench.paused == set()


Pressure.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TestPressure = Pressure.TestCase
