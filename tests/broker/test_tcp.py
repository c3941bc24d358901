"""The TCP endpoint: this machine only, closed to whoever lacks the secret."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.broker import lifecycle, tcp
from tests.broker.live import Line
from tests.cli.stage import start
from tests.support import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]


class TcpLine(Line):
    """A connection by TCP, to where the endpoint file says."""

    def __init__(self) -> None:
        self.endpoint: Json = json.loads(tcp.endpoint_file().read_text())
        super().__init__()
        self.sock.close()
        self.sock = socket.create_connection((self.endpoint["host"], self.endpoint["port"]), timeout=10)


@pytest.fixture
def broker(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A broker that listens on TCP too."""
    process = start("broker", "run", "--tcp")
    wait_until(lifecycle.running, what="broker")
    yield process
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)


def test_who_knows_the_secret_meets_the_others(broker: subprocess.Popen[str]) -> None:
    """Health and register work, messages go to and fro, and others see that it is not trusted."""
    session = {"name": "far", "cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}
    with TcpLine() as far, Line().register("id-near", "near") as near:
        secret = far.endpoint["stateId"]
        far.post(type="health", requestId="h", stateId=secret)
        assert far.until("health_ok")["requestId"] == "h"
        far.post(type="register", sessionId="id-far", stateId=secret, session={**session, "trustedLocal": True})
        assert far.until("registered")["sessionId"] == "id-far"
        near.post(type="list", requestId="r")
        rows = {row["id"]: row for row in near.until("sessions")["sessions"]}
        assert (rows["id-far"]["trustedLocal"], rows["id-near"]["trustedLocal"]) == (False, True)
        assert "peerUid" not in rows["id-far"]
        assert rows["id-near"]["peerUid"] == os.getuid()
        assert secret not in str(rows)
        near.send("far", "hello", "m1")
        assert far.until("message")["message"]["content"]["text"] == "hello"
        far.send("near", "yes", "m2")
        assert near.until("message")["from"]["trustedLocal"] is False
    assert secret not in (paths.state_dir() / "broker.log").read_text()


@pytest.mark.parametrize("secret", [{}, {"stateId": "wrong"}, {"stateId": None}, {"stateId": 1}, {"stateId": "é"}])
@pytest.mark.parametrize("kind", ["health", "register"])
def test_without_it_there_is_silence(broker: subprocess.Popen[str], kind: str, secret: Json) -> None:
    """Closed without a frame; Unix sockets need none."""
    session = {"cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}
    with TcpLine() as far:
        far.post(type=kind, requestId="h", session=session, sessionId="id-far", **secret)
        assert far.rest() == []
    with Line() as near:
        near.post(type="health", requestId="h")
        assert near.until("health_ok")


def test_the_file_is_private_and_goes_with_the_broker(broker: subprocess.Popen[str]) -> None:
    """One line, 0600, in the shape that clients of pi-intercom demand; gone when the broker has ended."""
    file = tcp.endpoint_file()
    line = file.read_text()
    value = json.loads(line)
    assert (line.count("\n"), file.stat().st_mode & 0o777) == (1, 0o600)
    assert (value["transport"], value["host"], list(value)) == (
        "tcp",
        "127.0.0.1",
        ["transport", "host", "port", "stateId"],
    )
    broker.send_signal(signal.SIGTERM)
    assert broker.wait(10) == 0
    assert not file.exists()
