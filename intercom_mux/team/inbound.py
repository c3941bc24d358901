"""Which messages may start a turn by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intercom_mux.team.routes.base import Parcel


def may_start_turn(parcel: Parcel, inbound: str) -> bool:
    """Return whether an idle agent may be woken for this message; else it waits for the agent's next turn.

    `inbound` is what the user's configuration says: always, replies (only answers to its own asks) or never.
    """
    return inbound == "always" or (inbound == "replies" and parcel.kind == "reply")
