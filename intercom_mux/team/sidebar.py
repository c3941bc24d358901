"""Mirroring a team into the sidebar of a multiplexer that has one, cmux.

A status for each peer, one progress bar for all tasks, and a line in the log for each change of a task.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from intercom_mux.errors import IntercomError
from intercom_mux.team import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from intercom_mux.mux.base import Multiplexer

Json = dict[str, Any]

_LEVELS = {"started": "progress", "blocked": "warning", "done": "success", "failed": "error"}
log = logging.getLogger("intercom_mux.team")


@runtime_checkable
class HasSidebar(Protocol):
    """A multiplexer that can keep named statuses in sight of the user."""

    def tell(self, key: str, text: str) -> None:
        """Keep the status `key`, "" to take it away."""

    def progress(self, fraction: float | None, label: str) -> None:
        """Show one progress bar, 0 to 1, in place of the one before; None takes it away."""

    def note(self, level: str, text: str) -> None:
        """Add a line to the log; `level` is info, progress, success, warning or error."""


class Sidebar:
    """Tells each change once; a multiplexer without a sidebar is told nothing."""

    def __init__(self, mux: Multiplexer, since_ms: int) -> None:
        self._mux = mux if isinstance(mux, HasSidebar) else None
        self._told: dict[str, str] = {}
        self._since_ms = since_ms
        self._lines: dict[str, str] | None = None
        self._short = ""

    async def look(self, statuses: Mapping[str, str], tasks: Collection[Json] | None = None) -> None:
        """Take how all peers and tasks are, None for tasks not known yet; a peer that is no more loses its status.

        What became of a task before `since_ms`, Unix time, is not put in the log.
        Failures are logged by us, and not tried again.
        """
        if self._mux is None:
            return
        gone = {name: "" for name in self._told if name not in statuses}
        changed = {name: text for name, text in statuses.items() if self._told.get(name) != text}
        self._told = dict(statuses)
        for name, text in {**gone, **changed}.items():
            await _try(partial(self._mux.tell, f"intercom-{name}", f"{name}: {text}" if text else ""))
        if tasks is not None:
            await self._look_at_tasks(self._mux, tasks)

    async def _look_at_tasks(self, mux: HasSidebar, tasks: Collection[Json]) -> None:
        short = summary.of_tasks(tasks)
        before, self._lines = self._lines, {task["id"]: summary.line(task) for task in tasks}
        if before == self._lines:
            return
        known = self._lines_of_old(tasks) if before is None else before
        for task in tasks:
            line = self._lines[task["id"]]
            if known.get(task["id"]) != line:
                await _try(partial(mux.note, _LEVELS.get(task["state"], "info"), line))
        if tasks or self._short:
            await _try(partial(mux.progress, summary.fraction(tasks), short))
        self._short = short

    def _lines_of_old(self, tasks: Collection[Json]) -> dict[str, str]:
        """The broker may tell the tasks for the first time only after some have changed."""
        return {task["id"]: summary.line(task) for task in tasks if task["updated_at"] < self._since_ms}


async def _try(tell: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(tell)
    except (IntercomError, OSError) as error:
        log.warning("cannot tell the sidebar: %s", error)
