"""The broker's durable store: SQLite in WAL mode; the only writer of it (`history` reads).

One `write` is one append to the redo log; SQLite takes it over in batches when the broker has nothing else to do, and
all of it before it is read. Both together are about half the work of a transaction per write. What was written
survives the death of the process at any instant; "full" durability adds an fsync per write and survives the death of
the machine. Schema changes bump `SCHEMA_VERSION`.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from intercom_mux.broker import retention
from intercom_mux.broker.core.model import Ask, Delivery, Json, Lookup, SessionKey, Team
from intercom_mux.broker.core.restore import SessionRow, Snapshot
from intercom_mux.broker.redo_log import Record, RedoLog
from intercom_mux.broker.retention import HISTORY_DAYS, HISTORY_MB, IS_OPEN_ASK, Bounds
from intercom_mux.errors import BrokerError
from intercom_mux.wire import states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SCHEMA_VERSION = 1
BATCH_RECORDS = 256
"""How many records SQLite takes at once while the broker is idle: some milliseconds."""

AHEAD_BYTES = 8 * 1_048_576
"""How long the redo log gets before SQLite takes it over although the broker is busy, and then all of it."""

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

_DELIVERY_COLUMNS = (
    "seq, id, scope, sender, target, sender_info, body, fingerprint, accepted_at, expires_at,"
    " expects_reply, reply_to, is_notice, state, finished_at"
)
_STARTS = "id BETWEEN ? AND ?"

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
        self._bounds = Bounds(history_days, history_mb)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        except sqlite3.Error as error:
            raise self._broken(error) from error
        try:
            # Takes effect in a new file, in an older one with the next `compact`.
            self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")
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
        if self._redo.size >= AHEAD_BYTES:
            self.try_to_catch_up(max(BATCH_RECORDS, 2 * len(records)))

    def write_late(self, records: Sequence[Record]) -> None:
        """Keep `records` that what was written before implies; until `catch_up` they are in memory only."""
        self._ahead += records

    @property
    def is_behind(self) -> bool:
        """Whether `catch_up` has something to do."""
        return bool(self._ahead)

    def catch_up(self, at_most: int | None = None) -> None:
        """Bring SQLite to what was accepted, or so many records nearer to it, in one transaction.

        The redo log is kept until nothing is left, and all of it may be repeated after a crash at any point.

        Raises:
            BrokerError: SQLite refused; nothing is lost, the next start tries again.
        """
        with self._transactions():
            self._db.execute("BEGIN")
            batch = self._ahead[:at_most]
            for operation, records in _by_kind(batch):
                self._apply(operation, records)
            self._db.execute("COMMIT")
            if len(batch) == len(self._ahead):
                self._redo.clear()
        del self._ahead[: len(batch)]

    def try_to_catch_up(self, at_most: int | None = None) -> bool:
        """As `catch_up`; when SQLite refuses, everything stays in the redo log for the next time, and this is False."""
        try:
            self.catch_up(at_most)
        except BrokerError as error:
            log.error("%s", error)
            return False
        return True

    def _apply(self, operation: str, records: list[Record]) -> None:
        statement, row = _STATEMENTS[operation]
        try:
            self._db.executemany(statement, map(row, records))
        except (sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.IntegrityError) as error:
            # A value of a kind that we never write must not keep the broker from starting for ever.
            if len(records) == 1:
                log.error("a record of %s could not be kept: %s", operation, error)
                return
            for record in records:
                self._apply(operation, [record])

    def load(self, now: int, record_ttl: int, records: int) -> Snapshot:
        """Return everything open, and the ended messages that may still answer a resend; drop what is history."""
        try:
            self.catch_up()
            retention.drop_older(self._db, now - round(self._bounds.days * 86_400_000))
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
        kept = self._bounds
        bounds = Bounds(kept.days if days is None else days, kept.mb if mb is None else mb)
        with self._transactions():
            return retention.prune(self._db, bounds, now, after)

    def compact(self) -> None:
        """Give all the room of removed messages back to the disk; takes seconds, and must be the only user of it."""
        with self._transactions():
            retention.compact(self._db)

    @contextmanager
    def _transactions(self) -> Iterator[None]:
        """Leave no transaction open when something fails, and say what did."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._broken(error) from error

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
            f"SELECT {_DELIVERY_COLUMNS} FROM messages WHERE finished_at IS NULL OR {IS_OPEN_ASK} ORDER BY seq"
        )
        deliveries = [_delivery(row) for row in opened]
        recent = query(
            f"SELECT {_DELIVERY_COLUMNS} FROM messages WHERE finished_at >= ? AND NOT ({IS_OPEN_ASK})"
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
            values = (session, scope, *_range(lookup.argument))
            return self._letter(f"target=? AND scope=? AND {_STARTS}", values, whole=lookup.argument)
        row = self._db.execute(
            f"SELECT id, outcome FROM asks WHERE asker=? AND scope=? AND {_STARTS} ORDER BY id=? DESC, created_at DESC",
            (session, scope, *_range(lookup.argument), lookup.argument),
        ).fetchone()
        if row is None:
            return None
        reply = self._letter("reply_to=? AND target=? AND scope=?", (row[0], session, scope))
        return {"id": row[0], "state": row[1] or "open", "reply": reply}

    def _letter(self, where: str, values: tuple[Any, ...], *, whole: str = "") -> Json | None:
        """Return the newest message that fits, the one with the id `whole` before all others."""
        row = self._db.execute(
            f"SELECT sender_info, body, state FROM messages WHERE {where} ORDER BY id=? DESC, seq DESC LIMIT 1",
            (*values, whole),
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
            self.try_to_catch_up()
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


_STATEMENTS: dict[str, tuple[str, Callable[[Record], tuple[Any, ...]]]] = {
    "message": (
        "INSERT OR IGNORE INTO messages VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,'queued',NULL)",
        lambda r: (r[1], r[2], *r[3], r[4][1], *r[5:]),
    ),
    "readdress": ("UPDATE messages SET target=?, fingerprint=? WHERE seq=?", lambda r: (r[2], r[3], r[1])),
    "finish": ("UPDATE messages SET state=?, finished_at=? WHERE seq=?", lambda r: (r[2], r[3], r[1])),
    "ask": (
        "INSERT OR REPLACE INTO asks VALUES (?,?,?,?,?,?,?,?,?,NULL)",
        lambda r: (*r[2], r[1], r[3][1], *r[4:]),
    ),
    "ask_end": ("UPDATE asks SET outcome=? WHERE scope=? AND asker=? AND id=?", lambda r: (r[3], *r[1], r[2])),
    "session": ("INSERT OR REPLACE INTO sessions VALUES (?,?,?,?,?,?,?,?,?)", lambda r: (*r[1], *r[2:])),
    "retire": ("DELETE FROM sessions WHERE scope=? AND id=?", lambda r: tuple(r[1])),
    "task": ("INSERT OR REPLACE INTO tasks VALUES (?,?,?,?)", lambda r: (*r[1:4], json.dumps(r[4]))),
    "forget_tasks": ("DELETE FROM tasks WHERE team=?", lambda r: (r[1],)),
}
"""How each operation becomes a row; a session's key stands in a record as the pair of its scope and its id."""

_FIRST = {"message": 1, "readdress": 2, "finish": 3, "ask": 4, "ask_end": 5}
"""What may go before all else, each kind together: a message or an ask begins once and ends after that."""


def _by_kind(records: list[Record]) -> Iterator[tuple[str, list[Record]]]:
    """Yield runs of one operation each, in an order that leaves the same rows."""
    ordered = sorted(records, key=lambda record: _FIRST.get(record[0], 9))
    return ((operation, list(run)) for operation, run in groupby(ordered, key=itemgetter(0)))
