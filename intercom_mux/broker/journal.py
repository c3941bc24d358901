"""The broker's durable store: SQLite in WAL mode; the only writer of it (`history` reads).

One `write` is one append to the redo log; SQLite takes what is there in one transaction when the broker has nothing
else to do, and before it is read. Both together are about half the work of a transaction per write. What was written
survives the death of the process at any instant; "full" durability adds an fsync per write and survives the death of
the machine. Schema changes bump `SCHEMA_VERSION`.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from typing import TYPE_CHECKING, Any

from intercom_mux.broker.core.model import Ask, Delivery, Json, Lookup, SessionKey, Team
from intercom_mux.broker.core.restore import SessionRow, Snapshot
from intercom_mux.broker.redo_log import Record, RedoLog
from intercom_mux.errors import BrokerError
from intercom_mux.wire import states

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SCHEMA_VERSION = 1
BATCH_RECORDS = 256
"""Most records that SQLite is behind; a transaction takes about as long for all of them as for a few."""

HISTORY_DAYS = 7
HISTORY_MB = 256
PRUNE_BATCH = 500
PRUNE_BYTES = 8 * 1_048_576
"""Most messages that one `prune` looks at, and about the most bytes that it removes: some milliseconds."""

RESENDS_MS = 3_600_000
"""What ended within this time is kept whatever the size, because it may still answer a resend."""

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

_MESSAGE = "INSERT OR IGNORE INTO messages VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,'queued',NULL)"
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


log = logging.getLogger("intercom_mux.broker")


class Journal:
    """The store of one broker. Not thread-safe."""

    def __init__(
        self,
        path: Path,
        *,
        full_durability: bool = False,
        history_days: float = HISTORY_DAYS,
        history_mb: float = HISTORY_MB,
    ) -> None:
        """Open or create the store; what has ended is kept for so many days, up to so many MiB.

        Raises:
            BrokerError: It cannot be opened, is damaged, or was written by a newer version.
        """
        self.path = path
        self.durability = "full" if full_durability else "normal"
        self._history_days = history_days
        self._history_mb = history_mb
        try:
            self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        except sqlite3.Error as error:
            raise self._broken(error) from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={'FULL' if full_durability else 'NORMAL'}")
            self._migrate()
            self._redo = RedoLog(path.with_suffix(".redo"), full_durability=full_durability)
            self._ahead: list[Record] = self._redo.read()
        except (sqlite3.Error, ValueError, OSError) as error:
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

    def write(self, records: Sequence[Record]) -> None:
        """Keep `records`, all or none; durable against the death of this process on return.

        Raises:
            BrokerError: The store refused (disk full, damaged); nothing of it was kept.
        """
        try:
            self._redo.append(records)
        except OSError as error:
            raise self._broken(error) from error
        self._ahead += records
        if len(self._ahead) >= BATCH_RECORDS:
            self.catch_up()

    def write_late(self, records: Sequence[Record]) -> None:
        """Keep `records` that what was written before implies; until `catch_up` they are in memory only."""
        self._ahead += records

    @property
    def is_behind(self) -> bool:
        """Whether `catch_up` has something to do."""
        return bool(self._ahead)

    def catch_up(self) -> None:
        """Bring SQLite to what was accepted, in one transaction; it may be repeated after a crash at any point.

        Raises:
            BrokerError: SQLite refused; nothing is lost, the next start tries again.
        """
        execute = self._db.execute
        try:
            execute("BEGIN")
            for record in self._ahead:
                self._apply(record)
            execute("COMMIT")
            self._redo.clear()
        except (sqlite3.Error, OSError) as error:
            if self._db.in_transaction:
                execute("ROLLBACK")
            raise self._broken(error) from error
        self._ahead.clear()

    def _apply(self, record: Record) -> None:
        operation, *values = record
        try:
            _WRITERS[operation](self._db.execute, values)
        except (sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.IntegrityError) as error:
            # A value of a kind that we never write must not keep the broker from starting for ever.
            log.error("a record of %s could not be kept: %s", operation, error)

    def load(self, now: int, record_ttl: int, records: int) -> Snapshot:
        """Return everything open, and the ended messages that may still answer a resend; drop what is history."""
        try:
            self.catch_up()
            self._drop_history(now - round(self._history_days * 86_400_000))
            self._settle(now)
            return self._snapshot(now - record_ttl, records)
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise self._broken(error) from error

    def prune(self, now: int, *, days: float | None = None, mb: float | None = None, after: int = 0) -> tuple[int, int]:
        """Look at a batch of messages, oldest first, and remove what has ended and is too old or too much.

        Returns:
            How many went, and the `after` to go on with: 0 when there is nothing left to look at.

        Raises:
            BrokerError: The store refused; nothing was removed.
        """
        self.catch_up()
        oldest = now - round((self._history_days if days is None else days) * 86_400_000)
        excess = self._used_bytes() - (self._history_mb if mb is None else mb) * 1_048_576
        rows = self._db.execute(
            f"SELECT seq, accepted_at, finished_at, length(body) + length(sender_info), {_IS_OPEN_ASK}"
            " FROM messages WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, PRUNE_BATCH),
        ).fetchall()
        gone, last, enough = [], 0, excess - PRUNE_BYTES
        for seq, accepted_at, finished_at, size, is_open in rows:
            is_too_much = excess > 0 and finished_at is not None and finished_at < now - RESENDS_MS
            if finished_at is not None and not is_open and (finished_at < oldest or is_too_much):
                gone.append((seq,))
                excess -= size
            last = 0 if accepted_at >= oldest and excess <= 0 else seq
            if excess <= enough or not last:
                break
        else:
            last = last if len(rows) == PRUNE_BATCH else 0
        self._remove(gone)
        return len(gone), last

    def _remove(self, seqs: list[tuple[int]]) -> None:
        if not seqs:
            return
        execute = self._db.execute
        try:
            execute("BEGIN")
            self._db.executemany(
                "DELETE FROM asks WHERE outcome IS NOT NULL AND (scope, asker, id) ="
                " (SELECT scope, sender, id FROM messages WHERE seq=? AND expects_reply)",
                seqs,
            )
            self._db.executemany("DELETE FROM messages WHERE seq=?", seqs)
            execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                execute("ROLLBACK")
            raise self._broken(error) from error

    def _used_bytes(self) -> int:
        pages, free, size = (
            self._db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def compact(self) -> None:
        """Give the room of removed messages back to the disk; takes seconds and must be the only user of the store."""
        try:
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _drop_history(self, before: int) -> None:
        self._db.execute(f"DELETE FROM messages WHERE finished_at < ? AND NOT ({_IS_OPEN_ASK})", (before,))
        self._db.execute("DELETE FROM asks WHERE outcome IS NOT NULL AND deadline < ?", (before,))

    def _settle(self, now: int) -> None:
        """Write down what a killed broker still owed: a reply that is here has answered its ask and confirmed it."""
        reply = "SELECT 1 FROM messages AS r WHERE r.scope=q.scope AND r.reply_to=q.id AND r.target="
        self._db.execute(f"UPDATE asks AS q SET outcome='answered' WHERE outcome IS NULL AND EXISTS ({reply}q.asker)")
        self._db.execute(
            f"UPDATE messages AS q SET state=?, finished_at=? WHERE finished_at IS NULL AND expects_reply"
            f" AND EXISTS ({reply}q.sender)",
            (states.DONE, now),
        )

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
        self.catch_up()
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
        files = (self.path, self.path.with_name(self.path.name + "-wal"), self.path.with_suffix(".redo"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Close the store; it stays complete without this."""
        if self._ahead:
            self.catch_up()
        self._redo.close()
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
    "readdress": lambda execute, v: execute("UPDATE messages SET target=?, fingerprint=? WHERE seq=?", (*v[1:], v[0])),
    "session": _write_session,
    "retire": lambda execute, v: execute("DELETE FROM sessions WHERE scope=? AND id=?", v[0]),
    "ask": _write_ask,
    "ask_end": lambda execute, v: execute(_ASK_END, (v[2], *v[0], v[1])),
    "task": _write_task,
    "forget_tasks": lambda execute, v: execute("DELETE FROM tasks WHERE team=?", v),
}
