"""Process trees: what belongs to a team, and how it is ended. With `team/` around it the only user of psutil.

Two steps, `snapshot` and `end`. A process is chosen because of where it stands (below a root, or in the session or
process group of one that is) or because its environment carries the team's marker, never because of its name; names
can only spare. Where environments cannot be read (macOS, hardened programs) tree, session and group serve.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import psutil

from intercom_mux.host import process as host
from intercom_mux.team.bystanders import shared_service
from intercom_mux.team.proc import Proc
from intercom_mux.team.process_table import closure, is_running, parents, read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from intercom_mux.team.process_table import Row

SAME_START_S = 2.0
"""Start times closer than this are one: the boot time they are computed from moves as the clock is disciplined."""

KILL_WAIT_S = 2.0
"""How long the kernel may take to carry out a KILL before the process counts as a survivor."""

_POLL_S = 0.01
_KILL_ROUNDS = 5
_FREEZE_ROUNDS = 20
_JUST_NOW_S = 0.5
"""For how long a group whose members were seen is taken for the same one."""


class Spared(NamedTuple):
    """A process that was found and is left alone, and why."""

    proc: Proc
    reason: str


class Snapshot(NamedTuple):
    """One look at a team's processes: `doomed` deepest first, `spared` by pid.

    No zombies in either; some may have ended since, which tells `end` that something keeps starting more.
    """

    doomed: tuple[Proc, ...]
    spared: tuple[Spared, ...]


def identify(pid: int) -> Proc | None:
    """Return who runs under `pid` now; None when nobody does, or only a zombie."""
    try:
        process = psutil.Process(pid)
        return _describe(process) if is_running(process) else None
    except psutil.Error:
        return None


def is_alive(proc: Proc) -> bool:
    """Return whether this very process still runs: not a zombie, and not a later one that got its pid."""
    process = _open(proc)
    return process is not None and is_running(process)


def own_ancestors() -> set[int]:
    """Return the pids of our parent and its parents."""
    return {process.pid for process in psutil.Process().parents()}


def snapshot(
    roots: Iterable[Proc | int], marker: str | None, *, exclude: Collection[int] = (), met: Iterable[Proc] = ()
) -> Snapshot:
    """Look once through the process table for everything that belongs to a team.

    Args:
        roots: The team's own multiplexer server and the programs of its panes; never spared for what they are. A
            `Proc` whose pid has been reused is dropped, a bare pid is believed. A dead root still names the session
            and group that its orphans are in.
        marker: Start of `INTERCOM_MUX_IDENTITY` in the team's environments: its runtime directory and a slash. None
            reads no environment.
        exclude: Pids to spare besides the caller and its ancestors.
        met: Processes that earlier looks doomed; what hangs on them, dead or alive, is found like the marker's.

    Found, hence doomed unless spared: the trees below the roots, whoever is in a session or group led by a member of
    them, this user's processes that carry the marker, and the same closure around those. Spared wherever they are:
    the caller and its ancestors, and brokers, team daemons and other multiplexer servers with everything below them.
    Spared outside the trees only: shared agent daemons and other teams' processes, likewise.
    """
    table = read_table(with_identities=marker is not None)
    anchors = _still_theirs(roots)
    tree = closure(table, anchors)
    identities = {pid: row.identity for pid, row in table.items() if row.identity and pid not in tree}
    marked = {pid for pid, identity in identities.items() if marker and identity.startswith(marker)}
    judge = _Judge(
        table=table,
        anchors=anchors,
        tree=tree,
        marked=marked,
        strangers=identities.keys() - marked,
        callers=_self_and_ancestors(table),
        excluded=frozenset(exclude),
    )
    doomed: dict[int, Proc] = {}
    spared: list[Spared] = []
    for pid in sorted(closure(table, tree | marked | _still_theirs(met)) & table.keys()):
        row = table[pid]
        if row.is_zombie:
            continue
        reason = judge.why_spared(pid)
        if reason is None:
            doomed[pid] = _describe(row.process)
        else:
            spared.append(Spared(_describe(row.process), reason))
    return Snapshot(tuple(_ordered(table, doomed)), tuple(spared))


def end(
    procs: Iterable[Proc],
    *,
    grace_s: float = 2.0,
    rescan: Callable[[Collection[Proc]], Iterable[Proc]] | None = None,
    on_progress: Callable[[list[Proc]], None] | None = None,
) -> list[Proc]:
    """End processes politely, then by force, and return the survivors (uninterruptible, or another user's).

    TERM goes to all in the order given; after `grace_s`, or at once when it is 0, those left are stopped, so that
    none can fork a successor, and then killed. Every signal is preceded by a check of (pid, start time). Returns as
    soon as all are gone, at the latest `grace_s` plus a few seconds later. Never raises for a process.

    Args:
        rescan: Looks for newcomers; is given every process met so far and returns all that are doomed now, such as
            `lambda met: snapshot(roots, marker, met=met).doomed`.
        on_progress: Is told who is left, each time that changes.
    """
    targets = _Targets(rescan, on_progress)
    deadline = time.monotonic() + grace_s
    fresh = targets.admit(procs) or targets.find_more()
    while fresh:
        targets.send(fresh, psutil.Process.terminate)
        targets.send(fresh, psutil.Process.resume)  # a stopped job hears TERM only once it goes on
        targets.wait(deadline)
        fresh = targets.find_more()
        if time.monotonic() >= deadline:
            break
    rounds = _KILL_ROUNDS if targets.left() or targets.groups() else 0
    for _ in range(rounds):
        _freeze(targets)
        targets.send(targets.left(), psutil.Process.kill)
        targets.wait(time.monotonic() + KILL_WAIT_S)
        fresh = targets.find_more()
        if not fresh:
            break
    return targets.left() or fresh


def _freeze(targets: _Targets) -> None:
    """Stop all that are left and whatever they forked meanwhile, until a look finds nobody new."""
    targets.send(targets.left(), psutil.Process.suspend)
    for _ in range(_FREEZE_ROUNDS):
        targets.stop_groups()
        fresh = targets.find_more()
        if not fresh:
            return
        targets.send(fresh, psutil.Process.suspend)


class _Targets:
    """Processes being ended, each held by a handle that knows a reused pid."""

    def __init__(
        self,
        rescan: Callable[[Collection[Proc]], Iterable[Proc]] | None,
        on_progress: Callable[[list[Proc]], None] | None,
    ) -> None:
        self._rescan = rescan
        self._on_progress = on_progress
        self._reported = 0
        self._met: dict[Proc, None] = {}
        self._handles: dict[Proc, psutil.Process] = {}
        self._refused: set[Proc] = set()
        self._groups: dict[int, float] = {}

    def admit(self, procs: Iterable[Proc]) -> list[Proc]:
        """Take up those not met before and return them, also those that ended before they could be taken hold of."""
        held = {proc.pid for proc in self.left()}
        fresh = [proc for proc in procs if proc.pid not in held and proc not in self._met]
        self._met.update(dict.fromkeys(fresh))
        self._handles.update({proc: handle for proc in fresh if (handle := _open(proc))})
        self._note_groups(fresh)
        return fresh

    def find_more(self) -> list[Proc]:
        """Look again and take up the newcomers."""
        return self.admit(self._rescan(list(self._met))) if self._rescan else []

    def _note_groups(self, seen: list[Proc]) -> None:
        self._groups.update(dict.fromkeys((proc.group for proc in seen if proc.group), time.monotonic()))

    def groups(self) -> list[int]:
        """Return the groups of those seen just now that still have members, whom a look may have missed."""
        now = time.monotonic()
        return [group for group, at in self._groups.items() if now - at < _JUST_NOW_S and host.has_group(group)]

    def left(self) -> list[Proc]:
        """Return who still runs, in the order met; forgets the others."""
        self._handles = {proc: handle for proc, handle in self._handles.items() if is_running(handle)}
        left = list(self._handles)
        self._note_groups(left)
        if self._on_progress and len(left) != self._reported:
            self._on_progress(left)
        self._reported = len(left)
        return left

    def send(self, procs: Iterable[Proc], signal: Callable[[psutil.Process], None]) -> None:
        for proc in procs:
            try:
                signal(self._handles[proc])
            except psutil.AccessDenied:
                self._refused.add(proc)
            except (psutil.Error, KeyError):
                continue

    def stop_groups(self) -> None:
        """Stop the groups of processes seen just now: the kernel lets no fork slip past a group signal."""
        for group in self.groups():
            try:
                host.stop_group(group)
            except OSError:
                continue

    def wait(self, deadline: float) -> None:
        """Return when all that take our signals are gone, or at `deadline` (monotonic)."""
        while not self._refused.issuperset(self.left()) and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def _still_theirs(procs: Iterable[Proc | int]) -> frozenset[int]:
    """Return the pids, without those that now belong to somebody else, and never that of init."""
    pids = set()
    for proc in procs:
        if isinstance(proc, int):
            pids.add(proc)
        elif not psutil.pid_exists(proc.pid) or _open(proc):
            pids.add(proc.pid)
    return frozenset(pid for pid in pids if pid > 1)


def _self_and_ancestors(table: Mapping[int, Row]) -> frozenset[int]:
    return frozenset({os.getpid(), *parents(table, os.getpid())})


def _ordered(table: Mapping[int, Row], doomed: Mapping[int, Proc]) -> list[Proc]:
    """Return `doomed` deepest first, each with its group if that may be signalled whole."""
    groups = {table[pid].group for pid in doomed}
    mixed = {host.own_group()} | {
        row.group for pid, row in table.items() if row.group in groups and pid not in doomed and is_running(row.process)
    }
    depth = {pid: sum(1 for _ in parents(table, pid)) for pid in doomed}
    return [
        doomed[pid] if table[pid].group in mixed else replace(doomed[pid], group=table[pid].group)
        for pid in sorted(doomed, key=depth.__getitem__, reverse=True)
    ]


class _Judge(NamedTuple):
    """Says who is spared.

    `tree` is what hangs on `anchors`, the roots. Outside it `marked` carry the team's marker, `strangers` another's.
    """

    table: Mapping[int, Row]
    anchors: Collection[int]
    tree: Collection[int]
    marked: Collection[int]
    strangers: Collection[int]
    callers: Collection[int]
    excluded: Collection[int]

    def why_spared(self, pid: int) -> str | None:
        if pid in self.callers:
            return "runs this command"
        if pid in self.excluded:
            return "excluded"
        is_ours = False
        for upper in self._lineage(pid):
            is_ours = is_ours or upper in self.marked
            reason = self._service(upper)
            if not reason and upper in self.strangers and not is_ours:
                reason = "belongs to another team"
            if reason:
                return reason if upper == pid else f"below {upper}: {reason}"
        return None

    def _lineage(self, pid: int) -> Iterator[int]:
        """Yield `pid` and whom it comes from, up to a root of the team (left out) or the end.

        Who does not lead its session and has a parent outside it was re-parented: it comes from the session's leader.
        """
        seen: set[int] = set()
        while pid in self.table and pid not in self.anchors and pid not in seen:
            yield pid
            seen.add(pid)
            row = self.table[pid]
            parent = self.table.get(row.parent)
            is_adopted = row.session != pid and (parent is None or parent.session != row.session)
            pid = row.session if is_adopted else row.parent

    def _service(self, pid: int) -> str | None:
        try:
            return shared_service(self.table[pid].process, in_tree=pid in self.tree)
        except psutil.Error:
            return None


def _open(proc: Proc) -> psutil.Process | None:
    """Return a handle on this very process, zombie or not; None when it is gone or its pid is somebody else's."""
    try:
        process = psutil.Process(proc.pid)
        return process if abs(process.create_time() - proc.started) < SAME_START_S else None
    except psutil.Error:
        return None


def _describe(process: psutil.Process) -> Proc:
    """Return the process as data; the command of one that vanished meanwhile is empty."""
    try:
        command = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        command = ""
    return Proc(process.pid, process.create_time(), command)
