"""The messages of one peer: what their senders are told while they wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from intercom_mux.team.mailbag import Mailbag
from intercom_mux.team.routes.base import Outcome, Parcel, Route, Taken
from intercom_mux.team.typing_log import TypingLog
from tests.support import SCALE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Blocked(Route):
    """A route whose agent waits for its human."""

    async def deliver(self, parcel: Parcel) -> Outcome:
        return Outcome("held", "blocked on permission")


def test_a_message_that_comes_again_is_said_again_to_wait_and_why(home: Path) -> None:
    """A broker that was lost has forgotten the reason; it is not offered a second time for that."""
    told: list[tuple[str, str | None]] = []
    log = TypingLog(home / "typing.log")
    bag = Mailbag("blue-worker", log, lambda _, *what: told.append(what), lambda _: None)
    parcel = Parcel("m1", "planner", "ask", "how?")

    async def story() -> None:
        delivering = asyncio.create_task(bag.deliver_for_ever())
        bag.use([Blocked()])
        bag.put(parcel)
        async with asyncio.timeout(10 * SCALE):
            while len(told) < 2:
                await asyncio.sleep(0.01)
        bag.put(parcel)
        delivering.cancel()

    asyncio.run(story())
    log.close()
    assert told == [("receiver_received", None), ("queued", "blocked on permission")] * 2
    assert len(bag) == 1


def test_what_may_not_start_a_turn_is_held_and_passed_over(home: Path) -> None:
    """With `inbound: replies` a message waits and says so, and the reply behind it goes through."""
    told: list[tuple[str, str, str | None]] = []
    log = TypingLog(home / "typing.log")
    bag = Mailbag("blue-worker", log, lambda *what: told.append(what), lambda _: None, "replies")

    class Open(Route):
        async def deliver(self, parcel: Parcel) -> Outcome:
            return Outcome("submitted")

    async def story() -> None:
        delivering = asyncio.create_task(bag.deliver_for_ever())
        bag.put(Parcel("m1", "planner", "message", "hello"))
        bag.put(Parcel("m2", "planner", "reply", "yes", reply_to="m0"))
        bag.use([Open()])
        async with asyncio.timeout(10 * SCALE):
            while len(told) < 4:
                await asyncio.sleep(0.01)
        delivering.cancel()

    asyncio.run(story())
    log.close()
    assert told[2:] == [
        ("m1", "queued", "inbound: replies; it waits for the next turn"),
        ("m2", "injected", "submitted"),
    ]


def test_each_message_behind_a_held_one_is_told_its_place_and_why(home: Path) -> None:
    """All that waits is told the reason of the first and how many go before it; what gets nearer is told so."""
    told: dict[str, str | None] = {}
    log = TypingLog(home / "typing.log")
    bag = Mailbag("blue-worker", log, lambda name, _, detail: told.update({name: detail}), lambda _: None)

    async def story() -> None:
        async def hears(expected: dict[str, str | None]) -> None:
            async with asyncio.timeout(10 * SCALE):
                while told != expected:
                    await asyncio.sleep(0.01)

        delivering = asyncio.create_task(bag.deliver_for_ever())
        bag.use([Blocked()])
        for name in ("m1", "m2", "m3"):
            bag.put(Parcel(name, "planner", "message", "hello"))
        why = "blocked on permission"
        await hears({"m1": why, "m2": f"behind 1 other: {why}", "m3": f"behind 2 others: {why}"})
        bag.withdraw("m1")
        told.clear()
        bag.offer_again()
        await hears({"m2": why, "m3": f"behind 1 other: {why}"})
        delivering.cancel()

    asyncio.run(story())
    log.close()


def test_a_long_queue_is_not_told_each_place(home: Path) -> None:
    """Far behind, a message hears that many go before it, and nothing when one of those is gone."""
    told: list[tuple[str, str | None]] = []
    log = TypingLog(home / "typing.log")
    bag = Mailbag("blue-worker", log, lambda name, _, detail: told.append((name, detail)), lambda _: None)

    async def story() -> None:
        async def hears_last(name: str) -> None:
            async with asyncio.timeout(10 * SCALE):
                while not any(one == name and detail for one, detail in told):
                    await asyncio.sleep(0.01)

        delivering = asyncio.create_task(bag.deliver_for_ever())
        for number in range(30):
            bag.put(Parcel(f"m{number}", "planner", "message", "hello"))
        bag.use([Blocked()])
        await hears_last("m29")
        assert told[-1] == ("m29", "behind more than 20 others: blocked on permission")
        told.clear()
        bag.withdraw("m0")
        bag.offer_again()
        await hears_last("m21")
        assert len(told) == 21
        delivering.cancel()

    asyncio.run(story())
    log.close()


class Looks(Route):
    """A route that looks for a while and then sends, as paste does."""

    def __init__(self, bag: Mailbag) -> None:
        self._bag = bag
        self.looking = asyncio.Event()
        self.seen = asyncio.Event()
        self.refused = asyncio.Event()
        self.sent: list[str] = []

    async def deliver(self, parcel: Parcel) -> Outcome:
        self.looking.set()
        await self.seen.wait()
        try:
            self._bag.journal(parcel.message_id)
        except Taken:
            self.refused.set()
            raise
        self.sent.append(parcel.message_id)
        return Outcome("submitted")


@pytest.fixture
def log(home: Path) -> Iterator[TypingLog]:
    log = TypingLog(home / "typing.log")
    yield log
    log.close()


@pytest.mark.parametrize("is_given", [True, False])
def test_what_a_hook_took_while_a_route_looked_is_not_sent_as_well(log: TypingLog, is_given: bool) -> None:
    """A look lasts; the agent's call in between gets the message, and only what it did not print is sent afterwards."""
    told: list[tuple[str, str, str | None]] = []

    async def story() -> None:
        bag = Mailbag("blue-worker", log, lambda *what: told.append(what), lambda _: None)
        route = Looks(bag)
        bag.use([route])
        delivering = asyncio.create_task(bag.deliver_for_ever())
        for name in ("m1", "m2"):
            bag.put(Parcel(name, "planner", "message", "hello"))
        async with asyncio.timeout(10 * SCALE):
            await route.looking.wait()
            given = bag.free()
            assert [parcel.message_id for parcel in given] == ["m1", "m2"]
            bag.pick_up(given[:1])
            assert bag.free() == []
            route.seen.set()
            await route.refused.wait()
            bag.put_down(given[:1], is_given=is_given)
            while bag:
                await asyncio.sleep(0.01)
        delivering.cancel()
        assert route.sent == (["m2"] if is_given else ["m1", "m2"])

    asyncio.run(story())
    ended = [("m1", "injected", "submitted"), ("m2", "injected", "submitted")]
    assert [each for each in told if each[1] == "injected"] == ended


def test_what_is_withdrawn_while_a_route_looks_is_not_sent(log: TypingLog) -> None:
    """Its sender has taken it back in time."""

    async def story() -> None:
        bag = Mailbag("blue-worker", log, lambda *_: None, lambda _: None)
        route = Looks(bag)
        bag.use([route])
        delivering = asyncio.create_task(bag.deliver_for_ever())
        for name in ("m1", "m2"):
            bag.put(Parcel(name, "planner", "message", "hello"))
        async with asyncio.timeout(10 * SCALE):
            await route.looking.wait()
            bag.withdraw("m1")
            route.seen.set()
            while bag:
                await asyncio.sleep(0.01)
        delivering.cancel()
        assert route.sent == ["m2"]

    asyncio.run(story())
