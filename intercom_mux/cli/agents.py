"""`agents`: which agent programs are here, and what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from intercom_mux.cli import text

if TYPE_CHECKING:
    from intercom_mux.agents.installed import Agent


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def agents(as_json: bool) -> None:
    """List the agents that a layout can name, and which of them are installed.

    ROUTES are the ways messages reach the agent, best first; STATUS is where its status is read from; REPLY is how it
    answers without a dialog. `agent: auto` takes the first installed one that is marked with a star.
    """
    from dataclasses import asdict

    from intercom_mux.agents.installed import survey
    from intercom_mux.cli.caller import print_json

    found = survey()
    if as_json:
        print_json([asdict(agent) for agent in found])
        return
    rows = [("AGENT", "VERSION", "ROUTES", "STATUS", "REPLY", "FROM", "PROGRAM"), *map(_cells, found)]
    lines = _lines(rows, text.width())
    away = [(agent.name, agent.install) for agent in found if agent.install and not agent.is_installed]
    if away:
        lines += ["", "to install one:", text.table(away, indent="  ")]
    text.emit("\n".join(lines))
    for agent in found:
        if agent.fault:
            text.note(agent.fault)


def _lines(rows: list[tuple[str, ...]], columns: int | None) -> list[str]:
    """Return the table; in a terminal too narrow for it each program stands below its agent."""
    lines = text.table(rows).split("\n")
    if columns is None or max(map(text.cells_of, lines)) <= columns:
        return lines
    heads = text.table([row[:-1] for row in rows], columns=columns).split("\n")
    return [heads[0], *(f"{head}\n  {row[-1]}" for head, row in zip(heads[1:], rows[1:], strict=True))]


def _cells(agent: Agent) -> tuple[str, ...]:
    name = f"{agent.name}*" if agent.is_auto else agent.name
    if agent.fault:
        return (name, "not valid", "-", "-", "-", agent.origin or "-", agent.path)
    version = agent.version or ("?" if agent.program else "-")
    program = agent.program or ("built in" if agent.is_installed else "not installed")
    return (name, version, ",".join(agent.routes), ",".join(agent.status) or "-", agent.reply, agent.origin, program)
