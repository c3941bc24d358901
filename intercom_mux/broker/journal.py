"""The broker's durable store: SQLite in WAL mode; the only user of sqlite3.

One commit per `write`. With `synchronous=NORMAL` a commit survives the death of the process at any instant; "full"
durability adds an fsync per commit and survives the death of the machine. Schema changes bump `SCHEMA_VERSION`.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from intercom_mux.broker.core.model import Ask, Delivery, Json, Lookup, SessionKey, Team
from intercom_mux.broker.core.restore import SessionRow, Snapshot
from intercom_mux.errors import BrokerError
from intercom_mux.wire import states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SCHEMA_VERSION = 1
HISTORY_DAYS = 7
"""Ended messages and asks older than this are removed when the journal is opened."""

_SCHEMA = """
CREATE TABLE sessions (
    scope TEXT, id TEXT, kind TEXT, name TEXT, role TEXT, token TEXT, team BLOB, info BLOB, seen_at INTEGER,
    PRIMARY KEY (scope, id)
) WITHOUT ROWID;
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY, id TEXT, scope TEXT, sender TEXT, target TEXT, sender_info BLOB, body BLOB,
    fingerprint BLOB, accepted_at INTEGER, expires_at INTEGER, expects_reply INTEGER, reply_to TEXT,
    is_notice INTEGER, state TEXT, finished_at INTEGER
);
CREATE INDEX messages_id ON messages (id);
CREATE INDEX messages_reply ON messages (reply_to) WHERE reply_to IS NOT NULL;
CREATE TABLE asks (
    scope TEXT, asker TEXT, id TEXT, asked TEXT, created_at INTEGER, deadline INTEGER, text TEXT,
    is_blocking INTEGER, ask_group TEXT, outcome TEXT, PRIMARY KEY (scope, asker, id)
) WITHOUT ROWID;
CREATE TABLE tasks (scope TEXT, team TEXT, id TEXT, value BLOB, PRIMARY KEY (scope, team, id)) WITHOUT ROWID;
"""

_MESSAGE = "INSERT INTO messages VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,'queued',NULL)"
_ASK_END = "UPDATE asks SET outcome=? WHERE scope=? AND asker=? AND id=?"
_FINISH = "UPDATE messages SET state=?, finished_at=? WHERE seq=?"
_DELIVERY_COLUMNS = (
    "seq, id, scope, sender, target, sender_info, body, fingerprint, accepted_at, expires_at,"
    " expects_reply, reply_to, is_notice, state, finished_at"
)


_STARTS = "id BETWEEN ? AND ?"
_IS_OPEN_ASK = (
    "expects_reply AND EXISTS (SELECT 1 FROM asks WHERE asks.scope=messages.scope AND asks.asker=messages.sender"
    " AND asks.id=messages.id AND outcome IS NULL)"
)


class Journal:
    """The store of one broker. Not thread-safe."""

    def __init__(self, path: Path, *, full_durability: bool = False) -> None:
        """Open or create the store.

        Raises:
            BrokerError: It cannot be opened, is damaged, or was written by a newer version.
        """
        self.path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        except sqlite3.Error as error:
            raise self._broken(error) from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={'FULL' if full_durability else 'NORMAL'}")
            self._migrate()
        except (sqlite3.Error, ValueError) as error:
            self._db.close()
            raise self._broken(error) from error
        except BrokerError:
            self._db.close()
            raise

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise BrokerError(
                f"journal {self.path} was written by a newer intercom-mux (schema {version})",
                hint="run the newer version, or move the journal away",
            )
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")

    def _broken(self, error: Exception) -> BrokerError:
        return BrokerError(
            f"journal {self.path} cannot be used: {error}",
            code="E_JOURNAL",
            hint=f"move {self.path} away to start with an empty one",
            path=str(self.path),
        )

    def write(self, records: Iterable[tuple[Any, ...]]) -> None:
        """Commit `records`, all or none; durable against the death of this process on return.

        Raises:
            BrokerError: The store refused (disk full, damaged); nothing of it was kept.
        """
        execute = self._db.execute
        try:
            execute("BEGIN")
            for operation, *values in records:
                _WRITERS[operation](execute, values)
            execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                execute("ROLLBACK")
            raise self._broken(error) from error

    def load(self, now: int, record_ttl: int, records: int) -> Snapshot:
        """Return everything open, and the ended messages that may still answer a resend; drop what is history."""
        try:
            self._prune(now - HISTORY_DAYS * 86_400_000)
            return self._snapshot(now - record_ttl, records)
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise self._broken(error) from error

    def _prune(self, before: int) -> None:
        self._db.execute("DELETE FROM messages WHERE finished_at < ?", (before,))
        self._db.execute("DELETE FROM asks WHERE outcome IS NOT NULL AND deadline < ?", (before,))

    def _snapshot(self, since: int, records: int) -> Snapshot:
        query = self._db.execute
        sessions = query(
            "SELECT scope, id, kind, name, role, token, team, info, seen_at FROM sessions ORDER BY seen_at"
        )
        opened = query(
            f"SELECT {_DELIVERY_COLUMNS} FROM messages WHERE finished_at IS NULL OR {_IS_OPEN_ASK} ORDER BY seq"
        )
        deliveries = [_delivery(row) for row in opened]
        recent = query(
            f"SELECT {_DELIVERY_COLUMNS} FROM messages WHERE finished_at >= ? AND NOT ({_IS_OPEN_ASK})"
            " ORDER BY finished_at DESC LIMIT ?",
            (since, records),
        )
        ended = [_delivery(row) for row in recent]
        for item in [*ended, *deliveries]:
            if item.finished_at:
                item.body = item.sender_info = b""
        asks = query(
            "SELECT id, scope, asker, asked, created_at, deadline, text, is_blocking, ask_group FROM asks"
            " WHERE outcome IS NULL ORDER BY created_at"
        )
        tasks = query("SELECT scope, team, id, value FROM tasks")
        (last,) = query("SELECT max(seq) FROM messages").fetchone()
        return Snapshot(
            sessions=[_session(row) for row in sessions],
            deliveries=[*reversed(ended), *deliveries],
            asks=[_ask(row) for row in asks],
            tasks=sorted(((*row[:3], json.loads(row[3])) for row in tasks), key=lambda task: task[3]["created_at"]),
            next_seq=(last or 0) + 1,
        )

    def look_up(self, lookup: Lookup) -> Json | None:
        """Answer a `message` or `result` lookup; None when the session has no such message or ask."""
        scope, session = lookup.session
        if lookup.kind == "message":
            return self._letter(f"target=? AND scope=? AND {_STARTS}", (session, scope, *_range(lookup.argument)))
        row = self._db.execute(
            f"SELECT id, outcome FROM asks WHERE asker=? AND scope=? AND {_STARTS} ORDER BY created_at DESC",
            (session, scope, *_range(lookup.argument)),
        ).fetchone()
        if row is None:
            return None
        reply = self._letter("reply_to=? AND target=? AND scope=?", (row[0], session, scope))
        return {"id": row[0], "state": row[1] or "open", "reply": reply}

    def _letter(self, where: str, values: tuple[Any, ...]) -> Json | None:
        row = self._db.execute(
            f"SELECT sender_info, body, state FROM messages WHERE {where} ORDER BY seq DESC LIMIT 1", values
        ).fetchone()
        if row is None:
            return None
        return {"from": json.loads(row[0]), "message": json.loads(row[1]), "state": row[2]}

    def size_bytes(self) -> int:
        """Return the size of the store on disk."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Close the store; it stays complete without this."""
        self._db.close()


def _range(start: str) -> tuple[str, str]:
    """Return the bounds of the ids that begin with `start`."""
    return start, start + "\U0010ffff"


def _session(row: tuple[Any, ...]) -> SessionRow:
    scope, session_id, kind, name, role, token, team, info, seen_at = row
    known_team = Team(*json.loads(team)) if team is not None else None
    return SessionRow(SessionKey(scope, session_id), kind, name, role, token, known_team, json.loads(info), seen_at)


def _delivery(row: tuple[Any, ...]) -> Delivery:
    scope = row[2]
    return Delivery(
        seq=row[0],
        id=row[1],
        sender=SessionKey(scope, row[3]),
        target=SessionKey(scope, row[4]),
        sender_info=row[5],
        body=row[6],
        fingerprint=row[7],
        accepted_at=row[8],
        expires_at=row[9],
        expects_reply=bool(row[10]),
        reply_to=row[11],
        is_notice=bool(row[12]),
        state=row[13] if row[13] in states.TRANSITIONS else states.QUEUED,
        finished_at=row[14] or 0,
    )


def _ask(row: tuple[Any, ...]) -> Ask:
    ask_id, scope, asker, asked, created_at, deadline, text, is_blocking, group = row
    return Ask(
        ask_id,
        SessionKey(scope, asker),
        SessionKey(scope, asked),
        created_at,
        deadline,
        text,
        bool(is_blocking),
        group=group,
    )


def _write_message(execute: Callable[..., Any], v: list[Any]) -> None:
    seq, message_id, sender, target, *rest = v
    execute(_MESSAGE, (seq, message_id, sender.scope, sender.id, target.id, *rest))


def _write_session(execute: Callable[..., Any], v: list[Any]) -> None:
    execute("INSERT OR REPLACE INTO sessions VALUES (?,?,?,?,?,?,?,?,?)", (*v[0], *v[1:]))


def _write_ask(execute: Callable[..., Any], v: list[Any]) -> None:
    ask_id, asker, asked, *rest = v
    row = (asker.scope, asker.id, ask_id, asked.id, *rest)
    execute("INSERT OR REPLACE INTO asks VALUES (?,?,?,?,?,?,?,?,?,NULL)", row)


def _write_task(execute: Callable[..., Any], v: list[Any]) -> None:
    execute("INSERT OR REPLACE INTO tasks VALUES (?,?,?,?)", (*v[:3], json.dumps(v[3])))


_WRITERS: dict[str, Callable[[Callable[..., Any], list[Any]], Any]] = {
    "message": _write_message,
    "finish": lambda execute, v: execute(_FINISH, (v[1], v[2], v[0])),
    "session": _write_session,
    "retire": lambda execute, v: execute("DELETE FROM sessions WHERE scope=? AND id=?", v[0]),
    "ask": _write_ask,
    "ask_end": lambda execute, v: execute(_ASK_END, (v[2], *v[0], v[1])),
    "task": _write_task,
    "forget_tasks": lambda execute, v: execute("DELETE FROM tasks WHERE team=?", v),
}
