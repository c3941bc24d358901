"""Mirroring how the peers are into the sidebar of a multiplexer that has one, cmux: a status for each peer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from intercom_mux.errors import IntercomError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intercom_mux.mux.base import Multiplexer

log = logging.getLogger("intercom_mux.team")


@runtime_checkable
class HasSidebar(Protocol):
    """A multiplexer that can keep named statuses in sight of the user."""

    def tell(self, key: str, text: str) -> None:
        """Keep the status `key`, "" to take it away."""


class Sidebar:
    """Tells each change once; a multiplexer without a sidebar is told nothing."""

    def __init__(self, mux: Multiplexer) -> None:
        self._mux = mux if isinstance(mux, HasSidebar) else None
        self._told: dict[str, str] = {}

    async def look(self, statuses: Mapping[str, str]) -> None:
        """Take how all peers are; one that is no more loses its status. Failures are logged and not tried again."""
        if self._mux is None:
            return
        gone = {name: "" for name in self._told if name not in statuses}
        changed = {name: text for name, text in statuses.items() if self._told.get(name) != text}
        self._told = dict(statuses)
        for name, text in {**gone, **changed}.items():
            try:
                await asyncio.to_thread(self._mux.tell, f"intercom-{name}", f"{name}: {text}" if text else "")
            except (IntercomError, OSError) as error:
                log.warning("cannot tell the sidebar of %s: %s", name, error)
