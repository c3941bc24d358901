"""`intercom-mux hook`: its words for people; the call itself never comes here (`_entry`)."""

from __future__ import annotations

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("agent")
@click.argument("event")
@click.argument("payload", required=False)
def hook(agent: str, event: str, payload: str | None) -> None:
    """Hand an agent's hook event to its team. For agents, not for people.

    The payload is one JSON object, as the last word or on stdin. What is printed is meant for the agent. Outside a
    team, without an answer within two seconds and with any trouble nothing is printed; the exit code is always 0.
    """
    del agent, event, payload
