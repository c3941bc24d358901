"""The daemon's and `down`'s side of the recorder: pipes for peers, and having it run or ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.host.lock import try_lock
from intercom_mux.transcript import settings
from intercom_mux.transcript.keeping import transcripts_dir

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

END_S = 3.0
"""How long the recorder may take to write what is left; then it is killed."""
AGAIN_S = 2.0
"""How soon a recorder is started after the last one was."""
_END = b"!"
_NAME = "record"
_LOCK = "recorder.pid"


def pipe_for(team_id: str, peer: str, secrets: Iterable[tuple[str, str]]) -> Path | None:
    """Return the pipe into which all is to go that the program of `peer`, which starts now, prints.

    None on Windows, where nothing is recorded. Nothing is lost while no recorder runs: who writes waits, once the
    pipe is full.

    Raises:
        IntercomError: The directory is not ours.
        OSError: The pipe cannot be made.
    """
    if sys.platform == "win32":
        return None
    directory = _directory(team_id)
    for fifo in ("bell", f"{peer}.pipe"):
        with suppress(FileExistsError):
            os.mkfifo(directory / fifo, 0o600)
    spec = {
        "directory": str(transcripts_dir(team_id) / peer),
        "limit": settings.load_or_default().limit,
        "secrets": list(secrets),
        "at": time.time_ns() // 1_000_000,
    }
    file = directory / f"{peer}.json"
    new = directory / f"{peer}.json.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w", encoding="ascii") as out:
        json.dump(spec, out)
    new.replace(file)
    _ring(directory)
    return directory / f"{peer}.pipe"


class Keeper:
    """Has one recorder run for a team that has pipes; a dead one is replaced."""

    def __init__(self, team_id: str) -> None:
        self._directory = paths.team_runtime_dir(team_id) / _NAME
        self._log = paths.team_state_dir(team_id) / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._started = -AGAIN_S

    def keep(self) -> None:
        """Start a recorder if none runs; returns at once."""
        if self._process is not None and self._process.poll() is None:
            return
        if not (self._directory / "bell").exists() or time.monotonic() < self._started + AGAIN_S:
            return
        self._started = time.monotonic()
        lock = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if _is_locked(lock):
                return
            # The recorder inherits the lock, so that there is no time in which it runs and nobody knows.
            self._process = self._start(lock)
        finally:
            os.close(lock)

    def _start(self, lock: int) -> subprocess.Popen[bytes]:
        days = str(settings.load_or_default().keep_days)
        module = "intercom_mux.transcript.recorder"
        with self._log.open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-I", "-m", module, str(self._directory), days, str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd="/",
                pass_fds=[lock],
                start_new_session=True,
            )

    def leave(self) -> None:
        """Let the recorder go on without us."""
        if self._process is not None:
            # Without this, Popen's finaliser would warn about it.
            self._process.returncode = 0


def stop(team_id: str) -> None:
    """End the team's recorder when it has written all that is left; no error if none runs."""
    if sys.platform == "win32":
        return
    directory = paths.team_runtime_dir(team_id) / _NAME
    try:
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    deadline = time.monotonic() + END_S
    is_told = False
    try:
        while _is_locked(lock) and time.monotonic() < deadline + END_S:
            is_told = is_told or _ring(directory, _END)
            pid = os.pread(lock, 32, 0)
            if pid and time.monotonic() > deadline:
                os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.005)
    except ProcessLookupError:
        return
    finally:
        os.close(lock)


def _directory(team_id: str) -> Path:
    return paths.private_dir(paths.private_dir(paths.team_runtime_dir(team_id)) / _NAME)


def _ring(directory: Path, what: bytes = b".") -> bool:
    """Write to the recorder's bell; False when none listens (yet)."""
    try:
        bell = os.open(directory / "bell", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        os.write(bell, what)
    except BlockingIOError:
        return False
    finally:
        os.close(bell)
    return True


def _is_locked(lock: int) -> bool:
    """Whether a recorder holds the lock; if not, we do until `lock` is closed."""
    return not try_lock(lock)
