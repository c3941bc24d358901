"""Who is calling: the peer of a pane, or the shell of a terminal.

A pane's identity is a 0600 file named by `INTERCOM_MUX_IDENTITY`: session id, token and socket never stand in `ps` or
in the environment. Outside any team a terminal is one stable session, known by its session leader.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from intercom_mux import paths
from intercom_mux.errors import BrokerError
from intercom_mux.host import files, process


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Who decides for a peer, and how the peer is named to it: team (`run`), role (`agent`), place (`index`)."""

    session_id: str
    name: str
    run: str
    agent: str
    index: int


@dataclass(frozen=True, slots=True)
class Identity:
    """A session to act as.

    `team` is the team whose bare names the caller uses. `ask_wait_s` is how long a blocking ask may take before the
    agent's own tool limit would kill the call; None = no limit.
    """

    session_id: str
    name: str | None
    socket: Path
    scope: str = ""
    team: str | None = None
    token: str | None = None
    ask_wait_s: float | None = None
    supervisor: Supervisor | None = None
    is_foreign: bool = False
    is_explicit: bool = False

    @property
    def is_shell(self) -> bool:
        """Whether this is a terminal outside any team."""
        return self.token is None


def write(file: Path, identity: Identity) -> None:
    """Write a pane's identity file, readable by us alone."""
    value = {
        "session": identity.session_id,
        "name": identity.name,
        "socket": str(identity.socket),
        "scope": identity.scope,
        "team": identity.team,
        "token": identity.token,
        "ask_wait_s": identity.ask_wait_s,
        "supervisor": asdict(identity.supervisor) if identity.supervisor else None,
    }
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | files.EXACT, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(value, stream)


def of_pane() -> Identity | None:
    """Return the identity of the pane we run in, None outside of panes.

    Raises:
        BrokerError: The variable is set but its file is gone: the team is down.
    """
    path = os.environ.get(paths.IDENTITY_VARIABLE)
    if not path:
        return None
    try:
        value = json.loads(Path(path).read_text())
        return Identity(
            session_id=value["session"],
            name=value["name"],
            socket=Path(value["socket"]),
            scope=value["scope"],
            team=value["team"],
            token=value["token"],
            ask_wait_s=value["ask_wait_s"],
            supervisor=Supervisor(**value["supervisor"]) if value.get("supervisor") else None,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokerError(
            f"this pane's identity {path} cannot be read: {error}",
            code="E_IDENTITY",
            hint=f"the team of this pane is gone; unset {paths.IDENTITY_VARIABLE} to act as a plain shell",
        ) from error


def of_shell(team: str | None = None, scope: str = "") -> Identity:
    """Return the identity of this terminal, stable for as long as its session leader lives."""
    terminal, shown = process.terminal_of_caller()
    return Identity(
        session_id=f"shell-{terminal}",
        name=f"shell-{shown}",
        socket=paths.broker_socket(),
        scope=scope,
        team=team,
    )


def current(team: str | None = None, scope: str = "") -> Identity:
    """Return whom this call acts as: its pane's peer, else its terminal looking at `team`."""
    return of_pane() or of_shell(team, scope)
