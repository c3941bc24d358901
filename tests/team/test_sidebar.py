"""What the sidebar of a multiplexer is told of a team."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from intercom_mux.mux.memory import MemoryMultiplexer
from intercom_mux.team.sidebar import Sidebar

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGUN_MS = 1000


class WithSidebar(MemoryMultiplexer):
    """Panes in memory, and a sidebar that keeps all that it was ever told."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: list[tuple[str, str]] = []
        self.bars: list[tuple[float | None, str]] = []
        self.lines: list[tuple[str, str]] = []

    def tell(self, key: str, text: str) -> None:
        """Keep a status."""
        self.statuses.append((key, text))

    def progress(self, fraction: float | None, label: str) -> None:
        """Keep a bar."""
        self.bars.append((fraction, label))

    def note(self, level: str, text: str) -> None:
        """Keep a line."""
        self.lines.append((level, text))


def task(state: str, percent: int, at: int, task_id: str = "T1") -> dict[str, Any]:
    """Return a task as the broker tells it."""
    row = {"id": task_id, "title": "", "owner": "worker", "assigner": "boss", "note": ""}
    return {**row, "state": state, "percent": percent, "updated_at": at}


def told(*looks: Sequence[dict[str, Any]] | None) -> WithSidebar:
    """Return what a sidebar was told that was shown these tasks one after another."""
    mux = WithSidebar()
    sidebar = Sidebar(mux, BEGUN_MS)

    async def look() -> None:
        for tasks in looks:
            await sidebar.look({"worker": "idle"}, tasks)

    asyncio.run(look())
    return mux


def test_what_became_of_a_task_since_the_team_began_is_logged_though_the_broker_told_it_late() -> None:
    """The first tasks that are seen may have changed already; those that had before are only counted in the bar."""
    mux = told(None, [task("done", 100, BEGUN_MS - 1, "T0"), task("started", 60, BEGUN_MS)])
    assert mux.lines == [("progress", "T1 started 60% · worker")]
    assert mux.bars == [(0.8, "1/2 done · T1 60%")]


def test_each_change_is_told_once() -> None:
    """A line and a bar for a change, neither for a look that shows the same."""
    first, last = [task("started", 60, BEGUN_MS)], [task("done", 100, BEGUN_MS + 1)]
    mux = told([], first, first, last, last, [])
    assert mux.lines == [("progress", "T1 started 60% · worker"), ("success", "T1 done · worker")]
    assert [fraction for fraction, _ in mux.bars] == [0.6, 1.0, None]
    assert mux.statuses == [("intercom-worker", "worker: idle")]
