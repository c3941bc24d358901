"""The journal as history: who said what to whom, and what became of it; with or without a running broker.

Reads beside the broker and never blocks it. What came since a running broker was last idle may not be there yet
(`settle` waits for that), nor after a crash what it had not brought into SQLite. Message bodies are shown; tokens are
never read.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux import paths
from intercom_mux.broker.journal import SCHEMA_VERSION, Journal
from intercom_mux.errors import BrokerError
from intercom_mux.host.lock import try_lock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

Json = dict[str, Any]


class Known(NamedTuple):
    """What the journal knows of a session; `team` is as others see it, both are None outside any."""

    name: str
    team: str | None = None
    team_id: str | None = None


Names = dict[tuple[str, str], Known]

SETTLE_S = 0.5
"""How long `settle` waits: a broker that has nothing else to do needs less, one under load is not waited for."""

_COLUMNS = "seq, id, scope, sender, target, body, accepted_at, expects_reply, reply_to, is_notice, state, finished_at"


def settle() -> None:
    """Wait a moment for what the broker has accepted already: what was just sent is read then, almost always."""
    redo = paths.journal_file().with_suffix(".redo")
    until = time.monotonic() + SETTLE_S
    while redo.exists() and redo.stat().st_size and time.monotonic() < until:
        time.sleep(0.01)


def messages(*, peer: str | None = None, since: int = 0, limit: int | None = None) -> list[Json]:
    """Return the last `limit` messages accepted since `since` (Unix milliseconds), oldest first.

    Each has `id`, `kind` (message, ask, reply, notice), `from`, `to`, `at`, `state`, `ended_at`, `text`, `attachments`,
    `reply_to`. `peer` keeps those from or to a session: its name, with its team or without, or the start of its id.

    Raises:
        BrokerError: The journal cannot be read, or no session in it fits `peer`; `names` has those that are there.
    """
    with _reading() as db:
        if db is None:
            return []
        names = _names(db)
        values: list[Any] = [since]
        where = "accepted_at >= ?"
        if peer is not None:
            ids = _matching(names, peer)
            marks = ",".join("?" * len(ids))
            where += f" AND (sender IN ({marks}) OR target IN ({marks}))"
            values += ids + ids
        query = f"SELECT {_COLUMNS} FROM messages WHERE {where} ORDER BY seq DESC LIMIT ?"
        rows = db.execute(query, [*values, -1 if limit is None else limit]).fetchall()
        return [_message(row, names) for row in reversed(rows)]


def conversation(ask_id: str) -> Json:
    """Return `question`, `replies` (oldest first), `outcome` and `deadline` of an ask, by its id or its start.

    `outcome` is "open" until it is answered, cancelled, superseded, expired or ended.

    Raises:
        BrokerError: The journal cannot be read, or has no such ask, or several.
    """
    with _reading() as db:
        found = [] if db is None else _asks(db, ask_id)
        if db is None or not found:
            raise BrokerError(
                f'no ask "{ask_id}" in the journal', code="E_NOT_FOUND", hint="see `intercom-mux history`"
            )
        if len(found) > 1:
            raise BrokerError(f'several asks begin with "{ask_id}"', code="E_AMBIGUOUS_ASK", hint="give more of the id")
        names = _names(db)
        ask = found[0]
        question = db.execute(f"SELECT {_COLUMNS} FROM messages WHERE seq=?", (ask["seq"],)).fetchone()
        back = db.execute(
            f"SELECT {_COLUMNS} FROM messages WHERE scope=? AND sender=? AND target=? AND seq > ? ORDER BY seq",
            (question["scope"], question["target"], question["sender"], ask["seq"]),
        )
        replies = [row for row in back if ask["id"] in {row["reply_to"], json.loads(row["body"]).get("retryOf")}]
        return {
            "question": _message(question, names),
            "replies": [_message(row, names) for row in replies],
            "outcome": ask["outcome"] or "open",
            "deadline": ask["deadline"],
        }


def sessions() -> list[Json]:
    """Return every session that the journal tells of, also gone ones: `scope`, `id`, `name`, `team` and `team_id`.

    One that has gone and never said anything has its id for a name, and no team.

    Raises:
        BrokerError: The journal cannot be read.
    """
    with _reading() as db:
        if db is None:
            return []
        names = _names(db)
        mute = "SELECT DISTINCT scope, target FROM messages"
        known = {key: names.get(key, Known(key[1])) for key in (*names, *map(tuple, db.execute(mute)))}
        return [{"scope": scope, "id": session, **one._asdict()} for (scope, session), one in known.items()]


def exchange(ids: Collection[str], *, since: int = 0, max_chars: int) -> list[Json]:
    """Return what sessions were sent or sent since `since` (Unix milliseconds), oldest first, texts cut to `max_chars`.

    As in `messages`, and by session besides: `from_id`, `to_id`; `chars` is the text's whole length, `is_auto` tells a
    reply that is the last words of a turn. An ask has its `outcome`: "open" while it is, "unknown" if it was forgotten.

    Raises:
        BrokerError: The journal cannot be read.
    """
    with _reading() as db:
        if db is None or not ids:
            return []
        names = _names(db)
        marks = ",".join("?" * len(ids))
        columns = ", ".join(f"m.{column}" for column in _COLUMNS.split(", "))
        query = (
            f"SELECT {columns}, a.id AS ask, a.outcome FROM messages AS m LEFT JOIN asks AS a"
            " ON m.expects_reply AND a.scope=m.scope AND a.asker=m.sender AND a.id=m.id"
            f" WHERE m.accepted_at >= ? AND (m.sender IN ({marks}) OR m.target IN ({marks})) ORDER BY m.seq"
        )
        return [_exchanged(row, names, max_chars) for row in db.execute(query, [since, *ids, *ids])]


def tasks(team_id: str) -> list[Json]:
    """Return the tasks of a team as they were last recorded, oldest first; none once the team has gone down.

    Raises:
        BrokerError: The journal cannot be read.
    """
    with _reading() as db:
        rows = [] if db is None else db.execute("SELECT value FROM tasks WHERE team=?", (team_id,)).fetchall()
        return sorted((json.loads(row[0]) for row in rows), key=lambda task: task["created_at"])


def prune(*, days: float | None = None, mb: float | None = None) -> int:
    """Remove ended messages and asks beyond an age or a size (MiB), oldest first; return how many messages went.

    What is not given is as configured. The running broker does it itself, in batches between its other work; without
    one the file gets smaller too. Open messages and asks stay, and whatever may still answer a resend, for an hour.

    Raises:
        BrokerError: The broker was lost or is about to start, or the journal cannot be used.
    """
    from intercom_mux.broker.lifecycle import running

    bounds = {key: value for key, value in (("days", days), ("mb", mb)) if value is not None}
    if running() is not None:
        return _prune_by_broker(bounds)
    if not paths.journal_file().exists():
        return 0
    with (paths.state_dir() / "broker.lock").open("w") as lock:
        if not try_lock(lock.fileno()):
            raise BrokerError("the broker is about to start or to stop", hint="try again")
        return _prune_here(bounds)


def _prune_by_broker(bounds: dict[str, float]) -> int:
    from intercom_mux.client.blocking import Client
    from intercom_mux.client.identity import of_shell

    removed = after = 0
    with Client.connect(of_shell()) as client:
        while True:
            answer = client.request("prune", **bounds, after=after)
            removed, after = removed + int(answer["removed"]), answer["after"]
            if not after:
                return removed


def _prune_here(bounds: dict[str, float]) -> int:
    from intercom_mux.broker import config

    settings = config.load()
    journal = Journal(paths.journal_file(), history_days=settings.history_days, history_mb=settings.history_mb)
    try:
        removed, after = 0, 0
        while True:
            count, after = journal.prune(time.time_ns() // 1_000_000, **bounds, after=after)
            removed += count
            if not after:
                break
        journal.compact()
        return removed
    finally:
        journal.close()


@contextmanager
def _reading() -> Iterator[sqlite3.Connection | None]:
    """Yield the journal opened for reading, None when there is none yet."""
    file = paths.journal_file()
    if not file.exists():
        yield None
        return
    db = None
    try:
        db = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        db.row_factory = sqlite3.Row
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise BrokerError(f"journal {file} has schema {version}, not {SCHEMA_VERSION}", code="E_JOURNAL")
        yield db if version else None
    except sqlite3.Error as error:
        raise BrokerError(f"journal {file} cannot be read: {error}", code="E_JOURNAL", path=str(file)) from error
    finally:
        if db is not None:
            db.close()


def _names(db: sqlite3.Connection) -> Names:
    """Return (scope, id) → (name, team) of every session, also of those that only their messages tell of."""
    names: Names = {}
    last = "SELECT max(seq) FROM messages GROUP BY scope, sender"
    spoke = f"SELECT scope, sender, sender_info FROM messages WHERE seq IN ({last})"
    for scope, session, info in db.execute(spoke):
        facts = json.loads(info)
        own = facts.get("mux", {})
        team, name = own.get("team"), facts.get("name", session)
        name = name.removeprefix(f"{team}/") if team else name
        names[scope, session] = Known(name, team, own.get("teamId"))
    for scope, session, name, team in db.execute("SELECT scope, id, name, team FROM sessions"):
        team_id, label = json.loads(team)[:2] if team else (None, None)
        names[scope, session] = Known(name or session, label, team_id)
    return names


def _shown(names: Names, scope: str, session: str) -> str:
    name, team, _ = names.get((scope, session), Known(session))
    return f"{team}/{name}" if team else name


def _matching(names: Names, peer: str) -> list[str]:
    wanted = peer.casefold()
    known = {key: {names[key][0].casefold(), _shown(names, *key).casefold()} for key in names}
    exact = [key[1] for key, words in known.items() if wanted in words or key[1] == peer]
    ids = exact or [key[1] for key in known if key[1].startswith(peer)]
    if not ids:
        listed = sorted({_shown(names, *key) for key in names})
        hint = f"known: {', '.join(listed[:20])}" if listed else None
        raise BrokerError(f'no session "{peer}" in the journal', code="E_NOT_FOUND", hint=hint, names=listed)
    return ids


def _asks(db: sqlite3.Connection, start: str) -> Sequence[sqlite3.Row]:
    query = (
        "SELECT m.seq, a.id, a.outcome, a.deadline FROM asks AS a JOIN messages AS m"
        " ON m.scope=a.scope AND m.sender=a.asker AND m.id=a.id WHERE a.id BETWEEN ? AND ? LIMIT 2"
    )
    return db.execute(query, (start, start + "\U0010ffff")).fetchall()


def _exchanged(row: sqlite3.Row, names: Names, max_chars: int) -> Json:
    body = json.loads(row["body"])
    value = _message(row, names, body)
    text = value["text"]
    outcome = (row["outcome"] or "open") if row["ask"] is not None else "unknown"
    return value | {
        "from_id": row["sender"],
        "to_id": row["target"],
        "text": text[:max_chars],
        "chars": len(text),
        "is_auto": bool(body.get("auto")),
        "outcome": outcome if row["expects_reply"] else None,
    }


def _message(row: sqlite3.Row, names: Names, read: Json | None = None) -> Json:
    body = json.loads(row["body"]) if read is None else read
    kind = (
        "notice" if row["is_notice"] else "reply" if row["reply_to"] else "ask" if row["expects_reply"] else "message"
    )
    return {
        "id": row["id"],
        "kind": kind,
        "from": _shown(names, row["scope"], row["sender"]),
        "to": _shown(names, row["scope"], row["target"]),
        "at": row["accepted_at"],
        "state": row["state"],
        "ended_at": row["finished_at"],
        "reply_to": row["reply_to"],
        "text": body["content"]["text"],
        "attachments": body["content"].get("attachments", []),
    }
