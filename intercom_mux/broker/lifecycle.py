"""One broker per user and state directory: serve in the foreground, start on demand, find, stop.

The broker holds a lock on `broker.lock` for its life; starters serialise on `broker.start`. Both vanish with their
holder, so no crash leaves a lock behind.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import time
from typing import IO, TYPE_CHECKING, Any

from intercom_mux import __version__, paths
from intercom_mux.errors import BrokerError, IntercomError
from intercom_mux.host import endpoint, files
from intercom_mux.host import lock as locks
from intercom_mux.host.limits import allow_open_files
from intercom_mux.host.process import DETACHED, PYTHON, end, has_ended
from intercom_mux.host.unix import listening_pid

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence
    from pathlib import Path

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
LEAVE_S = 0.5
PLACE_TIMEOUT_S = 5.0
OPEN_FILES = 10_240
"""Open files the broker asks for: more than its sessions and their commands need, less than macOS refuses."""

_HEALTH = {"type": "health", "requestId": "probe"}


def probe(path: Path, timeout_s: float = 1.0) -> dict[str, Any] | None:
    """Return the broker's `health_ok` at `path`, or None when no v1 broker answers there in time.

    The key `broker` is "intercom-mux" for ours and absent for a stock one.
    """
    try:
        sock, keys = endpoint.dial(path, timeout_s)
        with sock:
            frame = json.dumps({**_HEALTH, **keys}).encode()
            sock.sendall(struct.pack(">I", len(frame)) + frame)
            head = _read_exactly(sock, 4)
            answer = json.loads(_read_exactly(sock, min(struct.unpack(">I", head)[0], 65_536)))
    except (OSError, ValueError, BrokerError):
        return None
    is_broker = isinstance(answer, dict) and answer.get("protocol") == "pi-intercom" and answer.get("version") == 1
    return answer if is_broker else None


def _read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise ConnectionError("closed")
        data += chunk
    return data


def running() -> dict[str, Any] | None:
    """Return `broker.json` of the broker if it answers, else None."""
    if probe(paths.broker_socket()) is None:
        return None
    try:
        value = json.loads(paths.broker_file().read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def ensure_running() -> Path:
    """Return the socket of the running broker, starting one if there is none; it answers on return.

    Safe for any number of callers at once: exactly one broker results.

    Raises:
        BrokerError: It did not answer within `START_TIMEOUT_S`; the end of its log is in the message.
    """
    path = paths.socket_path(paths.broker_socket())
    if probe(path) is not None:
        return path
    directory = paths.private_dir(paths.state_dir())
    with (directory / "broker.start").open("w") as lock:
        locks.lock(lock.fileno())
        if probe(path) is None:
            _start(path, directory / "broker.log")
        locks.release(lock.fileno())
    return path


def _start(path: Path, log_file: Path) -> None:
    from intercom_mux.broker import places

    environment = {k: v for k, v in os.environ.items() if k != paths.IDENTITY_VARIABLE}
    for agent in places.asked_by_environment():
        environment["PI_CODING_AGENT_DIR"] = str(agent)
    child = _spawn(environment)
    deadline = time.monotonic() + START_TIMEOUT_S
    while probe(path) is None:
        if child.poll() == 0:
            # It left the place to another broker, and that one is gone again.
            child = _spawn(environment)
        if child.poll() is not None or time.monotonic() > deadline:
            tail = _tail(log_file)
            raise BrokerError(
                f"the broker did not start: {tail or 'it said nothing'}",
                hint="run `intercom-mux broker run` to see why",
                log=str(log_file),
            )
        time.sleep(0.005)
    # The child outlives us on purpose; without this, Popen's finaliser would warn about it.
    child.returncode = 0


def _spawn(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PYTHON, "-m", "intercom_mux.broker"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment,
        start_new_session=True,
        creationflags=DETACHED,
    )


def _tail(log_file: Path) -> str:
    try:
        return log_file.read_text(errors="replace").strip().rpartition("\n")[2]
    except OSError:
        return ""


def serve(
    *,
    agents: Sequence[Path] = (),
    idle_exit_s: float | None = None,
    announce: bool = False,
    has_tcp: bool = False,
) -> None:
    """Be the broker until told to stop; return quietly when another one is, which then serves `agents` as well.

    `agents` are agent directories of pi or atomic; those that were ever asked for are served too (broker/places.py).
    A loser of a start race stays until the winner has been healthy for a second: the stock client that started it
    takes an early end for a failure (docs/protocol.md, "Starting").

    Raises:
        IntercomError: The directories, the journal or the socket cannot be used; the log says so too.
    """
    from intercom_mux.broker import places

    directory = paths.private_dir(paths.state_dir())
    os.umask(0o077)
    places.remember(agents)
    with (directory / "broker.lock").open("w") as lock:
        if _take_over(lock, agents):
            _serve_locked(directory, idle_exit_s, announce=announce, has_tcp=has_tcp)


def _idle_exit(wanted: float | None, configured: float) -> float:
    if wanted is not None:
        return wanted
    try:
        return max(0.0, float(os.environ["INTERCOM_MUX_IDLE_S"]))
    except (KeyError, ValueError):
        return configured


def _take_over(lock: IO[str], agents: Sequence[Path]) -> bool:
    """Take the broker's lock; False when another one holds it and answers. One that is stopping is outwaited."""
    from intercom_mux.broker import places

    deadline = time.monotonic() + START_TIMEOUT_S
    while not locks.try_lock(lock.fileno()):
        is_served = probe(paths.broker_socket()) is not None and places.are_served(agents)
        if is_served or time.monotonic() > deadline:
            time.sleep(1)
            return False
        time.sleep(0.02)
    return True


def _serve_locked(directory: Path, idle_exit_s: float | None, *, announce: bool, has_tcp: bool) -> None:
    from intercom_mux.broker import config, tcp
    from intercom_mux.broker.core.core import Core
    from intercom_mux.broker.extension_store import ExtensionStore
    from intercom_mux.broker.journal import Journal
    from intercom_mux.broker.places import Places
    from intercom_mux.broker.server import Server, log, now_ms
    from intercom_mux.host.unix import listen

    _log_to(directory / "broker.log")
    allow_open_files(OPEN_FILES)
    store = ExtensionStore(directory / "extension-state")
    now = now_ms()
    try:
        settings = config.load()
        limits = settings.limits
        paths.private_dir(paths.runtime_dir())
        path = paths.socket_path(paths.broker_socket())
        journal = Journal(
            paths.journal_file(),
            full_durability=settings.durability == "full",
            history_days=settings.history_days,
            history_mb=settings.history_mb,
        )
        snapshot = journal.load(now, limits.record_ttl, limits.records)
        tcp.remove_file()
        listeners, secret = [], None
        if path != tcp.endpoint_file():
            listeners.append(listen(path))
        if has_tcp or not listeners:
            at_tcp = tcp.open_endpoint()
            listeners.append(at_tcp.listener)
            secret = at_tcp.secret
    except IntercomError as error:
        log.error("%s", f"{error}; {error.hint}" if error.hint else error)
        raise
    idle_s = _idle_exit(idle_exit_s, settings.idle_exit_s)
    places = Places()
    opened = places.review()[1]
    try:
        core = Core(limits, snapshot, now, os.path.realpath, store.load())
        server = Server(core, journal, store, [*listeners, *opened], idle_s, places, secret)
        _write_broker_file(path)
        log.info("broker %s serves %s (pid %s)", __version__, path, os.getpid())
        if announce:
            print(f"Intercom broker started (pid: {os.getpid()})", flush=True)  # noqa: T201 - pi waits for this line
        server.run()
    finally:
        places.close()
        for listener in listeners:
            listener.close()
        tcp.remove_file()
        path.unlink(missing_ok=True)
        paths.broker_file().unlink(missing_ok=True)
        journal.close()
        _remove_empty(paths.runtime_dir() / "t", paths.runtime_dir())
        log.info("broker stopped")


def _remove_empty(*directories: Path) -> None:
    """Remove directories of sockets that nobody uses any more, innermost first."""
    for directory in directories:
        try:
            directory.rmdir()
        except OSError:
            continue


def _log_to(file: Path) -> None:
    """Log to a bounded file; a log that cannot be written never disturbs the broker."""
    import logging
    import logging.handlers

    logging.raiseExceptions = False
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=1_000_000, backupCount=2, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("intercom_mux.broker")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _write_broker_file(path: Path) -> None:
    file = paths.broker_file()
    value = {"pid": os.getpid(), "socket": str(path), "version": __version__, "started_at": time.time()}
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(value))
    files.replace(temporary, file)


def start_at(agents: Iterable[Path]) -> Path:
    """As `ensure_running`, and the broker also listens with these agent directories on return, unless another does.

    Raises:
        IntercomError: A place cannot be used, or is not served within `PLACE_TIMEOUT_S`; the log says why.
    """
    from intercom_mux.broker import places

    agents = list(agents)
    places.remember(agents)
    path = ensure_running()
    deadline = time.monotonic() + PLACE_TIMEOUT_S
    while not places.are_served(agents):
        if time.monotonic() > deadline:
            where = ", ".join(str(places.socket_of(agent)) for agent in agents)
            log_file = paths.state_dir() / "broker.log"
            raise BrokerError(f"the broker does not listen on {where}", hint=f"see {log_file}", log=str(log_file))
        probe(path)
        time.sleep(0.02)
    return path


def foreign_broker(agent: Path) -> int | None:
    """Return the pid of another broker that holds the place of an agent directory, proved by its own pid file.

    Raises:
        BrokerError: Something else listens there, or `broker.pid` names another process: we end neither.
    """
    from intercom_mux.broker import places

    path = places.socket_of(agent)
    pid = listening_pid(path)
    info = running()
    if pid is None or (info is not None and pid == info["pid"]):
        return None
    recorded = places.recorded_pid(path)
    if pid != recorded or probe(path) is None:
        raise BrokerError(
            f"cannot tell which broker serves {path}: pid {pid or 'unknown'} listens, broker.pid names {recorded}",
            hint="end that process yourself, then run this again",
            path=str(path),
            pid=pid,
        )
    return pid


def replace(agent: Path) -> int | None:
    """Retire the foreign broker at an agent directory's place, None if there is none; ours listens there on return.

    Its sessions reconnect to ours by themselves. What it held in memory is lost.

    Raises:
        BrokerError: As `foreign_broker`, or it does not end within `STOP_TIMEOUT_S`, or ours cannot listen there.
    """
    from intercom_mux.broker import places

    pid = foreign_broker(agent)
    start_at([agent])
    if pid is None:
        return None
    end(pid)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    path = places.socket_of(agent)
    while listening_pid(path) == pid or places.recorded_pid(path) == pid:
        if time.monotonic() > deadline:
            raise BrokerError(f"the broker (pid {pid}) does not stop", hint=f"kill -9 {pid}", pid=pid)
        time.sleep(0.01)
    start_at([agent])
    return pid


def stop() -> bool:
    """End the running broker; False when there was none. On return its journal and its lock are free, and it is gone.

    Raises:
        BrokerError: It is still there after `STOP_TIMEOUT_S`.
    """
    from intercom_mux.broker import tcp

    info = running()
    if info is None:
        return False
    end(int(info["pid"]))
    deadline = time.monotonic() + STOP_TIMEOUT_S
    with (paths.state_dir() / "broker.lock").open("w") as lock:
        while not locks.try_lock(lock.fileno()):
            if time.monotonic() > deadline:
                raise BrokerError(f"the broker (pid {info['pid']}) does not stop", hint=f"kill -9 {info['pid']}")
            time.sleep(0.01)
        # Where ending a process asks it nothing, these are left to us.
        paths.broker_file().unlink(missing_ok=True)
        tcp.remove_file()
    # Its interpreter still takes a moment; a parent that does not reap it is not waited for.
    last_look = time.monotonic() + LEAVE_S
    while not has_ended(int(info["pid"])) and time.monotonic() < last_look:
        time.sleep(0.005)
    return True
