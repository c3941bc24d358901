"""One reading of the process table, and who hangs on whom in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psutil

from intercom_mux.host import process as host
from intercom_mux.paths import IDENTITY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_PASSES = 10


class Row(NamedTuple):
    """A process as it was when read; `identity` is its identity variable, if it is ours to read."""

    process: psutil.Process
    parent: int
    session: int
    group: int
    is_zombie: bool
    identity: str | None


def read_table(*, with_identities: bool) -> dict[int, Row]:
    """Return every process by pid, zombies too: their children and session members still refer to them.

    What was forked during the reading is read in short further passes, so that a fork loop is seen.
    """
    table: dict[int, Row] = {}
    seen: set[int] = set()
    for _ in range(_PASSES):
        fresh = set(psutil.pids()) - seen
        if not fresh:
            break
        seen |= fresh
        for pid in fresh:
            try:
                table[pid] = _read_row(pid, with_identities)
            except (psutil.Error, OSError):
                continue
    return table


def _read_row(pid: int, with_identity: bool) -> Row:
    process = psutil.Process(pid)
    with process.oneshot():
        is_zombie = _is_zombie(process)
        identity = _identity(process) if with_identity and not is_zombie else None
        return Row(process, host.parent_of(process), *host.session_and_group(pid), is_zombie, identity)


def _identity(process: psutil.Process) -> str | None:
    """Return the identity variable of a process of this user; None without one or where it cannot be read."""
    try:
        return process.environ().get(IDENTITY_VARIABLE) if host.is_this_users(process) else None
    except (psutil.Error, OSError):
        return None


def environments_with(variable: str) -> Iterator[Mapping[str, str]]:
    """Yield the environment of every process of this user that has `variable`, where it can be read."""
    for process in psutil.process_iter():
        try:
            environment = process.environ() if host.is_this_users(process) else {}
        except (psutil.Error, OSError):
            continue
        if variable in environment:
            yield environment


def closure(table: Mapping[int, Row], seeds: Collection[int]) -> set[int]:
    """Return `seeds` and all below them or in a session or group that one of the result leads."""
    found = set(seeds)
    while True:
        more = {
            pid
            for pid, row in table.items()
            if pid not in found and not found.isdisjoint((row.parent, row.session, row.group))
        }
        if not more:
            return found
        found |= more


def parents(table: Mapping[int, Row], pid: int) -> Iterator[int]:
    """Yield the ancestors of `pid` upward; ends even if a pid reused while the table was read closed a circle."""
    seen = {pid}
    while pid in table and (pid := table[pid].parent) not in seen:
        seen.add(pid)
        yield pid


def is_running(process: psutil.Process) -> bool:
    """Return whether this very process runs: not a zombie, and not a later one of the same pid."""
    return process.is_running() and not _is_zombie(process)


def _is_zombie(process: psutil.Process) -> bool:
    """Return whether the process ended and waits to be reaped; False when it is gone altogether."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.ZombieProcess:
        return True
    except psutil.Error:
        return False
