"""Who a command acts as, and its connection to the broker."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.complete import team_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from intercom_mux.client.address import Broker
    from intercom_mux.client.blocking import Client
    from intercom_mux.client.identity import Identity
    from intercom_mux.client.watch import Watcher
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]

BOARD_ROLE = "board"
"""What a peer has as role that is the board and not an agent (layout/model.py)."""


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic only in newer clicks
    """A length of time such as 30, 30s, 10m or 1.5h; its value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        seconds = text.duration(value)
        if seconds is None:
            self.fail(f"{value!r} is not a time such as 30s, 10m or 2h, up to a week", param, ctx)
        return seconds


def _use_socket(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """Let this call talk to the broker at a path, as the environment variable would.

    Raises:
        click.UsageError: In a pane, which belongs to its team's broker.
    """
    if value is None:
        return
    from intercom_mux import paths
    from intercom_mux.client import address

    if os.environ.get(paths.IDENTITY_VARIABLE):
        raise click.UsageError("--socket: a pane talks to the broker of its team")
    os.environ[address.VARIABLE] = value


_team = click.option(
    "--team", metavar="NAME", shell_complete=team_names, help="Act in this team; in a pane its own team is fixed."
)
socket_option = click.option(
    "--socket",
    metavar="PATH",
    expose_value=False,
    callback=_use_socket,
    help="Talk to the broker at this socket or broker.port.json; INTERCOM_MUX_SOCKET does the same.",
)


def team_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say in which team, and through which broker."""
    return _team(socket_option(command))


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def identity(team: str | None) -> Identity:
    """Return whom this call acts as: its pane's peer, else this terminal, looking at the team it means.

    That is the one named, else the one whose project holds the working directory, else the only one, else none.

    Raises:
        TeamError: A team was named that does not run, or, in a pane, that is not the pane's own.
        BrokerError: The pane's team is gone, or no broker answers at the address that was named.
    """
    from dataclasses import replace

    from intercom_mux.client import address
    from intercom_mux.client import identity as identities

    pane = identities.of_pane()
    if pane is not None:
        if team is not None:
            _check_own_team(pane, team)
        return pane
    broker = address.chosen()
    me = _at_foreign(broker, team) if broker.is_foreign else _at_ours(team)
    return replace(me, socket=broker.path, is_foreign=broker.is_foreign, is_explicit=broker.is_explicit)


def _at_ours(team: str | None) -> Identity:
    from intercom_mux.client import identity as identities

    state = _team_of_shell(team)
    if state is None:
        return identities.of_shell()
    return identities.of_shell(state.id, state.id if state.isolated else "")


def _at_foreign(broker: Broker, team: str | None) -> Identity:
    """Return this terminal where there are no teams, in the scope that pi sessions started from here have."""
    from intercom_mux.client import failures
    from intercom_mux.client import identity as identities

    if team is not None:
        raise failures.needs_our_broker("--team", broker.path)
    return identities.of_shell(scope=os.environ.get("PI_INTERCOM_SCOPE_ID", "").strip())


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
    from intercom_mux.errors import BrokerError

    try:
        with connect(identity(team)) as client:
            yield client
    except (ConnectionError, TimeoutError) as error:
        raise BrokerError(
            f"the broker was lost before it answered: {error}",
            code="E_OUTCOME_UNKNOWN",
            hint="try again; a message that got through shows in `intercom-mux pending` and `inbox` of its receiver",
        ) from error
    if notes_waiting and client.identity.is_shell:
        text.note_waiting(client.waiting)


@contextmanager
def watching(team: str | None, what: str) -> Iterator[Watcher]:
    """Yield a client that can wait for events; `what` is the command that needs it.

    Raises:
        BrokerError: No broker can be reached, or it is not ours (`E_STOCK_BROKER`).
    """
    from intercom_mux.client import failures
    from intercom_mux.client.watch import Watcher

    me = identity(team)
    if me.is_foreign:
        raise failures.needs_our_broker(what, me.socket)
    with Watcher.connect(me) as client:
        yield client


def connect(me: Identity) -> Client:
    """Return a registered client for whichever broker `me` is at; raises as `Client.connect`."""
    if not me.is_foreign:
        from intercom_mux.client.blocking import Client

        return Client.connect(me)
    from intercom_mux.client.stock import StockClient

    _leave_on_signals()
    return StockClient.connect(me, on_letter=lambda row: text.note(text.letter(row)))


def refuse_without_journal(what: str) -> None:
    """Return unless this shell is at a broker that is not ours and has no journal to look into instead.

    Raises:
        BrokerError: `E_STOCK_BROKER`; also if that broker was named, as the journal is not about it.
    """
    from intercom_mux import paths
    from intercom_mux.client import address, failures

    if os.environ.get(paths.IDENTITY_VARIABLE):
        return
    broker = address.chosen()
    if broker.is_foreign and (broker.is_explicit or not paths.journal_file().exists()):
        raise failures.needs_our_broker(what, broker.path)


def _leave_on_signals() -> None:
    """Let a terminated command take its asks back, which a stock broker would otherwise hold for minutes."""
    import signal

    from intercom_mux.host.signals import ENDED

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    for number in ENDED:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)


def peers_of_team(client: Client, role: str | None) -> list[Json]:
    """Return the other connected peers of the caller's team, of one role if it is given; else all but the board.

    A person sits at the board and sees there whatever is said in the team.

    Raises:
        TeamError: There is no team, or nobody fits.
    """
    from intercom_mux.errors import TeamError

    team = client.identity.team
    if team is None:
        raise TeamError("no team to address", hint="name one with --team, or targets with --to")
    peers = [row for row in client.sessions() if row["team_id"] == team and not row["self"]]
    fitting = [row for row in peers if row["role"] == role or (role is None and row["role"] != BOARD_ROLE)]
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
