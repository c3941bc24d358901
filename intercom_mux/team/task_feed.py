"""What the team daemon knows of the team's tasks, kept true by the broker's events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from intercom_mux.client.task_changes import task_changes
from intercom_mux.errors import IntercomError

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.team.state import TeamState

Json = dict[str, Any]

RETRY_S = 0.5


class TaskFeed:
    """Listens as one of the team's own peers, a reused one excepted: only the daemon's own have a token."""

    def __init__(self, team: TeamState, broker: Path) -> None:
        self.tasks: dict[str, Json] | None = None
        """The tasks by id; None until the broker has told them for the first time."""
        self._team = team
        self._broker = broker

    async def run(self) -> None:
        """Follow the tasks until cancelled; a lost broker is waited for, and so is the first peer."""
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, IntercomError):
                await self._follow()
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        me = next((peer for peer in self._team.peers.values() if not peer.is_reused), None)
        if me is None:
            return
        scope = self._team.id if self._team.isolated else ""
        before: dict[str, Json] = {}
        async with aclosing(task_changes(self._broker, me.session_id, me.token, scope)) as changes:
            async for rows in changes:
                self.tasks = before = before | {row["id"]: row for row in rows}
