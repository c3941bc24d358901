"""Telling askers what came of a peer's turn: an automatic answer, or word that there is none."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import BrokerError
from intercom_mux.mux.base import typeable
from intercom_mux.team.turns import judge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from intercom_mux.client.aio import Endpoint
    from intercom_mux.team.turns import Given, Verdict

Json = dict[str, Any]
log = logging.getLogger("intercom_mux.team")

TAIL_LINES = 15
"""How much of the end of a screen an asker sees."""


class Answers:
    """Speaks at the broker for one peer; `screen` returns what its surface shows. Turns are settled in order."""

    def __init__(self, endpoint: Endpoint, screen: Callable[[], Awaitable[str]]) -> None:
        self._endpoint = endpoint
        self._screen = screen
        self._in_order = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def settle(self, asks: Sequence[Given], words: str | None) -> None:
        """Have the askers of a turn told; `words` are its last message, None when nothing tells it. Returns at once."""
        if asks:
            task = asyncio.create_task(self._settle(list(asks), words))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Give up what is not settled; the asks stay open."""
        for task in self._tasks:
            task.cancel()

    async def _settle(self, asks: list[Given], words: str | None) -> None:
        async with self._in_order:
            pending = await self._endpoint.request("pending")
            still_open = {row["id"] for row in pending["to_me"]}
            for verdict in judge(asks, words, still_open=still_open, is_waiting=bool(pending["from_me"])):
                try:
                    await self._carry_out(verdict, words or "")
                except BrokerError as error:
                    # Most often the ask was answered in the meantime.
                    log.info("nothing told of ask %s: %s", verdict.ask_id[:8], error)

    async def _carry_out(self, verdict: Verdict, words: str) -> None:
        if verdict.kind == "answer":
            now = time.time_ns() // 1_000_000
            message: Json = {"id": "auto", "timestamp": now, "content": {"text": words}}
            await self._endpoint.request("reply", to=verdict.ask_id, message=message, auto=True)
            return
        text = words if verdict.kind == "ended" else tail(await self._screen())
        await self._endpoint.request("note", ask=verdict.ask_id, kind=verdict.kind, text=text)


def tail(screen: str) -> str:
    """Return the last lines of a screen that show something."""
    lines = [line for line in typeable(screen).split("\n") if line.strip()]
    return "\n".join(lines[-TAIL_LINES:])
