"""Who may take a session's endpoint over from the connection that has it, and how that is done.

Source of the rules: docs/protocol.md, "Sessions".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.broker.core import delivery

if TYPE_CHECKING:
    from intercom_mux.broker.core.model import BrokerState, Json, Session


def is_contested(state: BrokerState, session: Session, info: Json, now: int) -> bool:
    """Whether two live processes fight for an id and this registration must lose.

    A process that replaces its own connection never fights, nor does one whose rival has hung up. A native peer's
    client that is there stays: its child processes inherit the id.
    """
    if session.endpoint in (None, session.keeper) or session.info["pid"] == info["pid"]:
        return False
    if session.is_native:
        return True
    limits = state.limits
    recent = [at for at in session.takeovers if at > now - limits.takeover_window]
    if now < session.guarded_until or len(recent) >= limits.takeovers:
        session.guarded_until = now + limits.takeover_guard
        return True
    session.takeovers = [*recent, now]
    return False


def displace(state: BrokerState, session: Session) -> None:
    """Take the endpoint away from its present connection, which is closed and owns nothing from now on.

    A keeper stays, and what it was given with it.
    """
    old, session.endpoint = session.endpoint, None
    if old is not None and old is not session.keeper:
        state.close(old.id)
        delivery.requeue(old)
