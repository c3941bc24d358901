"""What a turn of the server costs: one commit and one write per receiver, however many frames it brought."""

from __future__ import annotations

import contextlib
import gc
import json
import signal
import socket
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.broker import retention
from intercom_mux.broker.core.core import Core
from intercom_mux.broker.extension_store import ExtensionStore
from intercom_mux.broker.journal import Journal
from intercom_mux.broker.link import Link
from intercom_mux.broker.places import Places
from intercom_mux.broker.redo_log import RedoLog
from intercom_mux.broker.server import Server
from intercom_mux.errors import BrokerError
from intercom_mux.host.unix import listen
from intercom_mux.wire.frames import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BURST = 100


class Turns:
    """A server whose turns the test takes, one by one."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server = server
        self._path = path

    def take(self) -> None:
        self.server._turn()

    def client(self, name: str) -> socket.socket:
        """Return a registered connection of ours."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self._path))
        info = {"name": name, "cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}
        sock.sendall(encode({"type": "register", "sessionId": name, "session": info, "mux": {"events": False}}))
        self.take()
        self.take()
        assert b'"registered"' in sock.recv(4_096)
        return sock


@pytest.fixture
def turns(home: Path) -> Iterator[Turns]:
    """A server in this process; signals and the collector are as before afterwards."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    journal = Journal(home / "journal.sqlite3")
    path = paths.socket_path(paths.private_dir(paths.runtime_dir()) / "turns.sock")
    listener = listen(path)
    server = Server(Core(), journal, ExtensionStore(home / "extensions"), [], 0, Places())
    server._listen_on(listener)
    with contextlib.ExitStack() as stack:
        stack.callback(journal.close)
        stack.callback(gc.unfreeze)
        stack.callback(gc.set_threshold, *gc.get_threshold())
        stack.callback(path.unlink)
        stack.callback(listener.close)
        for number, handler in zip(numbers, handlers, strict=True):
            stack.callback(signal.signal, number, handler)
        stack.callback(server.run)
        stack.callback(server._stop, 0, None)
        yield Turns(server, path)


def counted(monkeypatch: pytest.MonkeyPatch, of: type, name: str) -> list[Any]:
    """Return a list that gets the first argument of every call."""
    calls: list[Any] = []
    original = getattr(of, name)

    def call(self: Any, *args: Any) -> Any:
        calls.append(args[0] if args else self)
        return original(self, *args)

    monkeypatch.setattr(of, name, call)
    return calls


def test_a_burst_costs_one_commit_and_one_write_per_receiver(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred messages in one read are one append to the redo log, one write to the receiver, one to the sender."""
    sender, receiver = turns.client("sender"), turns.client("receiver")
    appends, flushes = counted(monkeypatch, RedoLog, "append"), counted(monkeypatch, Link, "flush")
    batch = b""
    for number in range(BURST):
        message = {"id": f"m{number}", "timestamp": 1, "content": {"text": "hello"}}
        batch += encode({"type": "send", "to": "receiver", "message": message})
    sender.sendall(batch)
    turns.take()
    assert (len(appends), len(flushes)) == (1, 2)
    assert [record[0] for record in appends[0]] == ["message"] * BURST
    assert receiver.recv(1_048_576).count(b'{"type":"message"') == BURST
    assert sender.recv(1_048_576).count(b'{"type":"delivered"') == BURST
    sender.close()
    receiver.close()


def test_pruning_that_fails_is_logged_and_goes_on_later(
    turns: Turns, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that refuses for a moment does not end the broker, and leaves no transaction open."""

    def refuse(db: sqlite3.Connection, *_: Any) -> tuple[int, int]:
        db.execute("BEGIN")
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(retention, "prune", refuse)
    with pytest.raises(BrokerError, match="database is locked"):
        turns.server._journal.prune(0)
    turns.server._prune()
    assert "history was not pruned" in caplog.text
    monkeypatch.undo()
    assert turns.server._journal.prune(0) == (0, 0)


def test_frames_are_passed_on_as_they_came(turns: Turns) -> None:
    """The message of a compact frame reaches its receiver in the sender's own bytes, the stamps behind."""
    sender, receiver = turns.client("sender"), turns.client("receiver")
    raw = b'{"id":"m1", "timestamp":1.50,"content":{"text":"\\u00e9\xc3\xa9"},"mine":[1, 2]}'
    payload = b'{"type":"send","to":"receiver","message":' + raw + b',"blocking":false}'
    sender.sendall(len(payload).to_bytes(4, "big") + payload)
    turns.take()
    got = receiver.recv(65_536)[4:]
    assert b'"message":' + raw[:-1] + b',"brokerReceivedAt":' in got
    assert json.loads(got)["message"]["mine"] == [1, 2]
    sender.close()
    receiver.close()
