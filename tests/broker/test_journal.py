"""The journal: everything comes back, a torn tail is a shorter past, damage is said plainly."""

from __future__ import annotations

import resource
import shutil
import signal
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.broker.core.core import Core
from intercom_mux.broker.core.model import Limits, Lookup, SessionKey
from intercom_mux.broker.journal import SCHEMA_VERSION, Journal
from intercom_mux.broker.retention import HISTORY_DAYS
from intercom_mux.errors import BrokerError
from tests.broker.core.bench import HOUR, Bench

if TYPE_CHECKING:
    from pathlib import Path

DAY = 24 * HOUR


def snapshot_of(path: Path, now: int = Bench().now) -> Any:
    """Open, load and close a journal."""
    journal = Journal(path)
    try:
        return journal.load(now, Limits().record_ttl, Limits().records)
    finally:
        journal.close()


@pytest.fixture
def path(home: Path) -> Path:
    """Where this test's journal lies."""
    return home / "journal.sqlite3"


def test_everything_comes_back(path: Path) -> None:
    """Sessions, waiting and ended messages, open asks and tasks, field by field."""
    bench = Bench(journal=path)
    planner, worker = bench.peer("planner", role="boss"), bench.peer("worker-1")
    planner.send("worker-1", "waiting", id="m1")
    planner.send("worker-1", "ended", id="m2")
    worker.confirm("m2")
    planner.ask("worker-1", "how?", id="q1", blocking=True, group="g", deadline=bench.now + 5000)
    planner.ask("worker-1", "again?", id="q2")
    worker.reply("so", to="q2", id="r2")
    worker.op("progress", task="T1", percent=30)
    bench.journal.close()

    snapshot = snapshot_of(path, bench.now)
    before = bench.core.state
    assert {row.key: (row.kind, row.name, row.role, row.token) for row in snapshot.sessions} == {
        s.key: (s.kind, s.name, s.role, s.token) for s in before.sessions.values()
    }
    loaded = {d.id: d for d in snapshot.deliveries}
    assert set(loaded) == {"m1", "m2", "q1", "q2", "r2"}
    for delivery in before.records.values():
        again = loaded[delivery.id]
        for field in ("seq", "sender", "target", "sender_info", "body", "fingerprint", "accepted_at", "expires_at"):
            assert getattr(again, field) == getattr(delivery, field), (delivery.id, field)
        assert (again.expects_reply, again.reply_to) == (delivery.expects_reply, delivery.reply_to)
        assert bool(again.finished_at) == (delivery.state == "done")
    (ask,) = snapshot.asks
    assert (ask.id, ask.text, ask.group, ask.is_blocking, ask.deadline) == ("q1", "how?", "g", True, bench.now + 5000)
    assert [task[3]["percent"] for task in snapshot.tasks] == [30]
    assert snapshot.next_seq == before.next_seq


def test_a_message_and_its_end_in_one_commit(path: Path) -> None:
    """What was accepted and confirmed in one breath is ended when it comes back."""
    bench = Bench(journal=path)
    planner = bench.pi("planner")
    bench.old("old")
    planner.send("old", id="m1")
    bench.journal.close()
    (delivery,) = snapshot_of(path).deliveries
    assert (delivery.state, delivery.body) == ("done", b"")


def test_a_record_that_cannot_be_kept_does_no_harm(path: Path) -> None:
    """It is left out; what stands around it is kept, and the next start finds a journal that works."""
    journal = Journal(path)
    key = SessionKey("", "s")
    session = ("session", key, "agent", "n", None, None, None, b"{}", 1)
    journal.write([("message", 1, "m", key, key, b"", b"", b"", 0, 0, False, ["no text"], False), session])
    journal.close()
    journal = Journal(path)
    snapshot = journal.load(0, 0, 0)
    assert [row.key for row in snapshot.sessions] == [key]
    assert snapshot.deliveries == []
    journal.close()


def test_a_redo_log_cut_at_any_byte_loads_a_prefix(path: Path, home: Path) -> None:
    """What a killed broker had appended is there up to the first entry that is not whole."""
    bench = Bench(journal=path)
    planner, _ = bench.pi("planner"), bench.pi("worker")
    for number in range(6):
        planner.send("worker", f"text {number}", id=f"m{number}")
    redo = path.with_suffix(".redo")
    whole = redo.read_bytes()
    lengths = set()
    for cut in range(0, len(whole) + 1, 7):
        copy = home / "cut.sqlite3"
        shutil.copy(path, copy)
        copy.with_suffix(".redo").write_bytes(whole[:cut])
        ids = [d.id for d in snapshot_of(copy, bench.now).deliveries]
        assert ids == [f"m{number}" for number in range(len(ids))]
        assert copy.with_suffix(".redo").read_bytes() == b""
        lengths.add(len(ids))
        for file in home.glob("cut.sqlite3*"):
            file.unlink()
    assert lengths >= {0, 1, 5}
    bench.journal.close()


def test_a_full_disk_is_told_and_nothing_of_the_commit_is_kept(path: Path) -> None:
    """The redo log is as it was, so that what the sender was never told does not come back."""
    journal = Journal(path)
    key = SessionKey("", "s")
    journal.write([("session", key, "agent", "n", None, None, None, b"{}", 1)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, limits[1]))
    try:
        with pytest.raises(BrokerError) as caught:
            journal.write([("session", SessionKey("", "t"), "agent", "x" * 10_000, None, None, None, b"{}", 1)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.code == "E_JOURNAL"
    assert [row.key for row in journal.load(0, 0, 0).sessions] == [key]
    journal.close()


class Cuts:
    """Copies of a journal's files as a kill at that instant would leave them."""

    def __init__(self, path: Path, directory: Path) -> None:
        self._path = path
        self._directory = directory
        self.taken: list[tuple[str, Path, int]] = []
        """(where, the copy, how many commits it must show)."""
        self.commits = 0

    def take(self, where: str) -> None:
        copy = self._directory / f"cut-{len(self.taken)}" / self._path.name
        copy.parent.mkdir()
        for name in (self._path.name, f"{self._path.name}-wal", f"{self._path.stem}.redo"):
            if (source := self._path.with_name(name)).exists():
                shutil.copy(source, copy.with_name(name))
        self.taken.append((where, copy, self.commits))

    def around(self, what: Any, name: str, where: str, *, is_commit: bool = False) -> None:
        """Take one before and one after every call of a method."""
        method = getattr(what, name)

        def cut(*arguments: Any) -> Any:
            self.take(f"before {where}")
            value = method(*arguments)
            self.commits += is_commit
            self.take(f"after {where}")
            return value

        setattr(what, name, cut)


def test_a_kill_at_any_step_of_a_commit_costs_nothing_that_was_told(path: Path, home: Path) -> None:
    """Around the append, inside SQLite's transaction, between its end and the clearing of the log."""
    bench = Bench(journal=path)
    planner, worker = bench.pi("planner"), bench.pi("worker")
    cuts = Cuts(path, home)
    cuts.around(bench.journal._redo, "append", "append", is_commit=True)
    cuts.around(bench.journal._redo, "clear", "clear")
    cuts.around(bench.journal, "_apply", "one record")
    told: list[tuple[list[str], bool]] = [([], False)]
    for number in range(4):
        planner.ask("worker", "?", id=f"q{number}")
        bench.journal.catch_up()
        told.append(([*told[-1][0], f"q{number}"], True))
        worker.send("planner", replyTo=f"q{number}", id=f"r{number}")
        bench.journal.catch_up()
        told.append(([*told[-1][0], f"r{number}"], False))
    bench.journal.close()
    assert {where for where, _, _ in cuts.taken} >= {"after append", "before one record", "before clear", "after clear"}
    for where, copy, commits in cuts.taken:
        ids, is_asked = told[commits]
        snapshot = snapshot_of(copy, bench.now)
        assert sorted(d.id for d in snapshot.deliveries) == sorted(ids), (where, copy)
        assert len(snapshot.asks) == is_asked, (where, copy)
        waiting = [d.id for d in snapshot.deliveries if not d.finished_at]
        assert waiting == [key for key in ids if key[0] == "r"] + ids[-1:] * is_asked, (where, copy)
        again = snapshot_of(copy, bench.now)
        assert [(d.id, d.state) for d in again.deliveries] == [(d.id, d.state) for d in snapshot.deliveries]


def test_a_store_that_sqlite_refuses_is_caught_up_with_later(path: Path) -> None:
    """What is in the redo log was accepted: nobody is told otherwise, and the next start has it."""
    bench = Bench(journal=path)
    planner, _ = bench.peer("planner"), bench.peer("worker")
    bench.journal.catch_up()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        bench.journal._db.execute("PRAGMA busy_timeout=0")
        for number in range(300):
            assert planner.send("worker", id=f"m{number}")["type"] == "delivered"
        assert bench.journal.is_behind
        with pytest.raises(BrokerError, match="locked"):
            bench.journal.catch_up()
        other.execute("ROLLBACK")
    other.close()
    bench.journal.catch_up()
    assert not bench.journal.is_behind
    bench.journal.close()
    assert len(snapshot_of(path, bench.now).deliveries) == 300


def prefixes(path: Path) -> tuple[list[int], Bench]:
    """Write a story commit by commit; return the highest message number after each commit and the bench."""
    bench = Bench(journal=path)
    planner, worker = bench.pi("planner"), bench.pi("worker")
    highest = [0]
    for number in range(12):
        planner.send("worker", f"text {number} " + "x" * 700, id=f"m{number}")
        bench.journal.catch_up()
        highest.append(number + 1)
        if number % 3 == 0:
            worker.confirm(f"m{number}")
    return highest, bench


def test_a_wal_cut_at_any_byte_loads_a_prefix(path: Path, home: Path) -> None:
    """A torn write after a power cut costs the last commits at most: never garbage, never another exception."""
    _, bench = prefixes(path)
    whole = path.with_name(path.name + "-wal").read_bytes()
    story = [delivery.id for delivery in sorted(bench.core.state.records.values(), key=lambda d: d.seq)]
    bodies = {d.id: d.body for d in bench.core.state.records.values() if d.body}
    copy = home / "cut.sqlite3"
    seen_lengths = set()
    cuts = {0, 1, 31, 32, 33, len(whole) - 1, len(whole), *range(0, len(whole), 1_777)}
    for cut in sorted(cuts):
        shutil.copy(path, copy)
        copy.with_name(copy.name + "-wal").write_bytes(whole[:cut])
        copy.with_name(copy.name + "-shm").unlink(missing_ok=True)
        try:
            snapshot = snapshot_of(copy, bench.now)
        except BrokerError:
            pytest.fail(f"a cut at byte {cut} of {len(whole)} must load")
        ids = [d.id for d in sorted(snapshot.deliveries, key=lambda d: d.seq)]
        assert ids == story[: len(ids)], cut
        for delivery in snapshot.deliveries:
            assert delivery.finished_at or delivery.id not in bodies or delivery.body == bodies[delivery.id]
        Core(Limits(), snapshot, bench.now)
        seen_lengths.add(len(ids))
    assert seen_lengths >= {0, 3, 6, 9, 12}
    bench.journal.close()


def test_flipped_bytes_in_the_wal_never_load_as_garbage(path: Path, home: Path) -> None:
    """A bad checksum ends the past there."""
    _, bench = prefixes(path)
    whole = bytearray(path.with_name(path.name + "-wal").read_bytes())
    story = [delivery.id for delivery in sorted(bench.core.state.records.values(), key=lambda d: d.seq)]
    copy = home / "flipped.sqlite3"
    for position in range(0, len(whole), 9_973):
        bent = bytearray(whole)
        bent[position] ^= 0xFF
        shutil.copy(path, copy)
        copy.with_name(copy.name + "-wal").write_bytes(bent)
        copy.with_name(copy.name + "-shm").unlink(missing_ok=True)
        ids = [d.id for d in sorted(snapshot_of(copy, bench.now).deliveries, key=lambda d: d.seq)]
        assert ids == story[: len(ids)]
    bench.journal.close()


def test_a_journal_of_a_newer_version_is_left_alone(path: Path) -> None:
    """It says what to do, and the file is as it was."""
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(BrokerError, match="newer intercom-mux") as caught:
        Journal(path)
    assert caught.value.hint == "run the newer version, or move the journal away"


@pytest.mark.parametrize("content", [b"this is not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_named_with_the_way_out(path: Path, content: bytes) -> None:
    """No traceback of the library."""
    path.write_bytes(content)
    with pytest.raises(BrokerError) as caught:
        snapshot_of(path)
    assert caught.value.code == "E_JOURNAL"
    assert caught.value.hint == f"move {path} away to start with an empty one"
    assert caught.value.fields["path"] == str(path)


def test_damaged_pages_are_an_error_or_harmless(path: Path, home: Path) -> None:
    """Wherever a block of the file is overwritten, loading works or raises BrokerError."""
    _, bench = prefixes(path)
    bench.journal.close()
    whole = path.read_bytes()
    copy = home / "damaged.sqlite3"
    refused = 0
    for position in range(100, len(whole), 1_024):
        copy.write_bytes(whole[:position] + b"\xa5" * 64 + whole[position + 64 :])
        try:
            Core(Limits(), snapshot_of(copy), bench.now)
        except BrokerError:
            refused += 1
    assert refused


def test_garbage_inside_a_row_is_an_error_too(path: Path) -> None:
    """What SQLite cannot see the journal does."""
    bench = Bench(journal=path)
    bench.shell().op("progress", task="T1")
    bench.journal.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE tasks SET value='{'")
    db.close()
    with pytest.raises(BrokerError):
        snapshot_of(path)


def test_an_unusable_path_is_a_broker_error(home: Path) -> None:
    """A directory in its place, or no directory at all."""
    for bad in (home, home / "none" / "journal.sqlite3"):
        with pytest.raises(BrokerError):
            Journal(bad)


@pytest.mark.parametrize(("is_full", "level"), [(False, 1), (True, 2)])
def test_durability_is_what_sqlite_does(path: Path, is_full: bool, level: int) -> None:
    """Full syncs every transaction, normal leaves that to checkpoints."""
    journal = Journal(path, full_durability=is_full)
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (level,)
    assert journal.durability == ("full" if is_full else "normal")
    journal.close()


def test_history_is_pruned_and_what_is_open_stays(path: Path) -> None:
    """After a week an ended message cannot be read again; an open one is kept however old."""
    bench = Bench(journal=path)
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.send("worker-1", id="open")
    planner.send("worker-1", id="ended")
    worker.confirm("ended")
    planner.ask("worker-1", id="q1")
    worker.reply("so", id="r1")
    me, later = SessionKey("", "blue-worker-1"), bench.now + HISTORY_DAYS * DAY
    bench.journal.load(later - 1, HOUR, 100)
    assert bench.journal.look_up(Lookup(1, "r", "message", me, "ended")) is not None
    snapshot = bench.journal.load(later + HOUR, HOUR, 100)
    assert bench.journal.look_up(Lookup(1, "r", "message", me, "ended")) is None
    assert bench.journal.look_up(Lookup(1, "r", "result", SessionKey("", "blue-planner"), "q1")) is None
    assert [d.id for d in snapshot.deliveries] == ["open", "r1"]
    bench.journal.close()


def test_only_recent_records_are_loaded(path: Path) -> None:
    """As many and as old as may still answer a resend."""
    bench = Bench(journal=path)
    planner, worker = bench.pi("planner"), bench.pi("worker")
    for number in range(6):
        worker.confirm(planner.send("worker", id=f"m{number}")["messageId"])
        bench.wait(60_000)
    assert [d.id for d in bench.journal.load(bench.now, HOUR, 3).deliveries] == ["m3", "m4", "m5"]
    assert [d.id for d in bench.journal.load(bench.now, 150_000, 100).deliveries] == ["m4", "m5"]
    bench.journal.close()


def test_size_counts_the_log_too(path: Path) -> None:
    """What `status` shows is what the disk holds."""
    bench = Bench(journal=path)
    bench.pi("planner").send("planner", "x" * 50_000)
    assert bench.journal.size_bytes() > 50_000
    bench.journal.close()
