"""The lock that a team's daemon holds for its life: at most one runs, and `down` lets none begin."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.errors import TeamError
from intercom_mux.host import files
from intercom_mux.host.lock import release, try_lock
from intercom_mux.team import control

if TYPE_CHECKING:
    from collections.abc import Iterator

PREDECESSOR_END_S = 5.0
"""How long an earlier daemon of the team may take to end."""
DAEMON_END_S = 5.0
"""How long a daemon may take to end when it is asked to; then it is killed."""
_POLL_S = 0.01
_LONGEST_PID = 32


def become_sole_daemon(team_id: str) -> None:
    """Be the team's only daemon from now on until this process is gone; one that ends is waited for.

    Raises:
        TeamError: It does not end (`E_DAEMON`).
    """
    # Never closed: the kernel does that, once nothing of us runs any more.
    descriptor = _open(team_id)
    deadline = time.monotonic() + PREDECESSOR_END_S
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            raise TeamError("another daemon of this team does not end", code="E_DAEMON")
        time.sleep(_POLL_S)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())


@contextmanager
def no_daemon(team_id: str) -> Iterator[None]:
    """End the team's daemon, however far it has come, and let none begin while the body runs.

    One that is dead or stuck is no obstacle.
    """
    descriptor = _open(team_id)
    is_ours = False
    try:
        is_ours = _take_from(team_id, descriptor)
        yield
    finally:
        if is_ours:
            release(descriptor)
        os.close(descriptor)


def _take_from(team_id: str, descriptor: int) -> bool:
    """Have the daemon end, and take its lock; False if nothing helps."""
    ask_until = time.monotonic() + DAEMON_END_S
    while not try_lock(descriptor):
        if time.monotonic() < ask_until:
            _ask_to_stop(team_id)
        elif not _kill(descriptor):
            return False
        time.sleep(_POLL_S)
    return True


def _open(team_id: str) -> int:
    path = paths.private_dir(paths.team_state_dir(team_id)) / "daemon.lock"
    return os.open(path, os.O_RDWR | os.O_CREAT | files.EXACT, 0o600)


def _ask_to_stop(team_id: str) -> None:
    try:
        for _ in control.request(team_id, {"type": "stop"}, timeout_s=DAEMON_END_S):
            pass
    except (ConnectionError, TeamError):
        # It does not listen yet or any more, or is stuck.
        return


def _kill(descriptor: int) -> bool:
    """Kill who holds the lock; False if that is not known, or nothing helps."""
    from intercom_mux.team import processes

    os.lseek(descriptor, 0, os.SEEK_SET)
    pid = os.read(descriptor, _LONGEST_PID)
    holder = processes.identify(int(pid)) if pid.isdigit() else None
    return holder is not None and not processes.end([holder], grace_s=1)
