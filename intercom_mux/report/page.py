"""A report as one HTML page: no script, nothing from elsewhere, every picture also a table. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from intercom_mux.report import pictures
from intercom_mux.report.model import DOINGS
from intercom_mux.report.style import CSS
from intercom_mux.report.words import escaped, moment, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import tzinfo

    from intercom_mux.report.model import Entry, Report, Span, Waits

TASK_STATES = ("assigned", "started", "blocked", "done", "failed")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def html(report: Report, zone: tzinfo) -> str:
    """Return the whole page; times are in `zone`. Whatever peers wrote is text in it, never markup."""
    sections: list[tuple[str, str, Callable[[Report, tzinfo], str]]] = [
        ("talk", "Who talked to whom", _talk),
        ("conversation", "Conversation", _conversation),
        ("waits", "Waiting for answers", _waits),
        ("tasks", "Tasks", _tasks),
        ("time", "How the time went", _times),
    ]
    title = escaped(f"{report.team}: what the team said and did")
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{name}</h2>{make(report, zone)}</section>\n'
        for key, name, make in sections
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">Skip to the report</a>\n<header><h1>{title}</h1>{_head(report, zone)}'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f'<main id="main" tabindex="-1">\n{body}</main>\n'
        f"<footer><p>Made by intercom-mux from its journal. Times are {_zone(report, zone)}.</p></footer>\n"
        "</body>\n</html>\n"
    )


def _zone(report: Report, zone: tzinfo) -> str:
    return escaped(datetime.fromtimestamp(report.end / 1000, zone).tzname() or str(zone))


def _head(report: Report, zone: tzinfo) -> str:
    count = report.totals
    facts = [(count.get("messages", 0), "messages"), (count.get("ask", 0), "asks"), (count.get("reply", 0), "replies")]
    facts += [(len(report.peers), "peers"), (len(report.tasks), "tasks")]
    items = "".join(f"<li><strong>{number:,}</strong> {name}</li>" for number, name in facts)
    state = "It runs." if report.is_running else "It is down."
    period = f"{moment(report.begin, zone)} to {moment(report.end, zone)}, {span(report.end - report.begin)}. {state}"
    cuts = "".join(f"<p>{escaped(cut)}.</p>" for cut in report.cuts)
    notice = f'<div class="cuts" role="note">{cuts}<p>All totals count everything.</p></div>' if cuts else ""
    return f'<p class="soft">{period}</p><ul class="facts">{items}</ul>{notice}'


def _talk(report: Report, _zone: tzinfo) -> str:
    if not report.lines:
        return "<p>No messages.</p>"
    parties = {name for line in report.lines for name in (line.sender, line.receiver)}
    names = [name for name in (*report.peers, *report.others) if name in parties]
    picture = pictures.graph(names, report.lines, "Graph: who sent to whom, with the number of messages")
    rows = [
        (line.sender, line.receiver, f"{line.messages:,}", f"{line.asks:,}", f"{line.replies:,}")
        for line in report.lines
    ]
    table = _table("Messages by sender and receiver", ("From", "To", "Messages:n", "Asks:n", "Replies:n"), rows)
    return _scroll("Graph of who talked to whom", picture) + _as_table(table)


def _conversation(report: Report, zone: tzinfo) -> str:
    pages = report.pages
    if not pages:
        return "<p>No messages.</p>"
    order = [*report.peers, *report.others]
    hint = '<p class="soft">Asks are solid, replies dashed; the bar between them is the time the asker waited.</p>'
    parts = []
    for index, page in enumerate(pages):
        first, last = page[0], page[-1]
        about = f"Messages {first.number:,} to {last.number:,}, {moment(first.at, zone)} to {moment(last.at, zone)}"
        picture = pictures.sequence(page, order, zone, f"Sequence diagram. {about}")
        is_open = " open" if index == len(pages) - 1 else ""
        table = _table(about, ("No.:n", "Time", "From", "To", "Kind", "Text"), [_said(entry, zone) for entry in page])
        parts.append(
            f"<details{is_open}><summary>{about}</summary>{_scroll(f'Sequence diagram, {about}', picture)}"
            f"{_as_table(table, 'As a table, with the texts')}</details>"
        )
    return hint + "".join(parts)


def _said(entry: Entry, zone: tzinfo) -> tuple[str, ...]:
    kind = entry.kind
    if entry.kind == "ask":
        kind += f", {entry.outcome}" + (f" by {entry.answered_by:,}" if entry.answered_by else "")
    elif entry.answers:
        kind += f" to {entry.answers:,} after {span(entry.waited_ms)}" + (", auto" if entry.is_auto else "")
    if entry.state != "done":
        kind += f" ({entry.state})"
    text = entry.text
    if entry.chars > len(text):
        text += f"… ({entry.chars:,} characters)"
    if entry.attachments:
        text += f"\n[attachments: {entry.attachments}]"
    return f"{entry.number:,}", moment(entry.at, zone), entry.sender, entry.receiver, kind, text


def _waits(report: Report, zone: tzinfo) -> str:
    if not report.waits:
        return "<p>Nothing was asked.</p>"
    head = ("Asked", "Asks:n", "Answered:n", "Median wait:n", "Worst wait:n", "Without an answer")
    told = _scroll("Waiting times", _table("How long askers waited", head, [waits_cells(row) for row in report.waits]))
    if not report.unanswered:
        return f"{told}<p>Every ask was answered.</p>"
    rows = [
        (f"{ask.number:,}", moment(ask.at, zone), ask.sender, ask.receiver, ask.outcome or "unknown", ask.text[:200])
        for ask in report.unanswered
    ]
    table = _table("Asks without an answer", ("No.:n", "Time", "From", "To", "What became of it", "Text"), rows)
    return (
        f"{told}<details><summary>Asks without an answer</summary>{_scroll('Asks without an answer', table)}</details>"
    )


def waits_cells(waits: Waits) -> tuple[str, ...]:
    """Return the cells of one row about waiting times."""
    rest = ", ".join(f"{count:,} {outcome}" for outcome, count in waits.unanswered.items()) or "–"
    middle, worst = span(waits.median_ms), span(waits.worst_ms)
    return waits.asked or "all", f"{waits.asks:,}", f"{waits.answered:,}", middle, worst, rest


def _tasks(report: Report, zone: tzinfo) -> str:
    if not report.tasks:
        return "<p>No tasks.</p>"
    begin = min(one.begin for task in report.tasks for one in task.spans)
    bars = [(task.id, task.spans, f"{task.percent} % {task.state}") for task in report.tasks]
    picture = pictures.bars(bars, begin, max(begin, report.end), zone, "Tasks over time, with percent and state")
    rows = [
        (task.id, task.title, task.owner, f"{task.percent} %", task.state, _period(task.spans, zone), task.note)
        for task in report.tasks
    ]
    table = _table("Tasks", ("Task", "About", "Owner", "Done:n", "State", "Time", "Note"), rows)
    return _key(TASK_STATES) + _scroll("Tasks over time", picture) + _as_table(table)


def _period(spans: Sequence[Span], zone: tzinfo) -> str:
    begin, end = spans[0].begin, spans[-1].end
    return f"{moment(begin, zone)}, {span(end - begin)}"


def _times(report: Report, zone: tzinfo) -> str:
    if not report.times:
        return "<p>There is no record of statuses for this time.</p>"
    rows = [(one.peer, one.spans, "") for one in report.times]
    picture = pictures.bars(rows, report.begin, report.end, zone, "What each peer did over time")
    shown = [what for what in DOINGS if any(what in one.totals for one in report.times)]
    cells = [(one.peer, *(span(one.totals.get(what)) for what in shown)) for one in report.times]
    table = _table("Time by what a peer did", ("Peer", *(f"{what}:n" for what in shown)), cells)
    words = "Thinking is work of any kind, tools included; ended is after a kill; away is while nobody looked."
    note = f'<p class="soft">{words}</p>'
    return _key(shown) + _scroll("Time of each peer", picture) + _scroll("Times as a table", table) + note


def _key(words: Iterable[str]) -> str:
    items = "".join(f'<li><i class="do-{word}"></i>{word}</li>' for word in words)
    return f'<ul class="key" aria-label="Colours">{items}</ul>'


def _as_table(table: str, title: str = "As a table") -> str:
    return f"<details><summary>{title}</summary>{_scroll(title, table)}</details>"


def _scroll(label: str, content: str) -> str:
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(label)}">{content}</div>'


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a heading that ends in `:n` is over numbers, one called Text over what was written."""
    columns = [name.partition(":") for name in head]
    kinds = [_CLASS.get(name, ' class="n"' if mark else "") for name, mark, _ in columns]
    names = zip(columns, kinds, strict=True)
    top = "".join(f'<th scope="col"{kind}>{escaped(name)}</th>' for (name, _, _), kind in names)
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escaped(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f"<table><caption>{escaped(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


_CLASS = {"Text": ' class="text"', "Time": ' class="t"'}
