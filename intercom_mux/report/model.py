"""What a report says, as data: totals of everything, and of long lists their last part, with what is left out. Pure."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intercom_mux.report.collect import Source
    from intercom_mux.team.status_log import Change

Json = dict[str, Any]

MAX_MESSAGES = 1_000
PAGE_MESSAGES = 50
"""The last messages that are shown one by one, and how many of them one picture holds."""

MAX_LINES = 150
MAX_WAITS = 100
MAX_TASKS = 200
MAX_SPANS = 200
"""Most lines of the graph, asks without an answer, tasks, and spans of one peer's time that are drawn."""

DOINGS = ("thinking", "blocked", "idle", "starting", "exited", "ended", "unknown", "away")
"""What a peer's time is spent on. `thinking` is work of any kind, tools included; `exited`: its program is over;
`ended`: it was killed; `away`: nobody looked."""


@dataclass(frozen=True, slots=True)
class Line:
    """What went from one to another."""

    sender: str
    receiver: str
    messages: int
    asks: int
    replies: int


@dataclass(frozen=True, slots=True)
class Waits:
    """Asks to one peer, or to all (`asked` is then ""): how long their answers took, in milliseconds; None without any.

    `unanswered` counts the others by what became of them.
    """

    asked: str
    asks: int
    answered: int
    median_ms: int | None
    worst_ms: int | None
    unanswered: dict[str, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as it is shown, numbered from 1 over all of them.

    Attributes:
        answers: Number of the ask that it replies to; None if that is not in the report.
        answered_by: Number of the first reply.
        waited_ms: How long the asker waited: in a reply for it, in an open ask until now.
        outcome: Of an ask: answered, open, cancelled, superseded, expired, ended, unknown.
    """

    number: int
    at: int
    sender: str
    receiver: str
    kind: str
    state: str
    text: str
    chars: int
    attachments: int
    is_auto: bool = False
    answers: int | None = None
    answered_by: int | None = None
    waited_ms: int | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A peer did one thing, or a task was in one state, from `begin` to `end` (Unix milliseconds)."""

    begin: int
    end: int
    what: str


@dataclass(frozen=True, slots=True)
class PeerTime:
    """How a peer's time went: milliseconds by doing, of all of it, and the spans to draw."""

    peer: str
    totals: dict[str, int]
    spans: list[Span]


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One task; `spans` holds its states over time if they are known, else one for its whole life."""

    id: str
    title: str
    owner: str
    assigner: str
    state: str
    percent: int
    note: str
    spans: list[Span]


@dataclass(frozen=True, slots=True)
class Report:
    """What a page shows. `cuts` says in words what is left out of its lists; totals are always of everything."""

    team: str
    team_id: str
    is_running: bool
    since: int
    begin: int
    end: int
    peers: list[str]
    others: list[str]
    totals: dict[str, int]
    lines: list[Line]
    waits: list[Waits]
    unanswered: list[Entry]
    conversation: list[Entry]
    tasks: list[TaskLine]
    times: list[PeerTime]
    cuts: list[str]

    @property
    def pages(self) -> list[list[Entry]]:
        """The conversation in pieces that a picture can hold, oldest first."""
        shown = self.conversation
        return [shown[index : index + PAGE_MESSAGES] for index in range(0, len(shown), PAGE_MESSAGES)]


def build(source: Source) -> Report:
    """Make the report of what was collected."""
    entries = _entries(source)
    begin, end = _period(source)
    lines = _lines(entries)
    unanswered = [entry for entry in entries if entry.kind == "ask" and entry.answered_by is None]
    tasks = [_task(task, source.now if source.is_running else end) for task in source.tasks]
    times = _times(source, end)
    parties = dict.fromkeys(name for line in lines for name in (line.sender, line.receiver))
    lists: list[tuple[str, Sequence[Any], int]] = [
        ("messages are shown one by one: the last", entries, MAX_MESSAGES),
        ("lines are drawn between peers: the busiest", lines, MAX_LINES),
        ("asks without an answer are listed: the last", unanswered, MAX_WAITS),
        ("tasks are shown: the last", tasks, MAX_TASKS),
    ]
    cuts = [f"{limit:,} of {len(rows):,} {what}" for what, rows, limit in lists if len(rows) > limit]
    clipped = sum(len(entry.text) < entry.chars for entry in entries[-MAX_MESSAGES:])
    if clipped:
        cuts.append(f"{clipped:,} long texts are shortened")
    return Report(
        team=source.team,
        team_id=source.team_id,
        is_running=source.is_running,
        since=source.since,
        begin=begin,
        end=end,
        peers=source.peers,
        others=[name for name in parties if name not in set(source.peers)],
        totals={"messages": len(entries), **Counter(entry.kind for entry in entries)},
        lines=lines[:MAX_LINES],
        waits=_waits(entries),
        unanswered=unanswered[-MAX_WAITS:],
        conversation=entries[-MAX_MESSAGES:],
        tasks=tasks[-MAX_TASKS:],
        times=times,
        cuts=cuts,
    )


def _entries(source: Source) -> list[Entry]:
    """Return every message, asks and their replies joined."""
    asks: dict[tuple[str, str], int] = {}
    answers: dict[int, int] = {}
    reply_of: dict[int, int] = {}
    for number, row in enumerate(source.messages, 1):
        if row["kind"] == "ask":
            asks[row["from_id"], row["id"]] = number
        elif row["reply_to"] and (asked := asks.get((row["to_id"], row["reply_to"]))):
            reply_of[number] = asked
            if row["kind"] == "reply":
                answers.setdefault(asked, number)
    entries = []
    for number, row in enumerate(source.messages, 1):
        asked = reply_of.get(number)
        outcome = "answered" if number in answers else row["outcome"]
        waited = None
        if asked is not None:
            waited = max(0, row["at"] - source.messages[asked - 1]["at"])
        elif outcome == "open":
            waited = max(0, source.now - row["at"])
        entries.append(
            Entry(
                number,
                row["at"],
                row["from"],
                row["to"],
                row["kind"],
                row["state"],
                row["text"],
                row["chars"],
                len(row["attachments"]),
                row["is_auto"],
                asked,
                answers.get(number),
                waited,
                outcome,
            )
        )
    return entries


def _period(source: Source) -> tuple[int, int]:
    """Return from when to when something is known; a team that runs does so until now."""
    moments = [row["at"] for row in source.messages] + [change.at for change in source.changes]
    told = (_moment(task.get(key)) for task in source.tasks for key in ("created_at", "updated_at"))
    moments += [at for at in told if at]
    begin = max(source.since, min(moments, default=source.now))
    return begin, source.now if source.is_running else max(begin, *moments, 0)


def _lines(entries: Iterable[Entry]) -> list[Line]:
    """Return who sent to whom how much, the busiest first."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for entry in entries:
        counts[entry.sender, entry.receiver][entry.kind] += 1
    lines = [Line(*pair, count.total(), count["ask"], count["reply"]) for pair, count in counts.items()]
    return sorted(lines, key=lambda line: -line.messages)


def _waits(entries: list[Entry]) -> list[Waits]:
    """Return the waits for all asks together, then by who was asked, the slowest first."""
    by_asked: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.kind == "ask":
            by_asked[entry.receiver].append(entry)
    if not by_asked:
        return []
    each = [_waits_of(asked, asks, entries) for asked, asks in by_asked.items()]
    everybody = _waits_of("", [ask for asks in by_asked.values() for ask in asks], entries)
    return [everybody, *sorted(each, key=lambda waits: -(waits.median_ms or 0))]


def _waits_of(asked: str, asks: list[Entry], entries: list[Entry]) -> Waits:
    took = [entries[ask.answered_by - 1].waited_ms or 0 for ask in asks if ask.answered_by]
    unanswered = Counter(ask.outcome or "unknown" for ask in asks if not ask.answered_by)
    middle = round(statistics.median(took)) if took else None
    return Waits(asked, len(asks), len(took), middle, max(took, default=None), dict(unanswered))


def doing(status: str) -> str:
    """Return which of `DOINGS` a status is."""
    word = status.partition(" ")[0].partition(":")[0]
    if word == "tool":
        return "thinking"
    if word == "stopped":
        return "away"
    return word if word in DOINGS else "unknown"


def _times(source: Source, end: int) -> list[PeerTime]:
    changes: dict[str, list[Change]] = defaultdict(list)
    for change in source.changes:
        changes[change.peer].append(change)
    return [_time(peer, changes[peer], end) for peer in source.peers if peer in changes]


def _time(peer: str, changes: list[Change], end: int) -> PeerTime:
    ends = [*(change.at for change in changes[1:]), end]
    doings = _believed(doing(change.status) for change in changes)
    spans = _joined(
        Span(change.at, until, what)
        for change, until, what in zip(changes, ends, doings, strict=True)
        if until > change.at
    )
    totals: Counter[str] = Counter()
    for span in spans:
        totals[span.what] += span.end - span.begin
    return PeerTime(peer, {what: totals[what] for what in DOINGS if totals[what]}, _coarse(spans))


def _believed(doings: Iterable[str]) -> Iterator[str]:
    """Yield what is known of a peer: nobody has to look at one that is over."""
    last = ""
    for what in doings:
        last = last if what == "away" and last in ("exited", "ended") else what
        yield last


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Return the spans with neighbours of the same kind made one."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].what == span.what:
            joined[-1] = Span(joined[-1].begin, span.end, span.what)
        else:
            joined.append(span)
    return joined


def _coarse(spans: list[Span]) -> list[Span]:
    """Return at most `MAX_SPANS` spans: of each slot of time what most of it went to."""
    if len(spans) <= MAX_SPANS:
        return spans
    begin, length = spans[0].begin, spans[-1].end - spans[0].begin
    shares: dict[int, Counter[str]] = defaultdict(Counter)
    edges = [begin + length * slot // MAX_SPANS for slot in range(MAX_SPANS + 1)]
    slot = 0
    for span in spans:
        while edges[slot + 1] <= span.begin:
            slot += 1
        first = slot
        while first < MAX_SPANS and edges[first] < span.end:
            shares[first][span.what] += min(span.end, edges[first + 1]) - max(span.begin, edges[first])
            first += 1
    return _joined(Span(edges[slot], edges[slot + 1], share.most_common(1)[0][0]) for slot, share in shares.items())


def _task(task: Json, now: int) -> TaskLine:
    """Read a task as any broker wrote it; what is missing or of another kind is left empty."""

    def words(key: str) -> str:
        return str(task.get(key) or "")

    percent = task.get("percent")
    return TaskLine(
        words("id"),
        words("title"),
        words("owner"),
        words("assigner"),
        words("state") or "assigned",
        min(100, max(0, percent)) if isinstance(percent, int) else 0,
        words("note"),
        _task_spans(task, now),
    )


def _task_spans(task: Json, now: int) -> list[Span]:
    state = str(task.get("state") or "assigned")
    created, updated = (_moment(task.get(key)) or now for key in ("created_at", "updated_at"))
    end = max(created, updated if state in ("done", "failed") else now)
    history = task.get("history")
    steps = [
        (at, str(step.get("state") or state))
        for step in (history if isinstance(history, list) else [])
        if isinstance(step, dict) and (at := _moment(step.get("at")))
    ]
    if not steps:
        return [Span(created, end, state)]
    steps.sort()
    ends = [*(at for at, _ in steps[1:]), max(end, steps[-1][0])]
    return _joined(Span(at, until, what) for (at, what), until in zip(steps, ends, strict=True))


def _moment(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
