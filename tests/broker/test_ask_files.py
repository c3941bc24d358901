"""Open asks of foreign sessions as files beside pi's socket."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.broker import places
from tests.broker.live import BLUE, Line, kill_broker, start
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def socket(home: Path) -> Path:
    """pi's socket, served by a broker of ours."""
    agent = home / ".pi" / "agent"
    agent.mkdir(parents=True)
    start()
    return places.socket_of(agent)


@pytest.fixture
def asks(socket: Path) -> Path:
    """The directory of the files, which is made with the first of them."""
    directory = socket.with_name("pending-asks")
    assert not directory.exists()
    return directory


@pytest.fixture
def pair(socket: Path) -> Iterator[tuple[Line, Line]]:
    """Two sessions of pi, `alice` and `bob`."""
    with Line(socket) as alice, Line(socket) as bob:
        yield alice.register("id-alice", "alice"), bob.register("id-bob", "bob")


def names(directory: Path) -> set[str]:
    return {file.name for file in directory.glob("*")}


def record(file: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(file.read_text())
    return value


def test_a_file_stands_as_long_as_the_ask(asks: Path, pair: tuple[Line, Line]) -> None:
    """With the facts in the shape that pi's programs read, for nobody else, and gone with the reply."""
    alice, bob = pair
    text = "why?\n" + "ü" * 300
    alice.send("bob", text, "q/1", expectsReply=True).until("delivered")
    (file,) = asks.iterdir()
    assert file.name == "q%2F1.json"
    value = record(file)
    created_at = value["createdAt"]
    assert list(value.items()) == [
        ("askId", "q/1"),
        ("messageId", "q/1"),
        ("asker", {"sessionId": "id-alice", "name": "alice"}),
        ("target", {"sessionId": "id-bob", "name": "bob"}),
        ("question", text),
        ("createdAt", created_at),
        ("expiresAt", created_at + 600_000),
    ]
    assert file.read_text() == json.dumps(value, indent=2, ensure_ascii=False)
    assert (asks.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    bob.send("alice", "because", "r1", replyTo="q/1").until("delivered")
    assert names(asks) == set()


def test_every_other_end_removes_it_too(asks: Path, pair: tuple[Line, Line]) -> None:
    """Cancelled as an ask or as a message, and expired."""
    alice, bob = pair
    for end in ("cancel_ask", "cancel_message"):
        alice.send("bob", "why?", end, expectsReply=True).until("delivered")
        assert names(asks) == {f"{end}.json"}
        alice.post(type=end, messageId=end)
        wait_until(lambda: not names(asks), what=f"the end by {end}")
    bob.send("alice", "?", "q2", expectsReply=True, deadline=1).until("delivered")
    wait_until(lambda: not names(asks), what="the end at the deadline")


def test_after_a_kill_the_files_are_those_of_the_open_asks(asks: Path, pair: tuple[Line, Line]) -> None:
    """What an earlier broker left behind goes, what is open is written again."""
    alice, _ = pair
    alice.send("bob", "open", "q1", expectsReply=True).until("delivered")
    kill_broker()
    (asks / "q1.json").unlink()
    (asks / "stale.json").write_text("{}")
    (asks / "record.tmp").write_text("{")
    start()
    assert names(asks) == {"q1.json"}
    assert record(asks / "q1.json")["question"] == "open"
    with Line(asks.with_name("broker.sock")) as again:
        again.register("id-bob", "bob").send("id-alice", "because", "r1", replyTo="q1").until("delivered")
    assert names(asks) == set()


def test_a_scope_is_part_of_the_name(socket: Path, asks: Path) -> None:
    """As a hash of it, so that scopes do not meet in one file."""
    session = {"cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}
    with Line(socket) as alice, Line(socket) as bob:
        for line, name in ((alice, "alice"), (bob, "bob")):
            line.post(type="register", sessionId=name, session=session, scopeId="red").until("registered")
        alice.send("bob", "why?", "q1", expectsReply=True).until("delivered")
        (file,) = asks.iterdir()
        assert file.name == f"{sha256(b'red').hexdigest()}-q1.json"
        assert record(file)["asker"] == {"sessionId": "alice", "name": None}


def test_an_id_too_long_for_a_file_is_asked_all_the_same(asks: Path, pair: tuple[Line, Line]) -> None:
    """There is just no file."""
    alice, bob = pair
    ask_id = "/" * 100
    alice.send("bob", "why?", ask_id, expectsReply=True).until("delivered")
    assert names(asks) == set()
    bob.send("alice", "because", "r1", replyTo=ask_id).until("delivered")


def test_a_directory_that_cannot_be_used_fails_no_ask(home: Path) -> None:
    """The log says it."""
    agent = home / ".pi" / "agent"
    (agent / "intercom").mkdir(parents=True, mode=0o700)
    (agent / "intercom" / "pending-asks").write_text("in the way")
    start()
    with Line(places.socket_of(agent)) as alice, Line(places.socket_of(agent)) as bob:
        alice.register("id-alice", "alice"), bob.register("id-bob", "bob")
        alice.send("bob", "why?", "q1", expectsReply=True).until("delivered")
        bob.send("alice", "because", "r1", replyTo="q1").until("delivered")
    assert "an open ask cannot be shown in" in (paths.state_dir() / "broker.log").read_text()


def test_asks_among_our_own_have_none(asks: Path, socket: Path) -> None:
    """A peer that asks a session of pi has one; its name is the one that pi sees."""
    with Line() as planner, Line() as worker, Line(socket) as bob:
        planner.peer("planner"), worker.peer("worker"), bob.register("id-bob", "bob")
        planner.send("worker", "why?", "q1", expectsReply=True).until("delivered")
        assert names(asks) == set()
        planner.send("bob", "why?", "q2", expectsReply=True).until("delivered")
        assert record(asks / "q2.json")["asker"] == {"sessionId": "blue-planner", "name": f"{BLUE['name']}/planner"}
