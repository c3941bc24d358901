"""A stock-like client: starts a broker as pi does when none is healthy, and reconnects for ever when it loses one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Self

from intercom_mux.broker import lifecycle
from tests.broker.live import Line
from tests.support import SCALE

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class SpawnError(Exception):
    """No broker became healthy; the words are those of the stock client."""


class Spawner:
    """Starts a broker for one agent directory by `command`, with the script path appended that pi appends."""

    def __init__(self, agent: Path, command: list[str]) -> None:
        self._runtime = agent / "intercom"
        self._runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._environment = {**os.environ, "PI_CODING_AGENT_DIR": str(agent)}
        self._command = [*command, "/opt/pi/intercom/broker/broker.ts"]
        self.socket = self._runtime / "broker.sock"
        self.children: list[subprocess.Popen[bytes]] = []

    def ensure(self) -> None:
        """Return when the broker is healthy.

        Raises:
            SpawnError: The child ended first, with whatever code, or nothing was healthy in five seconds.
        """
        if lifecycle.probe(self.socket) is not None:
            return
        if not self._lock():
            self._await(None)
            return
        try:
            if lifecycle.probe(self.socket) is None:
                self._await(self._spawn())
        finally:
            (self._runtime / "broker.spawn.lock").unlink(missing_ok=True)

    def reap(self) -> None:
        """Wait for the brokers that were started here; they have been told to end."""
        for child in self.children:
            child.wait(10 * SCALE)

    def _lock(self) -> bool:
        file = self._runtime / "broker.spawn.lock"
        for _ in range(5):
            with contextlib.suppress(FileExistsError), file.open("x") as lock:
                lock.write(f"{os.getpid()}\n{time.time_ns() // 1_000_000}\n")
                return True
            with contextlib.suppress(OSError, ValueError, IndexError):
                if not os.path.exists(f"/proc/{int(file.read_text().split()[0])}"):
                    file.unlink(missing_ok=True)
                    continue
            return False
        return False

    def _spawn(self) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        child = subprocess.Popen(
            self._command, env=self._environment, stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        self.children.append(child)
        return child

    def _await(self, child: subprocess.Popen[bytes] | None) -> None:
        deadline = time.monotonic() + 5 * SCALE
        while lifecycle.probe(self.socket) is None:
            if child is not None and child.poll() is not None:
                raise SpawnError(f"Intercom broker exited before startup with code {child.returncode}")
            if time.monotonic() > deadline:
                raise SpawnError("Broker failed to start within timeout")
            time.sleep(0.1)


class StockClient:
    """One pi-like session: a thread that keeps it connected. `texts` are the messages it was sent."""

    def __init__(self, name: str, spawner: Spawner) -> None:
        self.name = name
        self.spawner = spawner
        self.texts: list[str] = []
        self.problems: list[str] = []
        self.gaps_s: list[float] = []
        """Time without a connection, of each reconnect."""
        self.connections = 0
        self._line: Line | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.post(type="unregister")
                self._line.sock.shutdown(2)
        self._thread.join(10)

    @property
    def is_connected(self) -> bool:
        return self._line is not None

    def send(self, to: str, text: str) -> None:
        assert self._line is not None
        self._line.send(to, text, uuid.uuid4().hex)

    def _live(self) -> None:
        attempt, lost_at = 0, 0.0
        while not self._is_over.is_set():
            try:
                self.spawner.ensure()
                with Line(self.spawner.socket) as line:
                    line.register(f"id-{self.name}", self.name)
                    line.sock.settimeout(None)
                    self.connections += 1
                    if lost_at:
                        self.gaps_s.append(time.monotonic() - lost_at)
                    self._line, attempt = line, 0
                    self._read(line)
            except (OSError, SpawnError) as error:
                self.problems.append(str(error))
            if self._line is not None:
                self._line, lost_at = None, time.monotonic()
            self._is_over.wait(BACKOFF_S[min(attempt, 4)])
            attempt += 1

    def _read(self, line: Line) -> None:
        while (frame := line.read()) is not None:
            if frame["type"] == "message":
                self.texts.append(frame["message"]["content"]["text"])
                receipt = {"messageId": frame["message"]["id"], "status": "injected", "timestamp": time.time() * 1000}
                line.post(type="message_receipt", receipt=receipt)
