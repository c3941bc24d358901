"""`wait`: until peers are idle, blocked, gone, or have answered; for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import Duration, json_option, print_json, team_option, watching
from intercom_mux.cli.complete import peer_names

if TYPE_CHECKING:
    from intercom_mux.client.watch import Watcher

Json = dict[str, Any]

_OF_PEERS = ("idle", "blocked", "exited", "reply")
_OF_TASKS = ("done", "failed", "blocked")


@click.command()
@click.argument("peers", metavar="[PEER]...", nargs=-1, shell_complete=peer_names)
@click.option("--until", type=click.Choice((*_OF_PEERS, "done", "failed")), required=True, help="What to wait for.")
@click.option("--task", metavar="ID", help="Wait for this task instead: until done, failed or blocked.")
@click.option("--timeout", type=Duration(), default="600", metavar="TIME", help="How long: 30s, 10m (default).")
@click.option("--any/--all", "is_any", default=False, help="Until one of them is, or all (default).")
@team_option
@json_option
def wait(
    peers: tuple[str, ...],
    until: str,
    task: str | None,
    timeout: float,
    is_any: bool,
    team: str | None,
    as_json: bool,
) -> None:
    """Wait until peers, or a task, have reached a state.

    A task need not be there yet; stderr then says so. idle: for a second, and no message waits for it. blocked: a
    person is asked something. exited: its program has ended or its session left. reply: none of your asks to it is
    open any more. Exit codes: 0 reached, 11 not in time, 12 a peer exited, or a task ended, instead.
    """
    if bool(peers) == (task is not None):
        raise click.UsageError("wait for whom? give peers, or --task ID")
    if until not in (_OF_TASKS if task is not None else _OF_PEERS):
        raise click.UsageError(f"--until {until} is for {'peers' if task is not None else 'a task: give --task ID'}")
    if task is not None:
        with watching(team, "wait") as client:
            row = client.wait_task(task, until, timeout_s=timeout, on_absent=lambda: _tell_absent(task, client))
        if as_json:
            print_json(row)
        else:
            text.emit(text.task(row))
        return
    with watching(team, "wait") as client:
        rows = client.wait(peers, until, timeout_s=timeout, is_any=is_any)
        answered = client.answered() if until == "reply" else {}
    if as_json:
        print_json([{key: row[key] for key in ("name", "id", "status", "reached")} for row in rows])
    else:
        text.emit(text.table([(row["name"], _shown(row, until, answered)) for row in rows if row["reached"]]))


def _tell_absent(task: str, client: Watcher) -> None:
    team = "" if client.identity.team else "; no team is meant here, and --team NAME says which"
    text.note(f'note: there is no task "{task}" yet, waiting for it{team}')


def _shown(row: Json, until: str, answered: dict[str, list[str]]) -> str:
    if until != "reply":
        return str(row["status"])
    asks = ", ".join(f"`intercom-mux result {text.short(ask_id)}`" for ask_id in answered.get(row["id"], ()))
    return f"has replied: {asks}" if asks else "no ask of yours is open"
