"""`wait`: until peers are idle, blocked, gone, or have answered; for scripts."""

from __future__ import annotations

import click

from intercom_mux.cli import text
from intercom_mux.cli.ask import Duration
from intercom_mux.cli.caller import json_option, print_json, team_option, watching
from intercom_mux.cli.complete import peer_names


@click.command()
@click.argument("peers", metavar="PEER...", nargs=-1, required=True, shell_complete=peer_names)
@click.option(
    "--until", type=click.Choice(("idle", "blocked", "exited", "reply")), required=True, help="What to wait for."
)
@click.option("--timeout", type=Duration(), default="600", metavar="TIME", help="How long: 30s, 10m (default).")
@click.option("--any/--all", "is_any", default=False, help="Until one of them is, or all (default).")
@team_option
@json_option
def wait(peers: tuple[str, ...], until: str, timeout: float, is_any: bool, team: str | None, as_json: bool) -> None:
    """Wait until peers have reached a state.

    idle: for a second, and no message waits for it. blocked: a person is asked something. exited: its program has ended
    or its session left. reply: none of your asks to it is open any more. Exit codes: 0 reached, 11 not in time, 12 a
    peer exited instead.
    """
    with watching(team, "wait") as client:
        rows = client.wait(peers, until, timeout_s=timeout, is_any=is_any)
    if as_json:
        print_json([{key: row[key] for key in ("name", "id", "status", "reached")} for row in rows])
    else:
        text.emit(text.table([(row["name"], row["status"]) for row in rows if row["reached"]]))
