"""`broker run | start | stop | status`: the one process that carries the messages of this user."""

from __future__ import annotations

from typing import Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import json_option, print_json

Json = dict[str, Any]


@click.group()
def broker() -> None:
    """Start, stop and inspect the message broker; every command starts it when needed."""


@broker.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("ignored", nargs=-1, type=click.UNPROCESSED, metavar="[ANYTHING]...")
def run(ignored: tuple[str, ...]) -> None:
    """Be the broker, in the foreground, until nobody has been registered for a while or a signal comes.

    Further arguments are ignored, so that this can be pi's brokerCommand. Returns when another broker runs.
    """
    del ignored
    from intercom_mux.broker.lifecycle import serve

    serve(announce=True)


@broker.command()
@json_option
def start(as_json: bool) -> None:
    """Start the broker in the background unless it runs; it answers on return."""
    from intercom_mux.broker.lifecycle import ensure_running

    socket = str(ensure_running())
    if as_json:
        print_json({"running": True, "socket": socket})
    else:
        text.emit(f"the broker listens on {socket}")


@broker.command()
@json_option
def stop(as_json: bool) -> None:
    """End the broker; waiting messages and open asks stay in its journal."""
    from intercom_mux.broker import lifecycle

    was_running = lifecycle.stop()
    if as_json:
        print_json({"running": False, "stopped": was_running})
    else:
        text.emit("the broker is stopped" if was_running else "no broker is running")


@broker.command()
@json_option
def status(as_json: bool) -> None:
    """Say whether the broker runs, where, and what it holds; starts nothing."""
    facts = _facts()
    if as_json:
        print_json(facts)
    elif not facts["running"]:
        text.emit("no broker is running; any command that needs one starts it")
    else:
        text.emit(text.table([(key.replace("_", " "), _shown(value)) for key, value in facts.items()]))


def _facts() -> Json:
    from intercom_mux import paths
    from intercom_mux.broker.lifecycle import running
    from intercom_mux.client.blocking import Client
    from intercom_mux.client.identity import of_shell

    info = running()
    if info is None:
        return {"running": False, "socket": str(paths.broker_socket())}
    with Client.connect(of_shell()) as client:
        counts = client.request("status")
    return {"running": True, "socket": info["socket"], **counts}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "-" if isinstance(value, list) else str(value)
