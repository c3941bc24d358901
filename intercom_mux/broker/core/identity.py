"""Mailbox identity: a foreign session that comes back under a new id is known by its name and its directory.

Only sessions outside every team have one, and only under a name of their own, never under an alias made of their id.
Source of the rules: docs/protocol.md, "Sessions".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.broker.core import delivery
from intercom_mux.wire import states

if TYPE_CHECKING:
    from intercom_mux.broker.core.model import BrokerState, Session


def heir(state: BrokerState, gone: Session, sender: Session) -> Session | None:
    """Return who gets mail for `gone` in its stead: the only connected session of its identity, unless the sender
    is of that identity itself."""
    if gone.is_connected or not _may_have_one(gone) or _is_same(state, sender, gone):
        return None
    holders = _holders(state, gone)
    return holders[0] if len(holders) == 1 else None


def inherit(state: BrokerState, session: Session) -> None:
    """Give a session that has just come the mail of sessions of its identity that are gone; the order stays.

    Questions stay where they are: only who was asked can answer.
    """
    if not _may_have_one(session) or _holders(state, session) != [session]:
        return
    for gone in _namesakes(state, session):
        if gone.is_connected or not _is_same(state, gone, session):
            continue
        for waiting in list(gone.mailbox.values()):
            sender = state.sessions.get(waiting.sender)
            is_own = sender is not None and _is_same(state, sender, session)
            if waiting.state == states.QUEUED and not waiting.expects_reply and not is_own:
                delivery.readdress(state, waiting, gone, session)
    session.mailbox = dict(sorted(session.mailbox.items()))


def _may_have_one(session: Session) -> bool:
    is_foreign = session.kind == "agent" and session.token is None and session.team is None
    return is_foreign and bool(session.name) and session.info.get("runtimeFallbackAlias") is not True


def _namesakes(state: BrokerState, session: Session) -> list[Session]:
    """Return the sessions of that name, in order of registration."""
    found = state.by_name.get((session.key.scope, (session.name or "").casefold()), set())
    return sorted(found, key=lambda other: other.order)


def _is_same(state: BrokerState, one: Session, other: Session) -> bool:
    """Whether both are of one identity; a session is of its own."""
    if not (_may_have_one(one) and _may_have_one(other)) or one.key.scope != other.key.scope:
        return False
    is_named_so = (one.name or "").casefold() == (other.name or "").casefold()
    return is_named_so and state.real_dir(one.info["cwd"]) == state.real_dir(other.info["cwd"])


def _holders(state: BrokerState, session: Session) -> list[Session]:
    return [s for s in _namesakes(state, session) if s.is_connected and _is_same(state, s, session)]
