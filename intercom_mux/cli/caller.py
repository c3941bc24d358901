"""Who a command acts as, and its connection to the broker."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.complete import team_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intercom_mux.client.blocking import Client
    from intercom_mux.client.identity import Identity
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]

team_option = click.option(
    "--team", metavar="NAME", shell_complete=team_names, help="Act in this team; in a pane its own team is fixed."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def identity(team: str | None) -> Identity:
    """Return whom this call acts as: its pane's peer, else this terminal, looking at the team it means.

    That is the one named, else the one whose project holds the working directory, else the only one, else none.

    Raises:
        TeamError: A team was named that does not run, or, in a pane, that is not the pane's own.
        BrokerError: The pane's team is gone.
    """
    from intercom_mux.client import identity as identities

    pane = identities.of_pane()
    if pane is None:
        state = _team_of_shell(team)
        if state is None:
            return identities.of_shell()
        return identities.of_shell(state.id, state.id if state.isolated else "")
    if team is not None:
        _check_own_team(pane, team)
    return pane


def _team_of_shell(named: str | None) -> TeamState | None:
    from intercom_mux import paths
    from intercom_mux.errors import TeamError

    if named is None and not any(paths.team_state_dir("*").parent.glob("*/state.json")):
        return None
    from intercom_mux.team.state import select_team

    try:
        return select_team(named, None, Path.cwd())
    except TeamError:
        if named is not None:
            raise
        return None


def _check_own_team(pane: Identity, named: str) -> None:
    from intercom_mux.errors import TeamError
    from intercom_mux.team.state import select_team

    if select_team(named, pane.team, Path.cwd()).id != pane.team:
        raise TeamError(
            f"this pane belongs to team {pane.team}, not to {named}", hint=f"address its peers as {named}/NAME"
        )


@contextmanager
def connected(team: str | None, *, notes_waiting: bool = True) -> Iterator[Client]:
    """Yield a client that acts as `identity(team)`; a human at a terminal then hears of waiting messages.

    Raises:
        BrokerError: No broker can be reached, or it was lost before it answered.
    """
    from intercom_mux.client.blocking import Client
    from intercom_mux.errors import BrokerError

    try:
        with Client.connect(identity(team)) as client:
            yield client
    except (ConnectionError, TimeoutError) as error:
        raise BrokerError(
            f"the broker was lost before it answered: {error}",
            code="E_OUTCOME_UNKNOWN",
            hint="try again; a message that got through shows in `intercom-mux pending` and `inbox` of its receiver",
        ) from error
    if notes_waiting and client.identity.is_shell:
        text.note_waiting(client.waiting)


def peers_of_team(client: Client, role: str | None) -> list[Json]:
    """Return the other connected peers of the caller's team, of one role if it is given.

    Raises:
        TeamError: There is no team, or nobody fits.
    """
    from intercom_mux.errors import TeamError

    team = client.identity.team
    if team is None:
        raise TeamError("no team to address", hint="name one with --team, or targets with --to")
    peers = [row for row in client.sessions() if row["team_id"] == team and not row["self"]]
    fitting = [row for row in peers if role is None or row["role"] == role]
    if not fitting:
        roles = sorted({str(row["role"]) for row in peers if row["role"]})
        whom = "no other peer is" if role is None else f'no other peer with role "{role}" is'
        raise TeamError(f"{whom} in the team", hint=f"roles: {', '.join(roles)}" if roles else None, roles=roles)
    return fitting


def print_json(value: object) -> None:
    """Print `value` on stdout as JSON."""
    import json

    text.emit(json.dumps(value, ensure_ascii=False, indent=2))


def names_of(rows: Sequence[Json]) -> dict[str, str]:
    """Return id → shown name of sessions."""
    return {row["id"]: row["name"] or row["id"] for row in rows}
