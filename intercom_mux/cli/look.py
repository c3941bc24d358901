"""`list`, `pending`, `inbox`, `name`, `progress`, `tasks`: what there is, and how far it is."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import Duration, connected, json_option, print_json, socket_option, team_option, watching
from intercom_mux.cli.complete import peer_names

if TYPE_CHECKING:
    from intercom_mux.client.blocking import Client

Json = dict[str, Any]

_PATH_COLUMNS = 20
"""Room for the end of a path."""


@click.command("list")
@click.option("--cwd", "only_here", is_flag=True, help="Only sessions in this directory.")
@team_option
@json_option
def list_(only_here: bool, team: str | None, as_json: bool) -> None:
    """List the connected sessions, yourself included, who waits for whose answer, and the tasks in progress.

    In JSON sessions only: id, name, role, team, team_id, kind (peer, shell, agent), status, status_since (Unix
    milliseconds), cwd, model, pid, self, waiting (messages), waits_for and asked_by (with, id, age_s), task (what it
    works on: id, title, state, percent). What a broker does not know is null; a stock one knows no roles, teams and
    tasks, and calls all agents.
    """
    with connected(team) as client:
        sessions = client.sessions()
        standing = {"asks": [], "mail": {}} if client.is_foreign else client.request("waits")
        tasks = [] if client.is_foreign else client.tasks()
    if only_here:
        here = os.path.realpath(os.curdir)
        sessions = [row for row in sessions if os.path.realpath(row["cwd"]) == here]
    sessions = _by_team(sessions, client.identity.team)
    if as_json:
        print_json([{**row, **_standing_of(row["id"], standing), "task": _task_of(row, tasks)} for row in sessions])
        return
    rows = [("NAME", "ROLE", "TEAM", "STATUS", "FOR", "MODEL", "CWD"), *map(_session_cells, sessions)]
    at_work = [_task_of(row, tasks) for row in sessions]
    if any(at_work):
        work = ("TASK", *(f"{task['id']} {task['percent']}%" if task else "-" for task in at_work))
        rows = [(*row[:5], cell, *row[5:]) for row, cell in zip(rows, work, strict=True)]
    lines = [text.table(_narrowed(rows, text.width()), columns=text.width(), ends_in_path=True)]
    if standing["asks"] and not only_here:
        waits = [(row["from"], "waits for", *text.wait_cells(row)) for row in standing["asks"]]
        lines += ["", text.table(waits, columns=text.width())]
    if tasks and not only_here:
        lines += ["", text.table(text.team_task_cells(tasks), columns=text.width())]
    text.emit("\n".join(lines))


def _standing_of(session_id: str, standing: Json) -> Json:
    def asks(mine: str, other: str) -> list[Json]:
        rows = [row for row in standing["asks"] if row[f"{mine}_id"] == session_id]
        return [{"with": row[other], "id": row["id"], "age_s": row["age_s"]} for row in rows]

    waiting = standing["mail"].get(session_id, 0)
    return {"waiting": waiting, "waits_for": asks("from", "to"), "asked_by": asks("to", "from")}


def _task_of(row: Json, tasks: list[Json]) -> Json | None:
    """Return the task that a session works on, in short; None when it has none."""
    task = text.current_task((row["name"] or "").rpartition("/")[2], row["team_id"] or "", tasks)
    return {key: task[key] for key in ("id", "title", "state", "percent")} if task else None


def _narrowed(rows: list[tuple[str, ...]], columns: int | None) -> list[tuple[str, ...]]:
    """Return the rows without what can be done without, as far as a narrow terminal has no room for it."""
    for less in ("MODEL", "TEAM", "ROLE"):
        before_path = text.table([row[:-1] for row in rows]).split("\n")
        if columns is None or max(map(len, before_path)) + _PATH_COLUMNS <= columns:
            break
        at = rows[0].index(less)
        rows = [(*row[:at], *row[at + 1 :]) for row in rows]
    return rows


def _by_team(sessions: list[Json], team: str | None) -> list[Json]:
    """Return the sessions with those of one team together, the caller's first and those of none last.

    Within a team they stand as in its layout: the broker knows only in which order they came, or came back.
    """
    if not any(row["team_id"] for row in sessions):
        return sessions
    from intercom_mux.team.state import all_teams

    ids = (peer.session_id for known in all_teams() for peer in known.peers.values())
    places = {session_id: place for place, session_id in enumerate(ids)}
    last = len(places)

    def standing(row: Json) -> tuple[bool, bool, str, int]:
        return not row["team_id"], row["team_id"] != team, row["team"] or "", places.get(row["id"], last)

    return sorted(sessions, key=standing)


def _session_cells(row: Json) -> tuple[str, ...]:
    name = (row["name"] or text.short(row["id"])) + (" (you)" if row["self"] else "")
    since = row["status_since"]
    age = text.span(max(0, time.time() - since / 1000)) if since else None
    facts = (row["role"], row["team"], row["status"], age, row["model"])
    return (name, *(fact or "-" for fact in facts), text.short_path(row["cwd"]))


@click.command()
@team_option
@json_option
def pending(team: str | None, as_json: bool) -> None:
    """Show the asks that wait for your reply, and your own that are open.

    In JSON `to_me` and `from_me`: id, with, text, age_s, left_s, is_blocking, is_active, state, note. What a sub-agent
    of pi asks through its file channel is among them; `for` then says whom it means.
    """
    from intercom_mux.supervise import open_asks

    with connected(team) as client:
        value = open_asks.pending(client)
        if as_json:
            print_json(value)
        else:
            text.emit(text.pending(value, columns=text.width()))


@click.command()
@click.argument("words", metavar="[ID]", nargs=-1)
@click.option("--peek", is_flag=True, help="Do not mark them as read.")
@click.option("--wait", type=Duration(), metavar="TIME", help="Wait so long (30s, 10m) for one to come.")
@team_option
@json_option
def inbox(words: tuple[str, ...], peek: bool, wait: float | None, team: str | None, as_json: bool) -> None:
    """Show the messages that wait for you, oldest first, and mark them as read; with ID that one, read or not.

    With --wait a program in a pane can be a peer: it is told of each message as it comes. Exit code 11: none came.
    """
    if len(words) > 1:
        raise click.UsageError("one ID, or none")
    if words and wait is not None:
        raise click.UsageError("--wait is for whatever comes next, not for one ID")
    if wait is not None:
        with watching(team, "inbox --wait") as watcher:
            _hand_over(watcher, watcher.mail(wait), peek, as_json)
        return
    with connected(team, notes_waiting=False) as client:
        _hand_over(client, client.inbox(words[0] if words else None, peek=True), peek, as_json)


def _hand_over(client: Client, letters: list[Json], peek: bool, as_json: bool) -> None:
    """Print messages, and then say that they are read, unless only `peek`ed at."""
    from intercom_mux.errors import BrokerError, DeliveryError

    if as_json:
        print_json(letters)
    else:
        text.emit(text.letters(letters))
    if peek:
        return
    try:
        for letter in letters:
            client.request("inbox", id=letter["id"])
    except (OSError, DeliveryError) as error:
        raise BrokerError(text.NOT_MARKED) from error


@click.command()
@click.argument("new", metavar="[NEW]", required=False)
@socket_option
@json_option
def name(new: str | None, as_json: bool) -> None:
    """Show the name you have among the sessions, or take a new one."""
    with connected(None) as client:
        value = client.request("name", name=new)["name"] if new is not None else client.name
        if as_json:
            print_json({"name": value, "id": client.identity.session_id})
        else:
            text.emit(value)


@click.command()
@click.argument("words", metavar="TASK", nargs=-1)
@click.option("--percent", type=click.IntRange(0, 100), help="How much is done; 100 ends the task.")
@click.option("--state", type=click.Choice(text.TASK_STATES), help="What it is in.")
@click.option("--note", metavar="TEXT", help="What happens just now.")
@click.option("--title", metavar="TEXT", help="What it is about.")
@click.option("--owner", metavar="NAME", shell_complete=peer_names, help="Who works on it; you, if it is new.")
@team_option
@json_option
def progress(
    words: tuple[str, ...],
    percent: int | None,
    state: str | None,
    note: str | None,
    title: str | None,
    owner: str | None,
    team: str | None,
    as_json: bool,
) -> None:
    """Create or change a task of the team, by an id of your choice; what is not given stays as it is.

    Without options it shows a task that is there. One that nobody has becomes yours by --percent or --state. One that
    has ended is taken up again by --state only.
    """
    if len(words) != 1:
        raise click.UsageError("give one TASK id, in quotes if it has blanks")
    changes = {"percent": percent, "state": state, "note": note, "title": title, "owner": owner}
    with connected(team) as client:
        if client.identity.is_shell:
            changes["team"] = client.identity.team
        task = client.progress(words[0], **changes)
        if as_json:
            print_json(task)
        else:
            text.emit(text.task(task))


@click.command()
@team_option
@json_option
def tasks(team: str | None, as_json: bool) -> None:
    """Show the tasks of the team, and how far each is."""
    with connected(team) as client:
        rows = client.tasks()
        if as_json:
            print_json(rows)
        else:
            text.emit(text.tasks(rows, columns=text.width()))
