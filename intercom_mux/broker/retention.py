"""What the journal forgets: ended messages and asks beyond an age or a size, in steps of some milliseconds.

Open messages and asks stay, and for an hour whatever may still answer a resend. Only `Journal` uses this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

HISTORY_DAYS = 7
HISTORY_MB = 256
PRUNE_BATCH = 500
PRUNE_BYTES = 8 * 1_048_576
"""Most messages that one `prune` looks at, and about the most bytes that it removes: some milliseconds."""

GIVE_BACK_PAGES = 2 * PRUNE_BYTES // 4_096
"""Most pages that one `prune` gives back to the disk: faster than it can free them."""

RESENDS_MS = 3_600_000
"""What ended within this time is kept whatever the size, because it may still answer a resend."""

IS_OPEN_ASK = (
    "expects_reply AND EXISTS (SELECT 1 FROM asks WHERE asks.scope=messages.scope AND asks.asker=messages.sender"
    " AND asks.id=messages.id AND outcome IS NULL)"
)
"""Whether a row of `messages` is a question that still waits for its reply."""


class Bounds(NamedTuple):
    """How much of what has ended is kept: so many days, and so many MiB of everything."""

    days: float = HISTORY_DAYS
    mb: float = HISTORY_MB


def prune(db: sqlite3.Connection, bounds: Bounds, now: int, after: int) -> tuple[int, int]:
    """Look at the batch of messages behind the sequence number `after`, remove what may go, give room back.

    Returns:
        How many went, and the `after` to go on with: 0 when there is nothing left to look at.

    Raises:
        sqlite3.Error: The store refused; the caller rolls back.
    """
    oldest = now - round(bounds.days * 86_400_000)
    excess = _used_bytes(db) - bounds.mb * 1_048_576
    rows = db.execute(
        f"SELECT seq, accepted_at, finished_at, length(body) + length(sender_info), {IS_OPEN_ASK}"
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
    if gone:
        _remove(db, gone)
    # As a script: `execute` would stop after the first of its steps, which are pages.
    db.executescript(f"PRAGMA incremental_vacuum({GIVE_BACK_PAGES})")
    return len(gone), last


def _remove(db: sqlite3.Connection, seqs: list[tuple[int]]) -> None:
    db.execute("BEGIN")
    db.executemany(
        "DELETE FROM asks WHERE outcome IS NOT NULL AND (scope, asker, id) ="
        " (SELECT scope, sender, id FROM messages WHERE seq=? AND expects_reply)",
        seqs,
    )
    db.executemany("DELETE FROM messages WHERE seq=?", seqs)
    db.execute("COMMIT")


def _used_bytes(db: sqlite3.Connection) -> int:
    pages, free, size = (
        db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def drop_older(db: sqlite3.Connection, before: int) -> None:
    """Remove all that ended before `before`, however long that takes."""
    db.execute(f"DELETE FROM messages WHERE finished_at < ? AND NOT ({IS_OPEN_ASK})", (before,))
    db.execute("DELETE FROM asks WHERE outcome IS NOT NULL AND deadline < ?", (before,))


def compact(db: sqlite3.Connection) -> None:
    """Give all the room of removed messages back to the disk; takes seconds and must be the only user of the store."""
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
