"""What the board shows, made of what was seen. Pure."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]
Span = tuple[str, str]
"""A text and its tone: good, busy, bad, mine, quiet, strong, or "" for that of the terminal."""

COLUMNS = ("peer", "status", "for", "unread", "asks", "waits for", "task")
NOTHING = "·"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_KINDS = (
    ("idle", "○", "good", "idle"),
    ("thinking", "●", "busy", "working"),
    ("tool", "●", "busy", "working"),
    ("blocked", "▲", "bad", "blocked"),
    ("exited", "✗", "bad", "ended"),
    ("gone", "✗", "bad", "ended"),
    ("starting", "◌", "quiet", "starting"),
)
_UNKNOWN = ("unknown", "?", "quiet", "unknown")
_MARKS = {"ask": "?", "message": "→", "reply": "✓", "notice": "!"}
_STATES = {
    "blocked": ("▲", "bad"),
    "started": ("●", "busy"),
    "assigned": ("○", ""),
    "failed": ("✗", "bad"),
    "done": ("✓", "good"),
}
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
        me: Session id of the one who looks: the board is not shown on itself.
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
    me: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a list, told in spans; what is wrapped stands `indent` cells from the left."""

    spans: tuple[Span, ...]
    indent: int = 0

    @property
    def text(self) -> str:
        """The line without its tones."""
        return "".join(text for text, _ in self.spans)


def plain(text: str) -> str:
    """Return `text` on one line without anything that steers a terminal."""
    return " ".join(_CONTROL.sub(" ", text).split())


def span(seconds: float) -> str:
    """Return a length of time in its largest whole unit: `12s`, `3m`, `5h`, `2d`."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def head(seen: Snapshot) -> tuple[Span, ...]:
    """Return the head line: what waits for the person first, then how many peers are in which state."""
    counts: dict[tuple[str, str, str], int] = {}
    for session in _sessions(seen).values():
        _, mark, tone, word = _kind(_status(session))
        counts[mark, tone, word] = counts.get((mark, tone, word), 0) + 1
    to_me: tuple[Span, ...] = ((f" {len(seen.to_me)} to answer: a ", "alert"), ("  ", "")) if seen.to_me else ()
    order = {word: place for place, word in enumerate(("blocked", "ended", "working", "idle", "starting", "unknown"))}
    told = [(f"  {mark} {count} {word}", tone) for (mark, tone, word), count in counts.items()]
    told.sort(key=lambda span: order[span[0].rsplit(" ", 1)[1]])
    noun = "peer" if len(_sessions(seen)) == 1 else "peers"
    return ((seen.name, "strong"), ("  ", ""), *to_me, (f"{len(_sessions(seen))} {noun}", ""), *told)


def rows(seen: Snapshot, wanted: str = "") -> dict[str, tuple[Span, ...]]:
    """Return name → cells, one for each of `COLUMNS`, of the peers of which some cell has `wanted` in it."""
    shown = {name: _cells(name, session, seen) for name, session in _sessions(seen).items()}
    return {name: cells for name, cells in shown.items() if _fits(wanted, *(text for text, _ in cells))}


def timeline(seen: Snapshot, wanted: str = "", peer: str | None = None) -> list[Line]:
    """Return the messages as threads, each ask with its replies, that which was said in last at the end.

    With `peer` only what it has said or was told.
    """
    threads: dict[str, list[Json]] = {}
    root_of: dict[str, str] = {}
    for row in seen.messages:
        root: str = root_of.get(row["reply_to"] or "") or row["id"]
        root_of[row["id"]] = root
        # Taken out and put in again: the last spoken in comes last.
        threads[root] = [*threads.pop(root, []), row]
    told = [(row, row["id"] != root) for root, thread in threads.items() for row in thread]
    lines = [_line(row, is_reply, seen) for row, is_reply in told if peer is None or peer in _ends(row, seen)]
    return [line for line in lines if _fits(wanted, line.text)]


def tasks(seen: Snapshot, wanted: str = "", peer: str | None = None) -> list[Line]:
    """Return a line per task, those under way first; with `peer` only its own."""
    order = tuple(_STATES)
    ranked = sorted(seen.tasks, key=lambda row: (order.index(row["state"]), -row["updated_at"]))
    wide = max((len(row["owner"] or "") for row in ranked), default=0)
    lines = [_task(row, wide) for row in ranked if peer is None or row["owner"] == peer]
    return [line for line in lines if _fits(wanted, line.text)]


def done(seen: Snapshot) -> str:
    """Return how many of the tasks are done, "" when there are none."""
    if not seen.tasks:
        return ""
    return f"{sum(row['state'] == 'done' for row in seen.tasks)}/{len(seen.tasks)}"


def bar(percent: int) -> str:
    """Return a progress bar of a fixed width."""
    filled = round(_BAR * percent / 100)
    return "━" * filled + "╌" * (_BAR - filled) + f"{percent:4}%"


def bare(name: str, team: str) -> str:
    """Return a peer's name as its team says it."""
    return name.removeprefix(f"{team}/")


def _sessions(seen: Snapshot) -> dict[str, Json | None]:
    """Return the session of each peer that is to be shown, None for one that is gone."""
    known = {bare(row["name"] or "", seen.name): row for row in seen.sessions if row["team_id"] == seen.team}
    found = {name: known.get(name) for name in seen.peers}
    return {name: session for name, session in found.items() if session is None or session["id"] != seen.me}


def _status(session: Json | None) -> str:
    return str(session["status"] or "unknown") if session else "gone"


def _kind(status: str) -> tuple[str, str, str, str]:
    return next((kind for kind in _KINDS if status.startswith(kind[0])), _UNKNOWN)


def _cells(name: str, session: Json | None, seen: Snapshot) -> tuple[Span, ...]:
    key = session["id"] if session else None
    since = session["status_since"] if session else None
    mail = (seen.mail or {}).get(key or "", 0)
    owes = sum(row["to_id"] == key for row in seen.asks)
    awaits = [f"{plain(bare(row['to'], seen.name))} {span(row['age_s'])}" for row in seen.asks if row["from_id"] == key]
    _, mark, tone, _ = _kind(_status(session))
    task = _task_of(name, seen.tasks)
    return (
        (name, "strong"),
        (f"{mark} {plain(_status(session))}", tone),
        (span((seen.at - since) / 1000), "") if since else (NOTHING, "quiet"),
        (str(mail), "busy") if mail else (NOTHING, "quiet"),
        (str(owes), "mine") if owes else (NOTHING, "quiet"),
        (", ".join(awaits), "mine") if awaits else (NOTHING, "quiet"),
        (f"{bar(task['percent'])} {plain(task['title'] or task['id'])}", "bad" if task["state"] == "blocked" else "")
        if task
        else (NOTHING, "quiet"),
    )


def _task_of(name: str, rows_: Sequence[Json]) -> Json | None:
    mine = [row for row in rows_ if row["owner"] == name and row["state"] not in ("done", "failed")]
    begun = [row for row in mine if row["state"] != "assigned"]
    return max(begun or mine, key=lambda row: row["updated_at"], default=None)


def _ends(row: Json, seen: Snapshot) -> tuple[str, str]:
    return bare(row["from"], seen.name), bare(row["to"], seen.name)


def _line(row: Json, is_reply: bool, seen: Snapshot) -> Line:
    sender, to = _ends(row, seen)
    is_open = row["outcome"] == "open"
    clock = time.strftime("%H:%M", time.localtime(row["at"] / 1000))
    tone = "mine" if is_open else "good" if row["kind"] == "reply" else "strong"
    waits: tuple[Span, ...] = ((f"  waits {span((seen.at - row['at']) / 1000)}", "mine"),) if is_open else ()
    limb = "└ " if is_reply else ""
    who = f"{sender} {_MARKS.get(row['kind'], '→')} {to}"
    spans = ((f"{clock} {limb}", "quiet"), (who, tone), *waits, (f"  {plain(row['text'])}", ""))
    return Line(spans, 8 if is_reply else 6)


def _task(row: Json, wide: int) -> Line:
    mark, tone = _STATES[row["state"]]
    note: tuple[Span, ...] = ((f"  {plain(row['note'])}", "quiet"),) if row["note"] else ()
    front = f"{row['owner'] or NOTHING:{wide}}  "
    state = f"{mark} {row['state']:9}"
    title = plain(row["title"] or row["id"])
    return Line(((state, tone), (f"{bar(row['percent'])}  ", ""), (front, "strong"), (title, ""), *note), 24 + wide)


def _fits(wanted: str, *texts: str) -> bool:
    return not wanted or any(wanted.casefold() in text.casefold() for text in texts)
