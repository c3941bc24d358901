"""`mcp` and `skill`: how agents and other programs meet us."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import Duration, team_option

if TYPE_CHECKING:
    from intercom_mux.client.blocking import Client
    from intercom_mux.client.identity import Identity

STANDALONE_WAIT_S = 50.0
"""Most MCP clients give a call a minute unless they are told otherwise."""


@click.command()
@click.option("--name", metavar="NAME", help="Who you are outside a team: one session per name; mcp-PID unless given.")
@click.option(
    "--max-wait", type=Duration(), metavar="TIME", help="Answer an ask with a ticket after this; 50s outside a team."
)
@team_option
def mcp(name: str | None, max_wait: float | None, team: str | None) -> None:
    """Serve the intercom as tools to an MCP client, on stdin and stdout, until it hangs up.

    In a pane the tools act as its peer, elsewhere as a session of their own. Needs the extra: pip install
    'intercom-mux[mcp]'. How to set it up in a client: docs/mcp.md.
    """
    from intercom_mux.errors import IntercomError

    try:
        from intercom_mux.bridges import mcp_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "anyio", "jsonschema"):
            raise
        raise IntercomError(
            "the MCP SDK is not installed", code="E_NO_MCP_SDK", hint="pip install 'intercom-mux[mcp]'"
        ) from error
    from intercom_mux.client import shell_name

    own_name = name or f"mcp-{os.getpid()}"
    shell_name.check(own_name, ())
    in_pane = _in_pane()
    limit_s = max_wait if max_wait or in_pane else STANDALONE_WAIT_S
    mcp_server.serve(lambda: _connect(own_name, team), limit_s)


def _in_pane() -> bool:
    from intercom_mux import paths

    return bool(os.environ.get(paths.IDENTITY_VARIABLE))


def _connect(name: str, team: str | None) -> Client:
    """Return a client for the pane's peer, or for the session called `name`, which sees the teams as a shell does."""
    from intercom_mux.cli import caller
    from intercom_mux.client import failures
    from intercom_mux.client.blocking import Client

    me = caller.identity(team)
    if me.is_foreign:
        raise failures.needs_our_broker("mcp", me.socket)
    return Client.connect(_named(me, name))


def _named(me: Identity, name: str) -> Identity:
    from dataclasses import replace

    return replace(me, session_id=f"shell-mcp-{name}", name=name) if me.is_shell else me


@click.command()
@click.option(
    "--format",
    "kind",
    type=click.Choice(("skill", "agents")),
    default="skill",
    help="skill: a SKILL.md with front matter (default); agents: a section for AGENTS.md.",
)
def skill(kind: str) -> None:
    """Print a text that teaches agents the intercom, for your repository.

    \b
    intercom-mux skill > .claude/skills/intercom/SKILL.md
    intercom-mux skill --format agents >> AGENTS.md
    """
    from intercom_mux.bridges.skill import render

    text.emit(render(kind))
