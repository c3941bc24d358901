"""`task add | assign | list | show | done`: pieces of work, and who does them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import connected, json_option, print_json, team_option
from intercom_mux.cli.complete import peer_names
from intercom_mux.cli.groups import Group

if TYPE_CHECKING:
    from intercom_mux.client.blocking import Client

Json = dict[str, Any]


@click.group(cls=Group)
def task() -> None:
    """Keep the team's tasks: make them, give them to peers, see how far they are."""


@task.command()
@click.argument("title")
@click.option("--to", "owner", metavar="PEER", shell_complete=peer_names, help="Give it to this one, by a message.")
@click.option("--id", "task_id", metavar="ID", default="", help="Its id; made of the title unless given.")
@click.option("--note", metavar="TEXT", default="", help="What else there is to know.")
@team_option
@json_option
def add(title: str, owner: str | None, task_id: str, note: str, team: str | None, as_json: bool) -> None:
    """Create a task, and with --to tell a peer that it is its own.

    The same comes of a line `[task] TITLE` or `[task:ID] TITLE` in the text of any message to a peer.
    """
    from intercom_mux.client import tasks

    with connected(team) as client:
        row = _give(client, owner, title, task_id, note) if owner else tasks.add(client, title, task=task_id, note=note)
        _print(row, as_json=as_json)


@task.command()
@click.argument("task_id", metavar="ID")
@click.argument("peer", shell_complete=peer_names)
@click.option("--note", metavar="TEXT", default="", help="What else there is to know.")
@team_option
@json_option
def assign(task_id: str, peer: str, note: str, team: str | None, as_json: bool) -> None:
    """Give a task to a peer, by a message to it; begun by another, which is told so, it starts anew.

    ID may be the start of the id, here and in `show`, `done` and `wait --task`.
    """
    from intercom_mux.client import tasks

    with connected(team) as client:
        row = tasks.show(client, task_id)
        words = note or (row["note"] if row["state"] == "assigned" else "")
        _print(_give(client, peer, row["title"] or row["id"], row["id"], words), as_json=as_json)


def _give(client: Client, peer: str, title: str, task_id: str, note: str) -> Json:
    from intercom_mux.client import tasks

    if "]" in task_id or "\n" in task_id:
        raise click.UsageError(f"the id {task_id!r} cannot stand in a message")
    return tasks.give(client, peer, title, task=task_id, note=note)


@task.command("list")
@click.option("--state", type=click.Choice(text.TASK_STATES), multiple=True, help="Only those in this state.")
@team_option
@json_option
def list_(state: tuple[str, ...], team: str | None, as_json: bool) -> None:
    """Show the tasks of the team, and how far each is."""
    with connected(team) as client:
        rows = [row for row in client.tasks() if not state or row["state"] in state]
        if as_json:
            print_json(rows)
        else:
            text.emit(text.tasks(rows, columns=text.width()))


@task.command()
@click.argument("task_id", metavar="ID")
@team_option
@json_option
def show(task_id: str, team: str | None, as_json: bool) -> None:
    """Show a task with its history, and the messages it came with."""
    from intercom_mux.client import tasks

    with connected(team) as client:
        row = tasks.show(client, task_id)
        if as_json:
            print_json(row)
        else:
            text.emit(text.task_history(row))


@task.command()
@click.argument("task_id", metavar="ID")
@click.option("--note", metavar="TEXT", help="What came of it.")
@team_option
@json_option
def done(task_id: str, note: str | None, team: str | None, as_json: bool) -> None:
    """Mark a task as done; `intercom-mux progress` tells any other state."""
    from intercom_mux.client import tasks

    with connected(team) as client:
        row = tasks.show(client, task_id)
        _print(client.progress(row["id"], state="done", note=note, team=row["team"]), as_json=as_json)


def _print(row: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(row)
    else:
        text.emit(text.task(row))
