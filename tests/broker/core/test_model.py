"""The core against a small model: whatever happens in whatever order, no promise is broken.

Three sessions of ours talk, read, confirm, hang up and come back; the broker is killed between any two steps and starts
again from its journal.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.broker.core.bench import HOUR, Bench, Wire

NAMES = ("planner", "worker", "scout")
name = st.sampled_from(NAMES)


class Promises(RuleBasedStateMachine):
    """The model: what was accepted for whom in which order, what each has confirmed, and what each has read."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.wires: dict[str, Wire] = {}
        self.accepted: dict[str, list[str]] = defaultdict(list)
        self.sender: dict[str, str] = {}
        self.gone: set[str] = set()
        self.confirmed: set[str] = set()
        self.unread: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.open_asks: dict[str, tuple[str, str]] = {}
        self.sent: dict[str, tuple[str, str, int, dict[str, Any]]] = {}

    @initialize()
    def everybody_registers(self) -> None:
        for who in NAMES:
            self.come(who)

    def come(self, who: str) -> None:
        self.wires[who] = self.bench.peer(who)
        self.unread[who].clear()
        self.read(who)
        seen = [message["id"] for message in self.unread[who]]
        assert seen == self.held(who), "a return brings exactly what is not confirmed, in order"

    def held(self, who: str) -> list[str]:
        return [i for i in self.accepted[who] if i not in self.confirmed and i not in self.gone]

    def is_here(self, who: str) -> bool:
        return not self.wires[who].is_closed

    def read(self, who: str) -> None:
        for message in self.wires[who].messages():
            if message["id"].startswith("notice-") and message["id"] not in self.accepted[who]:
                self.accepted[who].append(message["id"])
            assert message["id"] not in self.confirmed, "delivered again after it was confirmed"
            assert message["id"] not in self.gone, "delivered after it was taken back"
            self.unread[who].append(message)

    def deliver(self, who: str, to: str, **keys: Any) -> dict[str, Any]:
        answer = self.wires[who].send(to, **keys)
        if answer["type"] == "delivered" and answer["messageId"] not in self.sender:
            self.accepted[to].append(answer["messageId"])
            self.sender[answer["messageId"]] = who
            self.sent[answer["messageId"]] = (who, to, self.bench.now, keys)
        for other in NAMES:
            if self.is_here(other):
                self.read(other)
        return answer

    @rule(who=name, to=name)
    def sends(self, who: str, to: str) -> None:
        if self.is_here(who) and who != to:
            assert self.deliver(who, to)["type"] == "delivered"

    @rule(who=name, to=name, minutes=st.integers(1, 90))
    def asks(self, who: str, to: str, minutes: int) -> None:
        if not self.is_here(who) or who == to:
            return
        answer = self.deliver(who, to, expectsReply=True, deadline=self.bench.now + minutes * 60_000)
        if self.would_close_a_cycle(who, to):
            assert answer["code"] == "E_MUTUAL_ASK"
        else:
            assert answer["type"] == "delivered"
            self.open_asks[answer["messageId"]] = (who, to)

    def would_close_a_cycle(self, asker: str, asked: str) -> bool:
        reached, frontier = set(), {asked}
        while frontier:
            reached |= frontier
            frontier = {b for a, b in self.open_asks.values() if a in frontier} - reached
        return asker in reached

    @precondition(lambda self: self.open_asks)
    @rule(data=st.data())
    def replies(self, data: st.DataObject) -> None:
        ask_id = data.draw(st.sampled_from(sorted(self.open_asks)))
        asker, asked = self.open_asks[ask_id]
        if self.is_here(asked):
            assert self.deliver(asked, asker, replyTo=ask_id)["type"] == "delivered"
            del self.open_asks[ask_id]
            self.confirmed.add(ask_id)

    @precondition(lambda self: self.open_asks)
    @rule(data=st.data())
    def withdraws_an_ask(self, data: st.DataObject) -> None:
        ask_id = data.draw(st.sampled_from(sorted(self.open_asks)))
        asker, _ = self.open_asks[ask_id]
        if self.is_here(asker):
            self.wires[asker].post(type="cancel_ask", messageId=ask_id)
            del self.open_asks[ask_id]
            self.gone.add(ask_id)

    @rule(who=name, data=st.data())
    def confirms(self, who: str, data: st.DataObject) -> None:
        if self.is_here(who) and self.unread[who]:
            message = data.draw(st.sampled_from(self.unread[who]), label="message")
            self.wires[who].confirm(message["id"], data.draw(st.sampled_from(["acknowledged", "injected"])))
            self.unread[who].remove(message)
            self.confirmed.add(message["id"])

    @rule(who=name)
    def hangs_up(self, who: str) -> None:
        if self.is_here(who):
            self.wires[who].close()

    @rule(who=name)
    def comes_back_or_takes_over(self, who: str) -> None:
        for message in self.unread[who]:
            if self.is_here(who):
                self.wires[who].confirm(message["id"], "receiver_received")
        self.come(who)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def sends_the_same_again(self, data: st.DataObject) -> None:
        message_id = data.draw(st.sampled_from(sorted(self.sent)))
        who, to, sent_at, keys = self.sent[message_id]
        if self.is_here(who) and self.bench.now - sent_at < HOUR:
            keys = {k: v for k, v in keys.items() if k != "deadline"}
            answer = self.deliver(who, to, id=message_id, **keys)
            assert answer["type"] == "delivered" or message_id in self.gone
            assert self.accepted[to].count(message_id) == 1

    @rule()
    def broker_is_killed(self) -> None:
        self.bench.crash()

    @rule(minutes=st.integers(0, 40))
    def time_passes(self, minutes: int) -> None:
        self.bench.wait(minutes * 60_000)
        alive = {key[1] for key in self.bench.core.state.asks}
        for ask_id in set(self.open_asks) - alive:
            del self.open_asks[ask_id]
            if ask_id not in self.confirmed:
                self.gone.add(ask_id)
        for who in NAMES:
            self.unread[who] = [m for m in self.unread[who] if m["id"] not in self.gone]
            notices = [i for i in self.bench.mailbox(f"blue-{who}") if i.startswith("notice-")]
            self.accepted[who] += [i for i in notices if i not in self.accepted[who] and not self.is_here(who)]
            if self.is_here(who):
                self.read(who)

    @invariant()
    def nothing_is_lost_and_order_is_kept(self) -> None:
        for who in NAMES if self.wires else ():
            held = [i for i in self.bench.mailbox(f"blue-{who}") if not i.startswith("notice-")]
            assert held == [i for i in self.held(who) if not i.startswith("notice-")]

    @invariant()
    def the_broker_waits_for_exactly_the_open_asks(self) -> None:
        assert {key[1] for key in self.bench.core.state.asks} == set(self.open_asks)

    def teardown(self) -> None:
        """Whatever happened: every ask ends, and whoever comes back gets all that it has not confirmed."""
        if self.wires:
            self.bench.wait(HOUR * 2)
            assert self.bench.core.state.asks == {}


Promises.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TestPromises = Promises.TestCase
