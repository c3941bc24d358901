"""`history`: what was said, from the broker's journal."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import json_option, print_json, refuse_without_journal
from intercom_mux.cli.complete import peer_names
from intercom_mux.wire.escalation import gist

Json = dict[str, Any]

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SAID_MIN_COLUMNS = 30
"""What a text needs beside who said it when; in a narrower terminal it stands below."""


@click.command()
@click.option("--peer", metavar="NAME", shell_complete=peer_names, help="Only what NAME sent or was sent.")
@click.option("--since", metavar="TIME", help="Only later ones: 30m, 2h, 3d, or 2026-01-31T09:30 in local time.")
@click.option("--ask", "ask_id", metavar="ID", help="One ask whole: question, state, replies, outcome.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, the last ones.")
@click.option("--prune", "is_pruning", is_flag=True, help="Remove what has ended and is too old or too much, instead.")
@click.option("--days", type=click.FloatRange(0), help="With --prune: keep so many days; else as configured.")
@click.option("--mb", type=click.FloatRange(0), help="With --prune: keep so many MiB; else as configured.")
@json_option
def history(
    peer: str | None,
    since: str | None,
    ask_id: str | None,
    limit: int,
    is_pruning: bool,
    days: float | None,
    mb: float | None,
    as_json: bool,
) -> None:
    """Show the messages of all your sessions from the journal, oldest first; needs no running broker."""
    from intercom_mux.broker import history as journal

    is_bounded = days is not None or mb is not None
    if is_bounded and not is_pruning:
        raise click.UsageError("--days and --mb go with --prune")
    if is_pruning and (peer or since or ask_id):
        raise click.UsageError("--prune goes only with --days and --mb")
    refuse_without_journal("history")
    journal.settle()
    if is_pruning:
        removed = journal.prune(days=days, mb=mb)
        _prune_records(days)
        told = f"{text.plural(removed, 'message is', 'messages are')} removed"
        value: Any = {"removed": removed}
    elif ask_id is not None:
        value = journal.conversation(ask_id)
        told = "" if as_json else _conversation(value)
    else:
        value = journal.messages(peer=peer, since=moment(since) if since else 0, limit=limit)
        told = "" if as_json else _lines(value)
    if as_json:
        print_json(value)
    else:
        text.emit(told)


def _prune_records(days: float | None) -> None:
    """Remove what is kept of teams that are down, as old as what the journal forgets."""
    from intercom_mux.broker import config
    from intercom_mux.team import status_log

    status_log.prune(config.load().history_days if days is None else days)


def moment(words: str) -> int:
    """Return Unix milliseconds."""
    from datetime import datetime

    span = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", words)
    if span:
        return round((time.time() - float(span[1]) * _UNITS_S[span[2]]) * 1000)
    try:
        return round(datetime.fromisoformat(words).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(f"{words!r} is neither like 2h nor a date", param_hint="--since") from None


def _at(moment: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment / 1000))


def _lines(rows: list[Json]) -> str:
    if not rows:
        return "no messages"
    columns = text.width()
    facts = [
        (_at(row["at"]), f"{row['from']} → {row['to']}", row["kind"], row["state"], text.short(row["id"]))
        for row in rows
    ]
    said = [text.one_line(gist(row["text"]))[:200] for row in rows]
    taken = max(map(text.cells_of, text.table(facts).split("\n")))
    if columns is None or columns >= taken + _SAID_MIN_COLUMNS:
        return text.table([(*cells, words) for cells, words in zip(facts, said, strict=True)], columns=columns)
    heads = text.table([(at, short, kind, state, names) for at, names, kind, state, short in facts], columns=columns)
    lines = zip(heads.split("\n"), said, strict=True)
    return "\n".join(f"{head}\n{text.cut(f'  {words}', columns)}" for head, words in lines)


def _conversation(value: Json) -> str:
    parts = [_letter(row) for row in (value["question"], *value["replies"])]
    end = f", waits until {_at(value['deadline'])}" if value["outcome"] == "open" else ""
    return "\n\n".join([*parts, f"{value['outcome']}{end}"])


def _letter(row: Json) -> str:
    ended = f" {_at(row['ended_at'])}" if row["ended_at"] else ""
    head = (
        f"[{text.short(row['id'])}] {row['kind']} {row['from']} → {row['to']}, {_at(row['at'])} ({row['state']}{ended})"
    )
    return f"{head}\n{text.reply(row['text'], row['attachments'])}"
