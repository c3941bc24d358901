"""A report as Markdown: the tables of the page, without its pictures. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.report.page import waits_cells
from intercom_mux.report.words import in_markdown, moment, one_line, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from intercom_mux.report.model import Entry, Report

TEXT_CHARS = 200


def markdown(report: Report, zone: tzinfo) -> str:
    """Return the report; times are in `zone`. What peers wrote is one line and escaped."""
    count = report.totals
    period = f"{moment(report.begin, zone)} to {moment(report.end, zone)}"
    state = "runs" if report.is_running else "is down"
    parts = [
        f"# {in_markdown(report.team)}: what the team said and did",
        f"{period} ({span(report.end - report.begin)}); the team {state}.",
        f"{count.get('messages', 0):,} messages, {count.get('ask', 0):,} asks, {count.get('reply', 0):,} replies.",
        *(f"> {cut}." for cut in report.cuts),
        "## Who talked to whom",
        _table(
            ("from", "to", "messages", "asks", "replies"),
            ((row.sender, row.receiver, f"{row.messages}", f"{row.asks}", f"{row.replies}") for row in report.lines),
        ),
        "## Waiting for answers",
        _table(
            ("asked", "asks", "answered", "median wait", "worst wait", "without an answer"),
            map(waits_cells, report.waits),
        ),
        "## Tasks",
        _table(
            ("task", "about", "owner", "done", "state", "note"),
            ((task.id, task.title, task.owner, f"{task.percent} %", task.state, task.note) for task in report.tasks),
        ),
        "## How the time went",
        _table(
            ("peer", "time"),
            ((one.peer, ", ".join(f"{what} {span(ms)}" for what, ms in one.totals.items())) for one in report.times),
        ),
        "## Conversation",
        _table(("no.", "time", "from", "to", "kind", "text"), (_said(entry, zone) for entry in report.conversation)),
    ]
    return "\n\n".join(parts) + "\n"


def _said(entry: Entry, zone: tzinfo) -> Sequence[str]:
    kind = f"{entry.kind}, {entry.outcome}" if entry.outcome else entry.kind
    if entry.answers:
        kind += f" to {entry.answers} after {span(entry.waited_ms)}"
    text = one_line(entry.text, TEXT_CHARS)
    return f"{entry.number}", moment(entry.at, zone), entry.sender, entry.receiver, kind, text


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(in_markdown(cell) for cell in row)} |" for row in rows]
    if not lines:
        return "none"
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines])
