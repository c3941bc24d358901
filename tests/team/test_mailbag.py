"""The messages of one peer: what their senders are told while they wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from intercom_mux.team.mailbag import Mailbag
from intercom_mux.team.routes.base import Outcome, Parcel, Route
from intercom_mux.team.typing_log import TypingLog
from tests.support import SCALE

if TYPE_CHECKING:
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
