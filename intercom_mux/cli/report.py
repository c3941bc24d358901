"""`report`: what a team said and did, as one page."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import json_option, refuse_without_journal
from intercom_mux.cli.complete import team_names
from intercom_mux.cli.history import moment

if TYPE_CHECKING:
    from intercom_mux.report.model import Report

FORMATS = ("html", "md", "json")


@click.command()
@click.argument("team", required=False, shell_complete=team_names)
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Write it there; else to stdout.")
@click.option("--since", metavar="TIME", help="Only later things: 30m, 2h, 3d, or 2026-01-31T09:30 in local time.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="As FILE's ending says, unless given; else html, on a terminal md.",
)
@json_option
def report(team: str | None, output: str | None, since: str | None, form: str | None, as_json: bool) -> None:
    """Make a page of what a team said and did: who talked to whom, the conversation, waits, tasks, and how time went.

    TEAM may run or have gone down: its name or id. The page is one file without scripts. It holds what was said.
    """
    from dataclasses import asdict
    from datetime import UTC, datetime

    from intercom_mux.client.identity import of_pane
    from intercom_mux.report.collect import collect
    from intercom_mux.report.model import build

    refuse_without_journal("report")
    pane = of_pane()
    made = build(collect(team, pane_team=pane.team if pane else None, since=moment(since) if since else 0))
    chosen = "json" if as_json else form or _by_ending(output)
    zone = datetime.now(UTC).astimezone().tzinfo or UTC
    if chosen == "json":
        content = json.dumps(asdict(made), ensure_ascii=True, indent=1) + "\n"
    elif chosen == "md":
        from intercom_mux.report.markdown import markdown

        content = markdown(made, zone)
    else:
        from intercom_mux.report.page import html

        content = html(made, zone)
    if output is None or output == "-":
        text.emit(content.removesuffix("\n"))
    else:
        _write(output, content)
        text.emit(_told(output, made))


def _by_ending(output: str | None) -> str:
    if output is None and sys.stdout.isatty():
        return "md"
    ending = os.path.splitext(output or "")[1].lower()
    return {".md": "md", ".json": "json"}.get(ending, "html")


def _write(output: str, content: str) -> None:
    """Write the file, readable to you alone if it is new: it holds what was said."""
    from intercom_mux.errors import IntercomError

    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        raise IntercomError(f"cannot write {output}: {error.strerror}", code="E_PATH", path=output) from error


def _told(output: str, made: Report) -> str:
    count = text.plural(made.totals["messages"], "message", "messages")
    return "\n".join([f"{output}: team {made.team}, {count}", *(f"  {cut}" for cut in made.cuts)])
