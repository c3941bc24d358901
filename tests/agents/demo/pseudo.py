"""A program in a pseudo-terminal of its own: what it writes is kept as bytes, what we write is its keyboard."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING

from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any, Self

AGENT = ("-m", "intercom_mux.agents.demo")


class Pseudo:
    """Starts `python -I ARGS` with the pseudo-terminal as its controlling one. Use as a context manager."""

    def __init__(self, args: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, columns: int = 80) -> None:
        self._master, self._slave = pty.openpty()
        self._open = [self._slave, self._master]
        self._is_over = threading.Event()
        self.resize(columns, 24)
        self.modes_before = self.modes()
        self.written = b""
        self.process = subprocess.Popen(
            [sys.executable, "-I", *args],
            cwd=cwd,
            env={**os.environ, "INTERCOM_MUX_DEMO_PACE": "0", **(env or {})},
            stdin=self._slave,
            stdout=self._slave,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.hang_up()

    def modes(self) -> list[Any]:
        """Return the terminal's modes, as termios gives them."""
        return termios.tcgetattr(self._slave)

    def resize(self, columns: int, height: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, columns, 0, 0))

    def type(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._master, data[:1024]) :]

    def paste(self, text: str) -> None:
        self.type(b"\x1b[200~" + text.encode() + b"\x1b[201~")

    def wait_for(self, text: str, since: int = 0) -> int:
        """Wait until `text` was written after position `since`; return the position behind it."""
        wanted = text.encode()
        wait_until(lambda: wanted in self.written[since:], what=f"{text!r} in {self.written[since:][-2000:]!r}")
        return self.written.index(wanted, since) + len(wanted)

    def wait_idle(self, since: int = 0) -> int:
        return self.wait_for("\x1b]2;demo · idle\x07", since)

    def hang_up(self) -> None:
        """Take the terminal away, as a closing multiplexer does. Idempotent."""
        self._is_over.set()
        self._reader.join()
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()

    def end(self) -> tuple[int, str]:
        """Wait for the program's end; return its status and what it said on standard error."""
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors.decode()

    def _read(self) -> None:
        while not self._is_over.is_set():
            readable, _, _ = select.select([self._master], [], [], 0.02)
            if readable:
                self.written += os.read(self._master, 65_536)


def agent(cwd: Path, role: str = "scout", **options: Any) -> Pseudo:
    """Start a demo agent."""
    return Pseudo([*AGENT, "--name", "demo-1", "--role", role], cwd, **options)
