"""Real tmux servers on sockets in the test's own short private directory, and a real client that watches one."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.mux.tmux import TmuxMultiplexer
from tests.mux.cmux_standin.run import Standin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


TMUX_DIR_VARIABLE = "INTERCOM_MUX_TEST_TMUX_DIR"
_TMUX_DIR = os.environ.get(TMUX_DIR_VARIABLE)
OTHER_TMUXES = {at.parent.name: str(at) for at in sorted(Path(_TMUX_DIR).glob("*/tmux"))} if _TMUX_DIR else {}
"""Programs by version besides the installed one; `build_tmux.sh` puts them there."""


@pytest.fixture
def new_tmux(home: Path) -> Iterator[Callable[..., TmuxMultiplexer]]:
    """A factory of multiplexers with a socket each; their servers are ended after the test."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    made: list[TmuxMultiplexer] = []

    def make(program: str | None = None) -> TmuxMultiplexer:
        runtime = paths.private_dir(paths.runtime_dir())
        made.append(TmuxMultiplexer(runtime / f"{len(made)}.sock", tmux_bin=program))
        return made[-1]

    yield make
    for mux in made:
        mux.shutdown()


@pytest.fixture
def tmux(new_tmux: Callable[[], TmuxMultiplexer]) -> TmuxMultiplexer:
    """One multiplexer; no server runs yet."""
    return new_tmux()


@pytest.fixture
def new_cmux(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Standin]]:
    """A factory of running stand-ins for cmux by version, inside of which the test then is."""
    made: list[Standin] = []

    def make(version: str, **settings: Any) -> Standin:
        standin = Standin(home, version, **settings)
        made.append(standin)
        standin.__enter__()
        standin.enter(monkeypatch)
        return standin

    yield make
    for standin in made:
        standin.end()


@pytest.fixture
def new_psmux(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """A maker of the stand-in for a version of psmux, put on PATH; its servers are ended after the test."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    data, programs = home / "psmux-data", home / "psmux-bin"
    data.mkdir()
    programs.mkdir()
    program = programs / "psmux"
    monkeypatch.setenv("PSMUX_DATA_DIR", str(data))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def make(version: str) -> Path:
        standin = Path(__file__).parent / "psmux_standin" / "psmux.py"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {standin} {version} "$@"\n')
        program.chmod(0o700)
        return program

    yield make
    for socket in data.glob("*.sock"):
        subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True, check=False, timeout=10)


def ask_tmux(mux: TmuxMultiplexer, *command: str) -> list[str]:
    """Run the plain tmux client against the server of `mux` and return its lines: the view of a second observer."""
    out = subprocess.run(
        ["tmux", "-u", "-N", "-S", str(mux.socket), *command], capture_output=True, text=True, check=True, timeout=10
    )
    return out.stdout.splitlines()


class Watcher:
    """A tmux client attached in a terminal of its own; `output` is all that was drawn there so far."""

    def __init__(self, argv: list[str], rows: int = 40, columns: int = 160) -> None:
        self.output = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execvp(argv[0], argv)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def end(self) -> None:
        """End the client and wait until it is gone."""
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        self._reader.join(5)
        os.close(self._fd)

    def _read(self) -> None:
        try:
            while chunk := os.read(self._fd, 65536):
                self.output += chunk
        except OSError:
            return


@contextmanager
def watching(argv: list[str]) -> Iterator[Watcher]:
    """A watcher that has drawn its first screen."""
    from tests.support import wait_until

    watcher = Watcher(argv)
    try:
        wait_until(lambda: watcher.output, what="first screen of the watcher")
        yield watcher
    finally:
        watcher.end()
