"""Names: how a session appears to a viewer, and which session an address means.

The ladder of docs/protocol.md, "Addresses": exact id, then name (case-insensitive), then id prefix; one rung only. A
viewer sees its own team bare and others as `team/peer`, and addresses them in the same words.
"""

from __future__ import annotations

from intercom_mux.broker.core.model import BrokerState, Connection, Session, SessionKey, Team


def team_label(state: BrokerState, team_id: str) -> str:
    """Return the team's name; while another team bears it `name@dir`, and its id where that is the same as well."""
    team = state.teams[team_id]
    namesakes = [other for other in state.teams.values() if other.id != team_id and other.name == team.name]
    if not namesakes:
        return team.name
    if any(_directory(other) == _directory(team) for other in namesakes):
        return team.id
    return f"{team.name}@{_directory(team)}"


def _directory(team: Team) -> str:
    return team.dir.rstrip("/").rpartition("/")[2]


def shown_name(state: BrokerState, session: Session, view: str | None) -> str | None:
    """Return the name under which a viewer in team `view` sees `session`."""
    if session.name is None or session.team is None or session.team.id == view:
        return session.name
    return f"{team_label(state, session.team.id)}/{session.name}"


class Resolution:
    """The outcome of looking an address up: one session, or why not (`code`, `reason` of docs/protocol.md)."""

    __slots__ = ("code", "reason", "session")

    def __init__(self, session: Session | None, code: str = "", reason: str = "") -> None:
        self.session = session
        self.code = code
        self.reason = reason


def resolve(state: BrokerState, viewer: Connection, scope: str, address: str) -> Resolution:
    """Find who `address` means for `viewer`: among connected sessions first, then among remembered ones.

    Our own peers and shells count as connected: they hold mail while their endpoint is away.
    """
    exact = state.sessions.get(SessionKey(scope, address))
    if exact is not None:
        return Resolution(exact)
    named = _named(state, viewer.view, scope, address)
    for wanted, plural, verb in (
        (True, "sessions", "are connected"),
        (False, "disconnected sessions", "can receive queued mail"),
    ):
        group = [s for s in named if is_present(s) is wanted]
        group = group or [s for s in _prefixed(state, scope, address) if is_present(s) is wanted]
        if len(group) == 1:
            return Resolution(group[0])
        if group:
            reason = f'Multiple {plural} named "{address}" {verb}. Use the session ID instead.'
            return Resolution(None, "E_AMBIGUOUS_TARGET", reason)
    return Resolution(None, "E_TARGET_NOT_FOUND", "Session not found")


def is_present(session: Session) -> bool:
    """Whether `session` is connected or, being ours, will take its mail when it is back."""
    return session.is_connected or session.holds_mail


def known_names(state: BrokerState, viewer: Connection, scope: str) -> list[str]:
    """Return the names that `viewer` could have meant, sorted; its own session excepted."""
    names = {
        shown_name(state, session, viewer.view)
        for session in state.sessions.values()
        if session.key.scope == scope and session is not viewer.session and is_present(session)
    }
    return sorted(name for name in names if name)


def _named(state: BrokerState, view: str | None, scope: str, address: str) -> list[Session]:
    """Return the sessions whose name, as seen from `view`, is `address`; from outside any team a bare name will do.

    A name of the own team means that peer, whatever sessions of no team call themselves.
    """
    wanted = address.casefold()
    bare = wanted.rpartition("/")[2]
    candidates = state.by_name.get((scope, wanted), set()) | state.by_name.get((scope, bare), set())
    named = [s for s in candidates if (shown_name(state, s, view) or "").casefold() == wanted]
    if view is not None:
        return [s for s in named if s.team is not None and s.team.id == view] or named
    if not named:
        named = [s for s in candidates if (s.name or "").casefold() == wanted]
    return named


def _prefixed(state: BrokerState, scope: str, address: str) -> list[Session]:
    if not address:
        return []
    return [s for s in state.sessions.values() if s.key.scope == scope and s.key.id.startswith(address)]


def set_name(state: BrokerState, session: Session, name: str | None) -> None:
    """Give `session` its name, the index included."""
    if session.name is not None:
        holders = state.by_name[(session.key.scope, session.name.casefold())]
        holders.discard(session)
        if not holders:
            del state.by_name[(session.key.scope, session.name.casefold())]
    session.name = name
    if name is not None:
        state.by_name.setdefault((session.key.scope, name.casefold()), set()).add(session)
