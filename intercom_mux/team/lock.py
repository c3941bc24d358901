"""One writer per team: an advisory lock that says who holds it."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.errors import IntercomError, TeamError
from intercom_mux.host import files, lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_POLL_S = 0.02
_OPEN_ATTEMPTS = 20


@contextmanager
def team_lock(
    directory: Path, action: str, on_wait: Callable[[str], None] | None = None, timeout_s: float | None = None
) -> Iterator[None]:
    """Hold `<directory>/lock` while the body runs; the directory is created 0700 when missing.

    The kernel releases the lock when its holder ends in whatever way; a child forked without exec shares it. The body
    may remove the directory: who waits then starts over on a new file. Not re-entrant.

    Args:
        action: What others are told we do, such as `up planner-worker.yaml`.
        on_wait: Is told for whom we wait, at once and whenever that is another.
        timeout_s: Seconds to wait; None waits for ever, 0 does not wait.

    Raises:
        TeamError: The lock was not free in time; `action` and `pid` of the holder are in fields, if known.
        IntercomError: The directory cannot be used.
    """
    descriptor = _acquire(directory, on_wait, None if timeout_s is None else time.monotonic() + timeout_s)
    try:
        _write_holder(descriptor, action)
        yield
    finally:
        os.ftruncate(descriptor, 0)
        lock.release(descriptor)
        os.close(descriptor)


def _acquire(directory: Path, on_wait: Callable[[str], None] | None, deadline: float | None) -> int:
    told: object = ()
    while True:
        descriptor = _open(directory)
        try:
            while not lock.try_lock(descriptor):
                holder = _read_holder(descriptor)
                text = _describe(holder)
                if deadline is not None and time.monotonic() >= deadline:
                    raise TeamError(
                        f"gave up {text}", code="E_TEAM_BUSY", hint="try again when that is done", **(holder or {})
                    )
                if on_wait and holder != told:
                    on_wait(text)
                    told = holder
                time.sleep(_POLL_S)
            if _is_current(descriptor, directory / "lock"):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(directory: Path) -> int:
    """Open the lock file; a `down` may be removing the directory at this moment, hence several attempts."""
    problem: Exception | None = None
    for _ in range(_OPEN_ATTEMPTS):
        try:
            return os.open(paths.private_dir(directory) / "lock", os.O_RDWR | os.O_CREAT | files.EXACT, 0o600)
        except IntercomError as error:
            problem = error
            if not isinstance(error.__cause__, (FileNotFoundError, FileExistsError)):
                raise
        except OSError as error:
            problem = error
            if not isinstance(error, FileNotFoundError):
                break
    raise TeamError(f"cannot lock {directory}: {problem}", path=str(directory)) from problem


def _is_current(descriptor: int, path: Path) -> bool:
    """Return whether `path` still names the open file: its directory may have been removed while we waited."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _write_holder(descriptor: int, action: str) -> None:
    line = json.dumps({"pid": os.getpid(), "action": action, "since": time.time()}).encode() + b"\n"
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, line)


def _read_holder(descriptor: int) -> dict[str, object] | None:
    """Return what the holder wrote; None when it is just writing it, or died before it could."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        holder = json.loads(os.read(descriptor, 4096))
    except ValueError:
        return None
    return holder if isinstance(holder, dict) and holder.keys() == {"pid", "action", "since"} else None


def _describe(holder: dict[str, object] | None) -> str:
    if holder is None:
        return "waiting for another command"
    seconds = max(0, int(time.time() - float(str(holder["since"]))))
    since = f", for {seconds} s" if seconds else ""
    return f"waiting for `{holder['action']}` (pid {holder['pid']}{since})"
