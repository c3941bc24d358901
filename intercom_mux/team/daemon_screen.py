"""The team on the daemon's own terminal, where it has one (a surface of cmux): painted again when something changes."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from intercom_mux.mux.base import typeable
from intercom_mux.team import summary

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Json = dict[str, Any]

_HOME_AND_CLEAR = "\x1b[H\x1b[2J"


class DaemonScreen:
    """Writes to `out` if that is a terminal."""

    def __init__(self, team: str, out: TextIO) -> None:
        self._team = team
        self._out = out if out.isatty() else None
        self._shown = ""

    def look(self, statuses: Mapping[str, str], tasks: Collection[Json]) -> None:
        """Take how all are; a terminal that is gone is written to no more."""
        if self._out is None:
            return
        columns, rows = shutil.get_terminal_size()
        painted = "\r\n".join(line[: columns - 1] for line in lines(self._team, statuses, tasks)[: rows - 1])
        if painted != self._shown:
            self._shown = painted
            with suppress(OSError, ValueError):
                self._out.write(f"{_HOME_AND_CLEAR}{painted}\r\n")
                self._out.flush()


def lines(team: str, statuses: Mapping[str, str], tasks: Collection[Json]) -> list[str]:
    """Return a heading, a line per peer, and one per task, the open ones first."""
    width = max(map(len, statuses), default=0)
    ordered = sorted(tasks, key=lambda task: task["state"] in ("done", "failed"))
    short = summary.mark(statuses, tasks)
    heading = f"{team}: {short}" if short else team
    texts = [heading, *(f"{name:<{width}}  {status}" for name, status in statuses.items()), *map(summary.line, ordered)]
    return [" ".join(typeable(text).split("\n")) for text in texts]
