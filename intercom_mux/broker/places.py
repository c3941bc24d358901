"""Where the broker listens besides its own socket: with pi and atomic, so that their sessions meet ours.

A *place* is `<agent dir>/intercom`, laid out as stock clients expect it: `broker.sock`, `broker.pid` (decimal pid) and,
while somebody starts a broker, `broker.spawn.lock`. Who holds a place is asked of the kernel, never waited for.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux import paths
from intercom_mux.errors import BrokerError, IntercomError
from intercom_mux.host import files, unix
from intercom_mux.host.process import may_be_older
from intercom_mux.host.unix import listening_pid

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable


RETAKE_S = 0.25
"""How often a place held by another broker is looked at: stock clients come back a second after they lost theirs."""

CHECK_S = 1.0
"""How often a place of ours is looked at: its socket may have been removed."""

SPAWN_LOCK_STALE_S = 10.0
"""A spawn lock older than this counts for nothing; the stock client's rule."""


def agent_dir(text: str | Path) -> Path:
    """Return an agent directory as pi understands its setting: trimmed, made absolute."""
    return Path(os.path.abspath(str(text).strip()))


def asked_by_environment() -> list[Path]:
    """Return the agent directory that `PI_CODING_AGENT_DIR` names, if it does."""
    wanted = os.environ.get("PI_CODING_AGENT_DIR", "").strip()
    return [agent_dir(wanted)] if wanted else []


def pi_agent_dir() -> Path:
    """Return pi's agent directory here and now."""
    return (*asked_by_environment(), Path.home() / ".pi" / "agent")[0]


def socket_of(agent: Path) -> Path:
    """Return the socket of an agent directory's place."""
    return agent / "intercom" / "broker.sock"


def remember(agents: Iterable[Path]) -> None:
    """Ask the running and every later broker to listen at these places too. Idempotent.

    Raises:
        IntercomError: A place cannot be a private directory of ours, or its path is too long for a socket.
    """
    file = _asked_file()
    for agent in agents:
        if not unix.ARE_THERE:
            # Sessions of pi look for a named pipe there, which we do not open.
            raise BrokerError(
                f"cannot listen for the sessions of {agent}: on Windows they look for a named pipe", path=str(agent)
            )
        paths.private_dir(paths.socket_path(socket_of(agent)).parent)
        if agent not in _asked():
            paths.private_dir(file.parent)
            with file.open("a") as lines:
                lines.write(json.dumps(str(agent)) + "\n")


def known() -> list[Path]:
    """Return the agent directories that exist: those asked for, then the usual ones of pi and atomic."""
    if not unix.ARE_THERE:
        return []
    usual = [*asked_by_environment(), Path.home() / ".pi" / "agent", Path.home() / ".atomic" / "agent"]
    return [agent for agent in dict.fromkeys([*_asked(), *usual]) if os.path.isdir(agent)]


def survey(broker_pid: int | None) -> list[dict[str, Any]]:
    """Return `path`, `state` (ours, foreign, none) and `pid` (None if unknown) of every known place."""
    found = []
    for path in map(socket_of, known()):
        pid = listening_pid(path)
        state = "none" if pid is None else "ours" if pid == broker_pid else "foreign"
        found.append({"path": str(path), "state": state, "pid": pid or None})
    return found


def are_served(agents: Iterable[Path]) -> bool:
    """Return whether some broker, ours or not, listens at each of these agent directories."""
    return all(listening_pid(socket_of(agent)) is not None for agent in agents)


def recorded_pid(path: Path) -> int | None:
    """Return the pid in the `broker.pid` beside a socket if its writer lives, else None."""
    file = path.with_name("broker.pid")
    try:
        pid, written_at = int(file.read_text()), file.stat().st_mtime
    except (OSError, ValueError):
        return None
    return pid if pid > 0 and may_be_older(pid, written_at) else None


class _Held(NamedTuple):
    listener: socket.socket
    inode: tuple[int, int]


class Places:
    """The listeners of one broker at the known places. Its process holds the broker's lock."""

    def __init__(self) -> None:
        self._held: dict[Path, _Held] = {}
        self._said: dict[Path, str] = {}
        self._are_all_ours = True

    @property
    def pause_s(self) -> float:
        """How long the next `review` may wait, in seconds."""
        return CHECK_S if self._are_all_ours else RETAKE_S

    @property
    def directories(self) -> list[Path]:
        """The `intercom` directories that are served now."""
        return [path.parent for path in self._held]

    def review(self) -> tuple[list[socket.socket], list[socket.socket]]:
        """Give up places that were taken from us, take those that are free; return listeners lost and opened.

        The lost are still open: their owner stops watching them, then closes them.
        """
        lost = [self._held.pop(path).listener for path, held in list(self._held.items()) if _inode(path) != held.inode]
        wanted = [path for path in map(socket_of, known()) if path not in self._held]
        opened = [listener for path in wanted if (listener := self._take(path)) is not None]
        self._are_all_ours = len(opened) == len(wanted)
        return lost, opened

    def close(self) -> None:
        """Leave every place as if we had never been there."""
        for path, held in self._held.items():
            held.listener.close()
            if _inode(path) == held.inode:
                path.unlink(missing_ok=True)
                _remove_pid_file(path)
        self._held.clear()

    def _take(self, path: Path) -> socket.socket | None:
        """Listen at `path` unless another process does or may be about to.

        A stock spawner that holds the spawn lock waits for any healthy broker: we become it, and our `broker.pid`
        keeps its own from starting. The lock is taken where it is free, so that none starts in between.
        """
        holder = listening_pid(path)
        if holder is None:
            holder = recorded_pid(path)
        if holder is not None and holder != os.getpid():
            self._say(path, f"another broker (pid {holder or 'unknown'}) serves {path}: left alone")
            return None
        is_locked = False
        try:
            paths.private_dir(path.parent)
            paths.socket_path(path)
            is_locked = _take_spawn_lock(path)
            listener = self._open(path)
        except (IntercomError, OSError) as error:
            self._say(path, f"not serving {path}: {error}")
            return None
        finally:
            if is_locked:
                path.with_name("broker.spawn.lock").unlink(missing_ok=True)
        self._say(path, f"serving {path} too")
        return listener

    def _open(self, path: Path) -> socket.socket:
        from intercom_mux.host.unix import listen

        _write_pid_file(path)
        try:
            listener = listen(path)
        except IntercomError:
            _remove_pid_file(path)
            raise
        listener.setblocking(False)
        inode = _inode(path)
        if inode is None:
            listener.close()
            raise FileNotFoundError(f"{path} was removed at once")
        self._held[path] = _Held(listener, inode)
        return listener

    def _say(self, path: Path, what: str) -> None:
        if self._said.get(path) != what:
            self._said[path] = what
            import logging  # only the broker says anything, and commands look for places too

            logging.getLogger("intercom_mux.broker").info("%s", what)


def _asked_file() -> Path:
    return paths.state_dir() / "places"


def _asked() -> list[Path]:
    """Return the agent directories asked for: one JSON string a line, only ever appended to."""
    try:
        return [Path(json.loads(line)) for line in _asked_file().read_text().splitlines()]
    except (OSError, ValueError, TypeError):
        return []


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        info = path.lstat()
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _write_pid_file(path: Path) -> None:
    temporary = path.with_name(f"broker.pid.{os.getpid()}")
    temporary.write_text(str(os.getpid()))
    temporary.chmod(0o600)
    temporary.replace(path.with_name("broker.pid"))


def _remove_pid_file(path: Path) -> None:
    if recorded_pid(path) == os.getpid():
        path.with_name("broker.pid").unlink(missing_ok=True)


def _take_spawn_lock(path: Path) -> bool:
    """Take pi's spawn lock beside a socket; False while a live process has held it for less than ten seconds."""
    lock = path.with_name("broker.spawn.lock")
    if _is_stale(lock):
        lock.unlink(missing_ok=True)
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY | files.EXACT, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{os.getpid()}\n{time.time_ns() // 1_000_000}\n")
    return True


def _is_stale(lock: Path) -> bool:
    try:
        pid, taken_at = map(int, lock.read_text().split())
        age_s = time.time() - taken_at / 1000
    except (OSError, ValueError):
        return False
    return age_s > SPAWN_LOCK_STALE_S or not may_be_older(pid, taken_at / 1000)
