"""Many sessions of one process on a broker of its own, for the benches that count memory and cost per message."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import socket
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

TEXT = "How does this repo structure token refresh retries? " * 4
TEAM = {"id": "team-bench", "name": "bench", "dir": "/src"}


class Session:
    """One registered connection, blocking. Not `is_foreign`, it is a peer of ours: no rate limit, mail is kept."""

    def __init__(self, path: str, session_id: str, *, is_foreign: bool = False) -> None:
        self.id = session_id
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self._buffer = bytearray()
        session = {"name": session_id, "cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}
        frame: Json = {"type": "register", "sessionId": session_id, "session": session}
        if not is_foreign:
            frame["mux"] = {"version": 1, "team": TEAM, "role": "r", "token": "t", "events": False}
        self.put(frame)
        self.until("registered")

    def put(self, *frames: Json) -> None:
        payloads = [json.dumps(frame).encode() for frame in frames]
        self.sock.sendall(b"".join(struct.pack(">I", len(payload)) + payload for payload in payloads))

    def get(self) -> Json:
        while True:
            if len(self._buffer) >= 4:
                end = 4 + struct.unpack_from(">I", self._buffer)[0]
                if len(self._buffer) >= end:
                    frame: Json = json.loads(self._buffer[4:end])
                    del self._buffer[:end]
                    return frame
            data = self.sock.recv(262_144)
            if not data:
                raise ConnectionError(f"{self.id}: the broker hung up")
            self._buffer += data

    def until(self, *kinds: str) -> Json:
        while (frame := self.get())["type"] not in kinds:
            pass
        return frame

    def letter(self, to: str, message_id: str) -> Json:
        message = {"id": message_id, "timestamp": 1, "content": {"text": TEXT}}
        return {"type": "send", "to": to, "message": message}

    def take(self) -> Json:
        """Wait for a message and confirm it."""
        message: Json = self.until("message")["message"]
        self.put(receipt(message["id"]))
        return message


def receipt(message_id: str) -> Json:
    value = {"messageId": message_id, "status": "acknowledged", "timestamp": 1}
    return {"type": "message_receipt", "receipt": value}


class Broker:
    """A running broker and what the system says of it."""

    def __init__(self, path: Path, pid: int) -> None:
        self.path = str(path)
        self.pid = pid

    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def broker() -> Iterator[Broker]:
    """Run a broker in a state directory of its own, as many files open as the system allows; stopped afterwards."""
    from intercom_mux.broker import lifecycle

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    root = Path(tempfile.mkdtemp(prefix="imt-load-", dir="/tmp"))
    os.environ["XDG_STATE_HOME"] = str(root / "state")
    os.environ["HOME"] = str(root)
    try:
        path = lifecycle.ensure_running()
        running = lifecycle.running()
        assert running is not None
        yield Broker(path, int(running["pid"]))
    finally:
        lifecycle.stop()
        shutil.rmtree(root)
