"""What the board shows, made of what was seen. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]
Cell = tuple[str, str]
"""A text and its colour, "" for that of the terminal."""

COLUMNS = ("peer", "status", "for", "task", "mail", "waits for")
NOTHING = "-"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_COLOURS = (
    ("idle", "green"),
    ("blocked", "red"),
    ("exited", "red"),
    ("gone", "red"),
    ("thinking", "yellow"),
    ("tool", "yellow"),
    ("starting", "cyan"),
)
_MARKS = {"ask": "?", "message": "→", "reply": "✓", "notice": "!"}
_BAR = 6


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was seen at one look.

    Attributes:
        at: Unix milliseconds.
        peers: Name → its place in the multiplexer (None without), in the team's order.
        sessions: Connected sessions, as `Client.sessions` has them.
        asks: All open asks, as the request `waits` has them.
        mail: Session id → messages that wait for it.
        tasks: Of the team.
        messages: From the journal, oldest first.
        to_me: Asks that wait for our reply, as the request `pending` has them.
        team: Id of the team, whose bare name is `name`.
    """

    at: int
    team: str
    name: str
    peers: Mapping[str, str | None]
    sessions: Sequence[Json] = ()
    asks: Sequence[Json] = ()
    mail: Mapping[str, int] | None = None
    tasks: Sequence[Json] = ()
    messages: Sequence[Json] = ()
    to_me: Sequence[Json] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One message of the timeline; a reply stands, indented, below what it answers."""

    key: str
    text: str
    colour: str
    is_reply: bool


def plain(text: str) -> str:
    """Return `text` on one line without anything that steers a terminal."""
    return " ".join(_CONTROL.sub(" ", text).split())


def span(seconds: float) -> str:
    """Return a length of time in its largest whole unit: `12s`, `3m`, `5h`, `2d`."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def rows(seen: Snapshot, wanted: str = "") -> dict[str, tuple[Cell, ...]]:
    """Return name → cells, one for each of `COLUMNS`, of the peers of which some cell has `wanted` in it."""
    sessions = {bare(row["name"] or "", seen.name): row for row in seen.sessions if row["team_id"] == seen.team}
    shown = {name: _cells(name, sessions.get(name), seen) for name in seen.peers}
    return {name: cells for name, cells in shown.items() if _fits(wanted, *(text for text, _ in cells))}


def changes(
    before: Mapping[str, tuple[Cell, ...]], after: Mapping[str, tuple[Cell, ...]]
) -> list[tuple[str, int, Cell]] | None:
    """Return (name, column, cell) of what changed; None when there are other rows, or in another order."""
    if list(before) != list(after):
        return None
    return [
        (name, column, cell)
        for name, cells in after.items()
        for column, cell in enumerate(cells)
        if cell != before[name][column]
    ]


def timeline(seen: Snapshot, wanted: str = "") -> list[Line]:
    """Return the messages as threads, each ask with its replies, that which was said in last at the end."""
    threads: dict[str, list[Json]] = {}
    root_of: dict[str, str] = {}
    for row in seen.messages:
        root: str = root_of.get(row["reply_to"] or "") or row["id"]
        root_of[row["id"]] = root
        # Taken out and put in again: the last spoken in comes last.
        threads[root] = [*threads.pop(root, []), row]
    lines = [_line(row, row["id"] != root, seen) for root, told in threads.items() for row in told]
    return [line for line in lines if _fits(wanted, line.text)]


def tasks(seen: Snapshot, wanted: str = "") -> list[str]:
    """Return a line per task, those under way first."""
    order = ("blocked", "started", "assigned", "failed", "done")
    ranked = sorted(seen.tasks, key=lambda row: (order.index(row["state"]), -row["updated_at"]))
    lines = [
        f"{bar(row['percent'])} {row['state']:8} {row['owner'] or NOTHING}  {plain(row['title'] or row['id'])}"
        + (f" — {plain(row['note'])}" if row["note"] else "")
        for row in ranked
    ]
    return [line for line in lines if _fits(wanted, line)]


def bar(percent: int) -> str:
    """Return a progress bar of a fixed width."""
    filled = round(_BAR * percent / 100)
    return "█" * filled + "░" * (_BAR - filled) + f"{percent:4}%"


def bare(name: str, team: str) -> str:
    """Return a peer's name as its team says it."""
    return name.removeprefix(f"{team}/")


def colour(status: str) -> str:
    """Return the colour of a status, "" for one that says nothing."""
    return next((colour for start, colour in _COLOURS if status.startswith(start)), "")


def _cells(name: str, session: Json | None, seen: Snapshot) -> tuple[Cell, ...]:
    status = (session["status"] or "unknown") if session else "gone"
    since = session["status_since"] if session else None
    task = _task_of(name, seen.tasks)
    mail = (seen.mail or {}).get(session["id"], 0) if session else 0
    owed = [
        f"{plain(row['to'])} {span(row['age_s'])}" for row in seen.asks if session and row["from_id"] == session["id"]
    ]
    return (
        (name, ""),
        (plain(status), colour(status)),
        (span((seen.at - since) / 1000) if since else NOTHING, ""),
        (f"{bar(task['percent'])} {plain(task['title'] or task['id'])[:24]}" if task else NOTHING, ""),
        (str(mail) if mail else NOTHING, "yellow" if mail else ""),
        (", ".join(owed) or NOTHING, "magenta" if owed else ""),
    )


def _task_of(name: str, rows_: Sequence[Json]) -> Json | None:
    mine = [row for row in rows_ if row["owner"] == name and row["state"] not in ("done", "failed")]
    begun = [row for row in mine if row["state"] != "assigned"]
    return max(begun or mine, key=lambda row: row["updated_at"], default=None)


def _line(row: Json, is_reply: bool, seen: Snapshot) -> Line:
    who = f"{bare(row['from'], seen.name)} {_MARKS.get(row['kind'], '→')} {bare(row['to'], seen.name)}"
    is_open = row["outcome"] == "open"
    waits = f" (waits {span((seen.at - row['at']) / 1000)})" if is_open else ""
    text = f"{'  └ ' if is_reply else ''}{who}{waits}: {plain(row['text'])}"
    shade = "magenta" if is_open else "green" if row["kind"] == "reply" else ""
    return Line(row["id"], text, shade, is_reply)


def _fits(wanted: str, *texts: str) -> bool:
    return not wanted or any(wanted.casefold() in text.casefold() for text in texts)
