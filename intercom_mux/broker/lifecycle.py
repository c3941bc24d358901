"""One broker per user and state directory: serve in the foreground, start on demand, find, stop.

The broker holds an flock on `broker.lock` for its life; starters serialise on `broker.start`. Both vanish with their
holder, so no crash leaves a lock behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, Any

from intercom_mux import __version__, paths
from intercom_mux.errors import BrokerError, IntercomError

if TYPE_CHECKING:
    from pathlib import Path

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
IDLE_EXIT_S = 60.0
"""Default life of a broker that nobody is registered with; `INTERCOM_MUX_IDLE_S` overrides, 0 = for ever."""

OPEN_FILES = 10_240
"""Open files the broker asks for: more than its sessions and their commands need, less than macOS refuses."""

_HEALTH = b'{"type":"health","requestId":"probe"}'


def probe(path: Path, timeout_s: float = 1.0) -> dict[str, Any] | None:
    """Return the broker's `health_ok` at `path`, or None when no v1 broker answers there in time.

    The key `broker` is "intercom-mux" for ours and absent for a stock one.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect(str(path))
            sock.sendall(struct.pack(">I", len(_HEALTH)) + _HEALTH)
            head = _read_exactly(sock, 4)
            answer = json.loads(_read_exactly(sock, min(struct.unpack(">I", head)[0], 65_536)))
    except (OSError, ValueError):
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
        fcntl.flock(lock, fcntl.LOCK_EX)
        if probe(path) is None:
            _start(path, directory / "broker.log")
    return path


def _start(path: Path, log_file: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != paths.IDENTITY_VARIABLE}
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", "intercom_mux.broker"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment,
        start_new_session=True,
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while probe(path) is None:
        if child.poll() not in (None, 0) or time.monotonic() > deadline:
            tail = _tail(log_file)
            raise BrokerError(
                f"the broker did not start: {tail or 'it said nothing'}",
                hint="run `intercom-mux broker run` to see why",
                log=str(log_file),
            )
        time.sleep(0.005)
    # The child outlives us on purpose; without this, Popen's finaliser would warn about it.
    child.returncode = 0


def _tail(log_file: Path) -> str:
    try:
        return log_file.read_text(errors="replace").strip().rpartition("\n")[2]
    except OSError:
        return ""


def serve(*, idle_exit_s: float | None = None, announce: bool = False) -> None:
    """Be the broker until told to stop; return quietly when another one is.

    A loser of a start race stays until the winner has been healthy for a second: the stock client that started it
    takes an early end for a failure (docs/protocol.md, "Starting").

    Raises:
        IntercomError: The directories, the journal or the socket cannot be used; the log says so too.
    """
    directory = paths.private_dir(paths.state_dir())
    os.umask(0o077)
    with (directory / "broker.lock").open("w") as lock:
        if _take_over(lock):
            _serve_locked(directory, _idle_exit(idle_exit_s), announce=announce)


def _idle_exit(wanted: float | None) -> float:
    if wanted is not None:
        return wanted
    try:
        return max(0.0, float(os.environ["INTERCOM_MUX_IDLE_S"]))
    except (KeyError, ValueError):
        return IDLE_EXIT_S


def _take_over(lock: IO[str]) -> bool:
    """Take the broker's lock; False when another one holds it and answers. One that is stopping is outwaited."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if probe(paths.broker_socket()) is not None or time.monotonic() > deadline:
                time.sleep(1)
                return False
        time.sleep(0.02)


def _serve_locked(directory: Path, idle_exit_s: float, *, announce: bool) -> None:
    from intercom_mux.broker.core.core import Core
    from intercom_mux.broker.core.model import Limits
    from intercom_mux.broker.journal import Journal
    from intercom_mux.broker.server import Server, listen, log, now_ms

    _log_to(directory / "broker.log")
    _allow_many_connections()
    limits, now = Limits(), now_ms()
    try:
        path = paths.socket_path(paths.private_dir(paths.runtime_dir()) / "broker.sock")
        journal = Journal(paths.journal_file())
        snapshot = journal.load(now, limits.record_ttl, limits.records)
        listener = listen(path)
    except IntercomError as error:
        log.error("%s", error)
        raise
    _write_broker_file(path)
    log.info("broker %s serves %s (pid %s)", __version__, path, os.getpid())
    if announce:
        print(f"Intercom broker started (pid: {os.getpid()})", flush=True)  # noqa: T201 - pi waits for this line
    try:
        Server(Core(limits, snapshot, now), journal, [listener], idle_exit_s).run()
    finally:
        listener.close()
        path.unlink(missing_ok=True)
        paths.broker_file().unlink(missing_ok=True)
        journal.close()
        log.info("broker stopped")


def _allow_many_connections() -> None:
    """Raise the limit of open files, often 1,024, as far as we may: each session is one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
    temporary.replace(file)


def stop() -> bool:
    """End the running broker; False when there was none. It no longer listens on return.

    Raises:
        BrokerError: It is still there after `STOP_TIMEOUT_S`.
    """
    info = running()
    if info is None:
        return False
    os.kill(int(info["pid"]), signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while paths.broker_socket().exists():
        if time.monotonic() > deadline:
            raise BrokerError(f"the broker (pid {info['pid']}) does not stop", hint=f"kill -9 {info['pid']}")
        time.sleep(0.01)
    return True
