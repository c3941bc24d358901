"""`down`: end a team and everything it started, and nothing else; verified.

Works from any terminal, with or without the daemon and the multiplexer's server, and any number of times. Order:
end the daemon and let none begin, snapshot the processes, close our multiplexer server (its panes hear HUP), TERM,
grace, KILL, verify, tell the broker, remove what is left on disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.errors import IntercomError, TeamError, TeardownError
from intercom_mux.host.process import DETACHED, PYTHON
from intercom_mux.team import processes, stages, task_log, worktrees
from intercom_mux.team import state as team_states
from intercom_mux.team.daemon_lock import no_daemon
from intercom_mux.team.lock import team_lock
from intercom_mux.team.multiplexer import multiplexer_of
from intercom_mux.team.retire import retire
from intercom_mux.team.worktrees import Kept
from intercom_mux.transcript import recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intercom_mux.mux.base import Multiplexer
    from intercom_mux.team.proc import Proc
    from intercom_mux.team.processes import Spared
    from intercom_mux.team.state import TeamState

GRACE_S = 3.0
PARENT_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What `down` did: processes ended, those found and left alone, each with why, and surfaces it could not close."""

    team: str
    ended: int
    spared: tuple[Spared, ...]
    left: tuple[str, ...] = ()
    worktrees: tuple[Kept, ...] = ()
    """Worktrees, or branches of them, that stay: what is in them is nowhere else, or the layout keeps them."""


def down(
    team: TeamState,
    *,
    grace_s: float = GRACE_S,
    on_step: Callable[[str], None] = lambda _: None,
    on_line: Callable[[str], None] = lambda _: None,
    on_wait: Callable[[str], None] | None = None,
) -> Ended:
    """End `team`: on return none of its processes lives, and its sockets, identities and state are gone.

    Its transcripts stay until they are pruned, its tasks and statuses for `report`, and worktrees with work in them
    where they are. `on_line` is told what the layout's `before_down` prints, and its failures, which hold up nothing.

    Raises:
        TeardownError: Some processes survived KILL; they are named, and the state is kept for another try.
        BrokerError: Everything has ended, but no broker could be told; the state is kept too.
    """
    with team_lock(paths.team_state_dir(team.id), f"down {team.name}", on_wait):
        # Whoever held the lock before us may have changed it.
        team = team_states.load(team.id) or team
        stages.before_down(team, on_line)
        on_step("stopping the team daemon")
        with no_daemon(team.id):
            # The daemon of an `up` that was killed starts peers for as long as it lives.
            team = team_states.load(team.id) or team
            return _end(team, grace_s, on_step)


def _end(team: TeamState, grace_s: float, on_step: Callable[[str], None]) -> Ended:
    on_step("ending processes")
    doomed, spared, survivors, left = _end_processes(team, grace_s)
    if survivors:
        raise TeardownError(
            f"{len(survivors)} of {doomed} processes of {team.name} survived: {', '.join(map(str, survivors))}",
            hint="look at them with ps; then run `intercom-mux down` again",
            survivors=[{"pid": proc.pid, "command": proc.command} for proc in survivors],
        )
    recording.stop(team.id)
    kept = _clear_worktrees(team.id)
    on_step("telling the broker")
    task_log.keep(team.id)
    retire(team, list(team.peers.values()), f"team {team.name} has gone down")
    shutil.rmtree(paths.team_runtime_dir(team.id), ignore_errors=True)
    shutil.rmtree(paths.peers_dir(team.id), ignore_errors=True)
    (paths.team_state_dir(team.id) / "typing.log").unlink(missing_ok=True)
    team_states.remove(team.id)
    return Ended(team.name, doomed, spared, left, kept)


def _clear_worktrees(team_id: str) -> tuple[Kept, ...]:
    try:
        return tuple(worktrees.clear(team_id))
    except TeamError as error:
        return (Kept("", "", "", error.message),)


def _end_processes(team: TeamState, grace_s: float) -> tuple[int, tuple[Spared, ...], list[Proc], tuple[str, ...]]:
    """End everything that belongs to the team; return how many, whom we spared, the survivors, and surfaces left."""
    marker = f"{paths.team_runtime_dir(team.id)}{os.sep}"
    mux = multiplexer_of(team)
    roots = _roots(team, mux)
    first = processes.snapshot(roots, marker)
    left: tuple[str, ...] = ()
    try:
        mux.shutdown()
    except IntercomError as error:
        # A stuck server is ended with the rest: it is one of the roots.
        left = tuple(error.fields.get("left", ()))
    spared: tuple[Spared, ...] = first.spared

    def rescan(met: Any) -> tuple[Proc, ...]:
        nonlocal spared
        again = processes.snapshot(roots, marker, met=met)
        spared = again.spared
        return again.doomed

    survivors = processes.end(first.doomed, grace_s=grace_s, rescan=rescan)
    return len(first.doomed), spared, survivors, left


def _roots(team: TeamState, mux: Multiplexer) -> list[Proc | int]:
    """Return the server and the programs of the panes: as recorded, and as the server tells now."""
    roots: list[Proc | int] = [team.server] if team.server else []
    roots += [peer.proc for peer in team.peers.values() if peer.proc]
    try:
        server = mux.server_pid()
        roots += [server] if server else []
        live = mux.states() or {}
    except IntercomError:
        return roots
    return roots + [surface.pid for surface in live.values() if not surface.is_dead]


def is_inside(team: TeamState) -> bool:
    """Whether we run in a pane of `team`, and would end ourselves."""
    identity = os.environ.get(paths.IDENTITY_VARIABLE, "")
    if identity.startswith(f"{paths.team_runtime_dir(team.id)}{os.sep}"):
        return True
    server = team.server
    return server is not None and processes.is_alive(server) and server.pid in processes.own_ancestors()


def wait_for_end_of(parent: int) -> None:
    """Wait until we are no child of `parent` any more: while we are, the pane above it is our ancestor and spared."""
    deadline = time.monotonic() + PARENT_END_S
    while processes.identify(parent) and os.getppid() == parent and time.monotonic() < deadline:
        time.sleep(0.01)


def down_detached(team: TeamState, grace_s: float) -> Path:
    """Carry `down` on in a process of its own, which the end of our pane does not end; return its log."""
    log = paths.private_dir(paths.team_state_dir(team.id)) / "down.log"
    environment = {k: v for k, v in os.environ.items() if k not in {paths.IDENTITY_VARIABLE, "TMUX", "TMUX_PANE"}}
    argv = ["down", "--team", team.id, "--grace", str(grace_s), "--after", str(os.getpid())]
    with log.open("wb") as stream:
        child = subprocess.Popen(
            [*PYTHON, "-m", "intercom_mux", *argv],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd="/",
            env=environment,
            start_new_session=True,
            creationflags=DETACHED,
        )
    # It outlives us on purpose; without this, Popen's finaliser would warn about it.
    child.returncode = 0
    return log
