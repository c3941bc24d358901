"""`broker run | start | stop | status | replace`: the one process that carries the messages of this user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import json_option, print_json
from intercom_mux.cli.groups import Group

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Json = dict[str, Any]

LOST_WITH_IT = (
    "It holds everything in memory: messages that wait for a session that is away, and open asks, are lost.\n"
    "Its sessions reconnect to our broker within seconds; from then on messages are journaled."
)


def places_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--pi DIR` and `--atomic DIR`, each repeatable."""
    for name, owner in (("--atomic", "atomic"), ("--pi", "pi")):
        text_of_help = f"Listen for the sessions of this agent directory of {owner} too; remembered."
        command = click.option(name, f"{owner}_dirs", multiple=True, metavar="DIR", help=text_of_help)(command)
    return command


def _agents(*dirs: str) -> list[Path]:
    from intercom_mux.broker import places

    return [places.agent_dir(text_of_dir) for text_of_dir in dirs]


@click.group(cls=Group)
def broker() -> None:
    """Start, stop and inspect the message broker; every command starts it when needed."""


@broker.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@places_options
@click.option("--tcp", "has_tcp", is_flag=True, help="Listen on 127.0.0.1 too; broker.port.json has port and secret.")
@click.argument("ignored", nargs=-1, type=click.UNPROCESSED, metavar="[ANYTHING]...")
def run(pi_dirs: tuple[str, ...], atomic_dirs: tuple[str, ...], has_tcp: bool, ignored: tuple[str, ...]) -> None:
    """Be the broker, in the foreground, until nobody has been registered for a while or a signal comes.

    Further arguments are ignored and PI_CODING_AGENT_DIR is heeded, so that this can be pi's brokerCommand. Returns
    when another broker of ours runs, which then listens for these sessions too.
    """
    del ignored
    from intercom_mux.broker import places
    from intercom_mux.broker.lifecycle import serve

    serve(agents=[*_agents(*pi_dirs, *atomic_dirs), *places.asked_by_environment()], announce=True, has_tcp=has_tcp)


@broker.command()
@places_options
@json_option
def start(pi_dirs: tuple[str, ...], atomic_dirs: tuple[str, ...], as_json: bool) -> None:
    """Start the broker in the background unless it runs; it answers on return."""
    from intercom_mux.broker.lifecycle import start_at

    socket = str(start_at(_agents(*pi_dirs, *atomic_dirs)))
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
    """Say whether the broker runs, where, and what it holds; starts nothing.

    In JSON `places` are further sockets: `path`, `state` (ours, foreign, none), `pid`; `shell` is where commands
    outside panes go: `socket`, `broker` (intercom-mux, stock, or null when none answers there).
    """
    facts = _facts()
    if as_json:
        print_json(facts)
        return
    places, shell = facts.pop("places"), facts.pop("shell")
    if facts["running"]:
        text.emit(text.table([(key.replace("_", " "), _shown(value)) for key, value in facts.items()]))
    else:
        text.emit("no broker is running; any command that needs one starts it")
    for place in places:
        text.emit(f"{place['path']}: {_holder(place)}")
    if shell["broker"] != "intercom-mux":
        kind = "which is not of ours" if shell["broker"] else "but none answers there"
        text.emit(f"commands of a shell talk to the broker at {shell['socket']}, {kind}")


@broker.command()
@click.option("--pi", "pi_dir", metavar="DIR", help="The agent directory; by default pi's own.")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@json_option
def replace(pi_dir: str | None, is_agreed: bool, as_json: bool) -> None:
    """Retire pi's stock broker and listen in its place before its sessions reconnect; asks first."""
    from intercom_mux.broker import lifecycle, places
    from intercom_mux.errors import BrokerError

    agent = places.pi_agent_dir() if pi_dir is None else places.agent_dir(pi_dir)
    if pi_dir is None and not agent.is_dir():
        raise BrokerError(
            f"pi has no broker here: there is no {agent}", hint="name its agent directory with `--pi DIR`"
        )
    socket = str(places.socket_of(agent))
    foreign = lifecycle.foreign_broker(agent)
    if foreign is not None and not is_agreed:
        click.echo(f"Another broker (pid {foreign}) serves {socket}.\n{LOST_WITH_IT}", err=True)
        click.confirm("Replace it?", abort=True, err=True)
    retired = lifecycle.replace(agent)
    if as_json:
        print_json({"socket": socket, "retired": retired})
    else:
        before = "" if retired is None else f"; the other one (pid {retired}) is retired"
        text.emit(f"the broker listens on {socket}{before}")


def _holder(place: Json) -> str:
    if place["state"] == "ours":
        return "served by this broker"
    if place["state"] == "none":
        return "nobody listens"
    return f"another broker (pid {place['pid'] or 'unknown'}); `intercom-mux broker replace` retires it"


def _facts() -> Json:
    from intercom_mux import paths
    from intercom_mux.broker import places
    from intercom_mux.broker.lifecycle import running
    from intercom_mux.client.blocking import Client
    from intercom_mux.client.identity import of_shell

    info = running()
    if info is None:
        found = places.survey(None)
        return {"running": False, "socket": str(paths.broker_socket()), "places": found, "shell": _shell()}
    with Client.connect(of_shell()) as client:
        counts = client.request("status")
    found = places.survey(info["pid"])
    return {"running": True, "socket": info["socket"], **counts, "places": found, "shell": _shell()}


def _shell() -> Json:
    from intercom_mux.client import address
    from intercom_mux.errors import BrokerError

    try:
        broker = address.chosen()
    except BrokerError as error:
        return {"socket": error.fields["path"], "broker": None}
    return {"socket": str(broker.path), "broker": "stock" if broker.is_foreign else "intercom-mux"}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "-" if isinstance(value, list) else str(value)
