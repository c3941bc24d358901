"""When the daemon types for an agent that has a client of its own, and what it gives back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from intercom_mux.team.mailbag import Mailbag
from intercom_mux.team.native import GRACE_S, NativeClient
from intercom_mux.team.routes.base import Outcome, Parcel, Route
from intercom_mux.team.typing_log import TypingLog

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]


class Bag:
    """A native client over a real mailbag, and what it told the broker."""

    def __init__(self, home: Path) -> None:
        self.log = TypingLog(home / "typing")
        self.mail = Mailbag("me", self.log, lambda *_: None, lambda _: None)
        self.told: list[Json] = []
        self.native = NativeClient(self.mail, self.told.append)

    def close(self) -> None:
        self.log.close()


def test_after_the_grace_it_asks_for_the_messages_once(home: Path) -> None:
    """Counted from when the agent is ready, and from the start again when its client had been there."""
    bag = Bag(home)
    bag.native.observe(is_ready=False, now=0)
    bag.native.observe(is_ready=True, now=100)
    bag.native.observe(is_ready=True, now=100 + GRACE_S - 0.1)
    assert bag.told == []
    bag.native.joined()
    bag.native.left()
    bag.told.clear()
    bag.native.observe(is_ready=True, now=200)
    bag.native.observe(is_ready=True, now=200 + GRACE_S)
    bag.native.observe(is_ready=True, now=300)
    assert bag.told == [{"on": True}]
    assert bag.native.may_type
    bag.close()


def test_an_agent_that_has_ended_is_not_typed_into(home: Path) -> None:
    """Its mail waits at the broker."""
    bag = Bag(home)
    for now in range(20):
        bag.native.observe(is_ready=False, now=now)
    assert not bag.native.may_type
    bag.close()


def test_what_has_begun_stays_and_the_rest_is_given_back(home: Path) -> None:
    """Until it has not begun after all; then the broker hears that too."""
    bag = Bag(home)
    bag.log.note(("me", "one"), "typing")
    for name in ("one", "two"):
        bag.mail.put(Parcel(name, "demo", "message", name))
    bag.native.joined()
    assert bag.told == [{"on": False, "keep": ["one"]}]
    assert "one" in bag.mail
    assert "two" not in bag.mail
    bag.native.observe(is_ready=True, now=1)
    assert len(bag.told) == 1
    bag.log.note(("me", "one"), "untyped")
    bag.native.observe(is_ready=True, now=2)
    assert bag.told[1:] == [{"on": False, "keep": []}]
    assert not bag.mail
    bag.close()


def test_a_message_in_a_routes_hands_is_not_given_back(home: Path) -> None:
    """It may be typed at any moment; once the route has let it go it is."""
    bag = Bag(home)
    let_go = asyncio.Event()
    taken = asyncio.Event()

    class Slow(Route):
        async def deliver(self, parcel: Parcel) -> Outcome:
            taken.set()
            await let_go.wait()
            return Outcome("held", "draft")

    async def story() -> None:
        bag.mail.use([Slow()])
        bag.mail.put(Parcel("one", "demo", "message", "one"))
        delivering = asyncio.create_task(bag.mail.deliver_for_ever())
        await taken.wait()
        bag.native.joined()
        assert bag.told[-1] == {"on": False, "keep": ["one"]}
        let_go.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        bag.native.observe(is_ready=True, now=1)
        assert bag.told[-1] == {"on": False, "keep": []}
        delivering.cancel()

    asyncio.run(story())
    bag.close()


def test_a_new_connection_starts_from_nothing_but_what_has_begun(home: Path) -> None:
    """The broker tells then who is there."""
    bag = Bag(home)
    bag.log.note(("me", "one"), "typing")
    bag.native.observe(is_ready=True, now=1)
    bag.native.observe(is_ready=True, now=1 + GRACE_S)
    assert bag.native.registering() == ["one"]
    assert not bag.native.may_type
    bag.close()
