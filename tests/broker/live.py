"""Raw connections to a real broker: what a test needs to behave well, badly, or to die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any, Self

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.wire.frames import Splitter, decode, encode
from tests.support import SCALE, wait_until

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

BLUE = {"id": "team-blue", "name": "blue", "dir": "/src/shop"}


class Line:
    """One socket. Every wait is bounded; `read` returns None when the broker has hung up."""

    def __init__(self, path: Path | None = None) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10 * SCALE)
        try:
            self.sock.connect(str(path or paths.broker_socket()))
        except OSError:
            self.sock.close()
            raise
        self._splitter = Splitter()
        self._frames: list[Json] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def post(self, **frame: Any) -> Self:
        self.sock.sendall(encode(frame))
        return self

    def read(self) -> Json | None:
        while not self._frames:
            data = self.sock.recv(65_536)
            if not data:
                return None
            self._frames += [decode(payload) for payload in self._splitter.feed(data)]
        return self._frames.pop(0)

    def until(self, *kinds: str) -> Json:
        """Return the next frame of these types; others are dropped."""
        while (frame := self.read()) is not None:
            if frame["type"] in kinds:
                return frame
        raise ConnectionError(f"hung up before any of {kinds}")

    def rest(self) -> list[Json]:
        """Return everything up to the end of the connection."""
        frames = []
        with contextlib.suppress(ConnectionResetError):
            while (frame := self.read()) is not None:
                frames.append(frame)
        return frames

    def register(self, session_id: str | None, name: str, mux: Json | None = None) -> Self:
        session = {"name": name, "cwd": "/", "model": "m", "pid": os.getpid(), "startedAt": 1, "lastActivity": 1}
        frame: Json = {"type": "register", "session": session}
        if session_id is not None:
            frame["sessionId"] = session_id
        if mux is not None:
            frame["mux"] = mux
        self.post(**frame)
        first = self.read()
        if first is None or first["type"] != "registered":
            raise ConnectionError(f"not registered: {first}")
        return self

    def peer(self, name: str) -> Self:
        """Register as the endpoint of a peer; its id is `blue-<name>`, its token `secret`."""
        return self.register(f"blue-{name}", name, {"version": 1, "team": BLUE, "role": "worker", "token": "secret"})

    def send(self, to: str, text: str, message_id: str, **keys: Any) -> Self:
        message = {"id": message_id, "timestamp": time.time_ns() // 1_000_000, "content": {"text": text}, **keys}
        return self.post(type="send", to=to, message=message)

    def confirm(self, message_id: str) -> Self:
        receipt = {"messageId": message_id, "status": "acknowledged", "timestamp": time.time_ns() // 1_000_000}
        return self.post(type="message_receipt", receipt=receipt)


def broker_pid() -> int:
    """Return the pid of this test's running broker."""
    return int(json.loads(paths.broker_file().read_text())["pid"])


def kill_broker() -> int:
    """Kill this test's broker without a chance to say anything; it is gone on return."""
    pid = broker_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid), what="end of the killed broker")
    return pid


def is_gone(pid: int) -> bool:
    """Return whether a process has ended; one that nobody has reaped yet counts as ended."""
    with contextlib.suppress(OSError):
        os.waitpid(pid, os.WNOHANG)
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def start() -> Path:
    """Start this test's broker, or find it running."""
    return lifecycle.ensure_running()
