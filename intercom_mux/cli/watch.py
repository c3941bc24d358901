"""`watch`: a team on a board, live."""

from __future__ import annotations

import sys

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import BOARD_ROLE, socket_option
from intercom_mux.cli.complete import team_names


@click.command()
@click.argument("team", required=False, shell_complete=team_names)
@socket_option
def watch(team: str | None) -> None:
    """Watch a team on a live board: peers, messages, screens, tasks. `?` shows the keys, `q` leaves.

    It only looks until you press a key that says otherwise. Needs the extra: pip install 'intercom-mux[watch]'. More in
    docs/watch.md.
    """
    from intercom_mux.cli import caller
    from intercom_mux.cli.teams import select
    from intercom_mux.client import failures
    from intercom_mux.errors import IntercomError

    try:
        from intercom_mux.watch import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise IntercomError(
            "textual is not installed", code="E_NO_TEXTUAL", hint="pip install 'intercom-mux[watch]'"
        ) from error
    from intercom_mux.watch.feed import Feed

    state = select(team)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("the board needs a terminal")
    me = caller.identity(team)
    if me.is_foreign:
        raise failures.needs_our_broker("watch", me.socket)
    app.run(Feed(me, state), state.name)
    if me.name == BOARD_ROLE and not me.is_shell:
        text.note("the board was quit; `intercom-mux restart board` brings it back")
