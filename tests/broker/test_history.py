"""The journal read and pruned beside a running broker and without one."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.broker import history, lifecycle, retention
from intercom_mux.broker.core.model import Lookup, SessionKey
from intercom_mux.errors import BrokerError
from tests.broker.core.bench import HOUR, Bench
from tests.broker.live import Line, broker_pid, is_gone, start
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 24 * HOUR


@pytest.fixture
def bench(home: Path) -> Iterator[Bench]:
    """A broker without sockets, on the journal of this test's user."""
    paths.private_dir(paths.state_dir())
    bench = Bench(journal=paths.journal_file())
    yield bench
    bench.journal.close()


def test_who_said_what_to_whom(bench: Bench) -> None:
    """Oldest first, with kind, state and names, also of sessions that are gone for good; limits take the last ones."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.send("worker-1", "hello", id="m1")
    worker.confirm("m1")
    bench.now += 1000
    planner.ask("worker-1", "how?", id="q1")
    worker.reply("so", to="q1", id="r1")
    planner.op("retire", sessions=[{"id": "blue-worker-1", "token": "secret"}])
    bench.journal.catch_up()
    rows = history.messages()
    assert [(row["from"], row["to"], row["kind"], row["text"]) for row in rows][:3] == [
        ("blue/planner", "blue/worker-1", "message", "hello"),
        ("blue/planner", "blue/worker-1", "ask", "how?"),
        ("blue/worker-1", "blue/planner", "reply", "so"),
    ]
    assert [row["state"] for row in rows][:2] == ["done", "done"]
    assert [row["id"] for row in history.messages(since=bench.now, limit=2)] == [row["id"] for row in rows[-2:]]
    assert "secret" not in str(rows)


def test_a_peer_is_named_in_every_way(bench: Bench) -> None:
    """By name, with its team, or by the start of its id; a wrong name lists those that there are."""
    planner = bench.peer("planner")
    bench.peer("worker-1")
    bench.pi("stranger")
    planner.send("worker-1", id="m1")
    planner.send("stranger", id="m2")
    bench.journal.catch_up()
    for name in ("Worker-1", "blue/worker-1", "blue-w"):
        assert [row["id"] for row in history.messages(peer=name)] == ["m1"]
    assert [row["to"] for row in history.messages(peer="stranger")] == ["stranger"]
    with pytest.raises(BrokerError) as caught:
        history.messages(peer="nobody")
    assert caught.value.fields["names"] == ["blue/planner", "blue/worker-1", "stranger"]


def test_an_ask_is_shown_whole(bench: Bench) -> None:
    """Question, replies and outcome; open ones too, and what is unknown or ambiguous is said."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.ask("worker-1", "how?", id="ask-1")
    planner.ask("worker-1", "when?", id="ask-2")
    worker.reply("so", to="ask-1", id="r1")
    bench.journal.catch_up()
    whole = history.conversation("ask-1")
    assert (whole["question"]["text"], [row["text"] for row in whole["replies"]]) == ("how?", ["so"])
    assert (whole["outcome"], history.conversation("ask-2")["outcome"]) == ("answered", "open")
    for wrong, code in (("ask-", "E_AMBIGUOUS_ASK"), ("r1", "E_NOT_FOUND")):
        with pytest.raises(BrokerError) as caught:
            history.conversation(wrong)
        assert caught.value.code == code


def test_without_a_journal_there_is_no_history(home: Path) -> None:
    """Nothing is created by looking."""
    assert (history.messages(), history.prune(days=0)) == ([], 0)
    assert not paths.journal_file().exists()


def test_pruning_goes_by_age_in_batches_and_spares_what_is_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has ended goes; an ask goes with its question, and stays with it as long as it is open."""
    monkeypatch.setattr(retention, "PRUNE_BATCH", 2)
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    for number in range(5):
        planner.send("worker-1", id=f"m{number}")
        worker.confirm(f"m{number}")
    planner.send("worker-1", id="waiting")
    planner.ask("worker-1", id="open", deadline=bench.now + 6 * DAY)
    worker.confirm("open")
    planner.ask("worker-1", id="answered")
    worker.reply("so", to="answered", id="r1")
    planner.confirm("r1")
    bench.journal.catch_up()
    later, after, removed = bench.now + 2 * DAY, 0, 0
    while True:
        count, after = bench.journal.prune(later, days=1, after=after)
        assert count <= 2
        removed += count
        if not after:
            break
    assert removed == 7
    assert [row["id"] for row in history.messages()] == ["waiting", "open"]
    me = SessionKey("", "blue-planner")
    assert bench.journal.look_up(Lookup(1, "r", "result", me, "answered")) is None
    assert history.conversation("open")["outcome"] == "open"


def test_pruning_goes_by_size_oldest_first(bench: Bench) -> None:
    """No more goes than must, and nothing that may still answer a resend."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    for number in range(40):
        planner.send("worker-1", "x" * 100_000, id=f"m{number}")
        worker.confirm(f"m{number}")
    bench.journal.catch_up()
    assert bench.journal.prune(bench.now + HOUR // 2, mb=2) == (0, 0)
    removed, after = bench.journal.prune(bench.now + 2 * HOUR, mb=2)
    assert 18 <= removed <= 24
    assert after == 0
    assert [row["id"] for row in history.messages()] == [f"m{number}" for number in range(removed, 40)]


def test_a_batch_of_large_messages_is_small(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes bound it too, so that the broker is not kept from its work."""
    monkeypatch.setattr(retention, "PRUNE_BYTES", 250_000)
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    for number in range(5):
        planner.send("worker-1", "x" * 100_000, id=f"m{number}")
        worker.confirm(f"m{number}")
    first, after = bench.journal.prune(bench.now + 2 * DAY, days=1)
    assert (first, bool(after)) == (3, True)
    assert bench.journal.prune(bench.now + 2 * DAY, days=1, after=after) == (2, 0)


def test_pruning_gives_room_back_to_the_disk(bench: Bench) -> None:
    """No page that pruning has freed stays in the file."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    for number in range(30):
        planner.send("worker-1", "x" * 100_000, id=f"m{number}")
        worker.confirm(f"m{number}")
    bench.journal.catch_up()
    before = pages()
    assert bench.journal.prune(bench.now + 2 * DAY, days=1) == (30, 0)
    after = pages()
    assert after["page_count"] < before["page_count"] / 4
    assert after["freelist_count"] == 0


def pages() -> dict[str, int]:
    """Return the counts of pages in the journal's file, of all and of free ones."""
    with contextlib.closing(sqlite3.connect(paths.journal_file())) as db:
        return {what: db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count")}


def test_beside_a_running_broker_and_after_it(home: Path) -> None:
    """The running broker prunes when asked to and goes on; without one the file gets smaller, and the rest is read."""
    start()
    pid = broker_pid()
    with Line().peer("one") as one, Line().peer("two") as two:
        for number in range(20):
            one.send("two", "x" * 50_000, f"m{number}").until("delivered")
            two.until("message")
            two.confirm(f"m{number}")
        one.send("two", "left", "last").until("delivered")
        assert history.prune(days=0) == 20
        assert [row["text"] for row in history.messages()] == ["left"]
    lifecycle.stop()
    wait_until(lambda: is_gone(pid), what="end of the broker")
    assert history.prune(days=0) == 0
    assert paths.journal_file().stat().st_size < 20 * 50_000 / 4
    assert [row["text"] for row in history.messages()] == ["left"]
