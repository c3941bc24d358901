"""The native route: the agent's own client gets its messages from the broker, and nothing is left to carry.

The daemon is given messages only when that client has not joined; then this route leaves them to the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.team.routes.base import Outcome, Route

if TYPE_CHECKING:
    from intercom_mux.team.routes.base import Parcel, Target


class NativeRoute(Route):
    """Holds what the agent's own client shall get."""

    keeps_order = False

    def __init__(self, target: Target) -> None:
        self._target = target

    async def deliver(self, parcel: Parcel) -> Outcome | None:  # noqa: ARG002 - all messages alike
        """Hold the parcel while the agent's client is there or may still come; then None."""
        return None if self._target.may_type() else Outcome("held", "its own client gets it")
