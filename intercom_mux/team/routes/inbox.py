"""The route that sends nothing: a message waits in the mailbox, and whoever watches the pane is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from intercom_mux.errors import MultiplexerError
from intercom_mux.team.routes.base import Outcome, Route
from intercom_mux.team.routes.wording import header_line

if TYPE_CHECKING:
    from intercom_mux.team.routes.base import Parcel, Target


class InboxRoute(Route):
    """Announces each message once, and holds it until a command reads it."""

    keeps_order = False

    def __init__(self, target: Target) -> None:
        self._target = target
        self._announced: set[str] = set()

    async def deliver(self, parcel: Parcel) -> Outcome:
        """Tell the watcher that the message waits; always held."""
        if parcel.message_id not in self._announced:
            text = header_line(self._target.profile, parcel, is_elsewhere=True)
            try:
                await asyncio.to_thread(self._target.mux.show, self._target.surface, text)
            except MultiplexerError as error:
                return Outcome("held", error.message)
            self._announced.add(parcel.message_id)
        return Outcome("held", "inbox")

    def forget(self, message_id: str) -> None:
        """Forget that it was announced."""
        self._announced.discard(message_id)
