"""psmux, the tmux of Windows: one session in a namespace of the team's own.

psmux says 0 of calls that did nothing, or something else. So whatever is done to a pane is done after `list-panes -a`
has shown it, under its full name (`session:@window.%pane`), and what a call did is looked up the same way.
`docs/ARCHITECTURE.md` ("psmux") says what is known, and that nothing of this ran on Windows.
"""

from __future__ import annotations

import base64
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intercom_mux.errors import MultiplexerError
from intercom_mux.layout.model import Arrangement
from intercom_mux.mux import psmux_place, psmux_record
from intercom_mux.mux.base import SurfaceState, typeable
from intercom_mux.mux.preflight import check_directory
from intercom_mux.mux.psmux_client import CALL_LIMIT_S, run_psmux

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

    from intercom_mux.mux.base import SurfaceSpec
    from intercom_mux.mux.psmux_place import Step
    from intercom_mux.mux.psmux_record import Record

START_LIMIT_S = 20.0
_SEEN_LIMIT_S = 2.0
_POLL_S = 0.02
_LONGEST_ARGUMENT = 16_000
"""Windows gives a command line 32 767 characters in all."""

_FORMAT = "\t".join(f"#{{{name}}}" for name in ("session_name", "window_id", "pane_id", "pid", "pane_in_mode"))
_ROW = _FORMAT + "\t#{pane_title}"


@dataclass(frozen=True, slots=True)
class _Pane:
    """One line of `list-panes -a`; `server` is the pid of its session's server."""

    session: str
    window: str
    id: str
    server: int
    is_in_mode: bool
    title: str

    @property
    def target(self) -> str:
        return f"{self.session}:{self.window}.{self.id}"


class PsmuxMultiplexer:
    """A psmux session in `namespace`, whose surfaces are kept in the private `directory` (made at the first `open`).

    No log is kept of a surface (`SurfaceSpec.log`): psmux has no `pipe-pane` that is known to work. The arrangement
    `sessions` is that of `windows`, since every session of psmux is a server of its own.

    Args:
        psmux_bin: Another psmux than the one on PATH.
        limit_s: Seconds until a call is given up; the start of the programs has `START_LIMIT_S`.
    """

    name = "psmux"
    owns_server = True

    def __init__(
        self, directory: Path, namespace: str, psmux_bin: str = "psmux", *, limit_s: float = CALL_LIMIT_S
    ) -> None:
        self._directory = directory
        self._namespace = namespace
        self._program = psmux_bin
        self._limit_s = limit_s

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self, session: str, arrange: str | Arrangement, specs: Sequence[SurfaceSpec]) -> dict[str, str]:
        """Open surfaces one after the other and wait until all their programs run.

        Raises:
            MultiplexerError: psmux refused, showed other panes than asked for, or a program was not started in time.
        """
        if not specs:
            return {}
        for spec in specs:
            check_directory(spec)
        arrangement = Arrangement.of(arrange)
        by_name = {spec.name: spec for spec in specs}
        running = self._ours()
        if not running:
            self._forget_ended()
        peers = [record.name for record, _ in running if record.name != psmux_record.KEEPER]
        if peers:
            steps = psmux_place.joining(arrangement, list(by_name), peers)
        else:
            steps = psmux_place.steps(session, arrangement, list(by_name))
        surfaces = {record.name: record.surface for record, _ in running}
        opened: dict[str, Record] = {}
        try:
            for step in steps:
                beside = surfaces[step.beside] if step.beside is not None else None
                opened[step.peer] = self._open(session, step, beside, by_name[step.peer])
                surfaces[step.peer] = opened[step.peer].surface
            self._wait_for_start(list(opened.values()))
        except BaseException:
            for record in opened.values():
                with suppress(MultiplexerError):
                    self.close(record.surface)
            if not running:
                with suppress(MultiplexerError):
                    self.shutdown()
            raise
        if not peers:
            self._show_first(opened.get(arrangement.focus or "") or opened[steps[0].peer])
            self._close_keeper()
        return {spec.name: opened[spec.name].surface for spec in specs}

    def _open(self, session: str, step: Step, beside: str | None, spec: SurfaceSpec | None) -> Record:
        """Open one surface; a split that finds no room becomes a window."""
        directory = psmux_record.prepare(self._directory, spec)
        try:
            before = self._panes()
            where = ["-c", str(directory)]
            pane = None
            run = None
            if beside is not None:
                flag = "-h" if step.direction == "columns" else "-v"
                split = [
                    "split-window",
                    "-d",
                    flag,
                    "-p",
                    str(step.percent),
                    "-t",
                    self._surface(beside, before)[1].target,
                ]
                run = self._run(*split, *where, psmux_record.launch_word())
                pane = self._new_pane(before)
            if pane is None:
                window = ["-n", step.window, *where]
                if before:
                    run = self._run(
                        "new-window", "-d", "-t", f"{before[0].session}:", *window, psmux_record.launch_word()
                    )
                else:
                    size = ["-x", str(psmux_place.WIDTH), "-y", str(psmux_place.HEIGHT)]
                    name = re.sub(r"[^A-Za-z0-9_-]", "-", session)
                    start = ["new-session", "-d", "-s", name, *window, *size]
                    run = self._run(*start, "--", psmux_record.launch_word())
                pane = self._new_pane(before, limit_s=_SEEN_LIMIT_S)
            if pane is None:
                raise _refused("open a surface", run)
            return psmux_record.keep(directory, session=pane.session, surface=pane.id)
        except BaseException:
            psmux_record.remove(directory)
            raise

    def _new_pane(self, before: Sequence[_Pane], limit_s: float = 0) -> _Pane | None:
        """Return the pane that is there and was not; None if there is none. What psmux prints of it may be invented."""
        known = {(pane.session, pane.id) for pane in before}
        deadline = time.monotonic() + limit_s
        while True:
            new = [pane for pane in self._panes() if (pane.session, pane.id) not in known]
            if len(new) == 1:
                return new[0]
            if new:
                raise MultiplexerError(
                    f"psmux opened {len(new)} panes where one was asked for: {', '.join(pane.id for pane in new)}",
                    code="E_OUTCOME_UNKNOWN",
                    hint="somebody opened one at the same time; close what is not wanted, then try again",
                )
            if time.monotonic() >= deadline:
                return None
            time.sleep(_POLL_S)

    def _wait_for_start(self, opened: Sequence[Record]) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while late := [record for record in opened if not record.pid]:
            if time.monotonic() > deadline:
                raise MultiplexerError(
                    f"{late[0].name}: psmux did not start it within {START_LIMIT_S:g} s",
                    peer=late[0].name,
                    surface=late[0].surface,
                )
            time.sleep(_POLL_S)

    def _show_first(self, record: Record) -> None:
        pane = self._pane(record.surface)
        self._must("choose what is seen first", "select-window", "-t", f"{pane.session}:{pane.window}")
        self._must("choose what is seen first", "select-pane", "-t", pane.target)

    def _close_keeper(self) -> None:
        for record, _ in self._ours():
            if record.name == psmux_record.KEEPER:
                self.close(record.surface)

    def _forget_ended(self) -> None:
        """Remove what is kept of surfaces that ended with their server, whose ids the next one gives out again."""
        for record in psmux_record.records(self._directory):
            record.forget()

    # -- looking -------------------------------------------------------------------------------------------------

    def states(self) -> dict[str, SurfaceState] | None:
        """Return every surface of ours by id, or None when psmux shows nothing at all in our namespace."""
        panes = self._panes()
        if not panes:
            return None
        return {
            record.surface: SurfaceState(
                id=record.surface,
                pid=record.pid,
                is_dead=record.exit_status is not None,
                exit_status=record.exit_status,
                title=pane.title,
                command=record.command,
                is_in_mode=pane.is_in_mode,
                name=record.name,
            )
            for record, pane in self._ours(panes)
            if record.name != psmux_record.KEEPER
        }

    def capture(self, surface: str, history: int = 0) -> str:
        since = ["-S", str(-history)] if history > 0 else []
        run = self._must("read", "capture-pane", "-p", "-t", self._pane(surface).target, *since)
        return "\n".join(line.rstrip() for line in run.stdout.split("\n")).rstrip("\n")

    def server_pid(self) -> int | None:
        panes = self._panes()
        return panes[0].server if panes else None

    def attach_argv(self, surface: str | None = None) -> list[str]:
        where = [] if surface is None else ["-t", self._pane(surface).target]
        return [self._program, "-L", self._namespace, "attach-session", *where]

    # -- typing --------------------------------------------------------------------------------------------------

    def paste(self, surface: str, text: str) -> None:
        """Put `text` in by `send-paste`; through a buffer where psmux has none, or the text is long.

        Raises:
            MultiplexerError: `E_OUTCOME_UNKNOWN`: it went through a buffer, and the screen did not change.
        """
        text = typeable(text)
        if not text:
            return
        target = self._ready(surface)
        encoded = base64.b64encode(text.encode()).decode()
        if len(encoded) <= _LONGEST_ARGUMENT:
            run = self._run("send-paste", "-t", target, encoded)
            if run.returncode == 0 and not run.stderr:
                return
            if "unknown command" not in run.stderr:
                raise _refused("paste", run)
        screen = self.capture(surface)
        self._must("paste", "load-buffer", "-b", "imux", "-", stdin=text)
        self._must("paste", "paste-buffer", "-p", "-d", "-b", "imux", "-t", target)
        deadline = time.monotonic() + _SEEN_LIMIT_S
        while self.capture(surface) == screen:
            if time.monotonic() > deadline:
                raise MultiplexerError(
                    f"psmux pasted into {surface}, but its screen did not change",
                    code="E_OUTCOME_UNKNOWN",
                    hint="look at the surface; psmux 3.3.4 pastes nothing: a newer one is needed",
                    surface=surface,
                )
            time.sleep(_POLL_S)

    def press_enter(self, surface: str) -> None:
        self._must("press Enter", "send-keys", "-t", self._ready(surface), "Enter")

    def _ready(self, surface: str) -> str:
        """Return the target of a surface whose program runs, out of copy mode."""
        record, pane = self._surface(surface)
        if record.exit_status is not None:
            raise MultiplexerError(
                f"surface {surface} takes no input: its program has ended", code="E_SURFACE_BUSY", surface=surface
            )
        if pane.is_in_mode:
            self._must("leave copy mode", "send-keys", "-t", pane.target, "-X", "cancel")
        return pane.target

    def show(self, surface: str, text: str) -> None:
        """Show `text` in the status line, with `#` and `%` in their wide forms: no format may run."""
        line = " ".join(typeable(text).split()).translate({ord("#"): "\uff03", ord("%"): "\uff05"})
        self._must("show a note on", "display-message", "-t", self._pane(surface).target, line or " ")

    def ring(self) -> None:
        """Do nothing: psmux does not tell the terminals of those who watch."""

    def mark(self, text: str) -> None:
        """Do nothing: options are hardly known to work in psmux, and its status line is the user's."""

    # -- ending --------------------------------------------------------------------------------------------------

    def close(self, surface: str) -> None:
        """Close one surface; the last one leaves an empty window, or the session would end with it."""
        try:
            record, pane = self._surface(surface)
        except MultiplexerError as error:
            if error.code != "E_SURFACE_GONE":
                raise
            return
        is_last = len([each for each in self._panes() if each.session == pane.session]) == 1
        if is_last and record.name != psmux_record.KEEPER:
            self._open(pane.session, psmux_place.Step(psmux_record.KEEPER, window="intercom-mux"), None, None)
        run = self._run("kill-pane", "-t", pane.target)
        if any((each.session, each.id) == (pane.session, pane.id) for each in self._panes()):
            raise _refused("close", run)
        record.forget()

    def shutdown(self) -> None:
        """End the servers of our namespace; returns when psmux shows none of it.

        Raises:
            MultiplexerError: They do not end.
        """
        run = None
        deadline = time.monotonic() + self._limit_s
        while self._panes():
            if time.monotonic() > deadline:
                raise _refused("end its server", run)
            run = self._run("kill-server")
            time.sleep(_POLL_S)
        self._forget_ended()

    # -- asking --------------------------------------------------------------------------------------------------

    def _panes(self) -> list[_Pane]:
        """Return every pane of our namespace; none is no server, since a session ends with its last pane."""
        run = self._run("list-panes", "-a", "-F", _ROW)
        if run.returncode != 0:
            return []
        found = []
        for line in run.stdout.splitlines():
            session, window, pane, server, mode, title = [*line.split("\t", 5), "", "", "", "", ""][:6]
            if pane.startswith("%"):
                number = int(server) if server.isdigit() else 0
                found.append(_Pane(session, window, pane, number, mode not in ("", "0"), title))
        return found

    def _ours(self, panes: Sequence[_Pane] | None = None) -> list[tuple[Record, _Pane]]:
        """Return the surfaces that we opened and psmux still shows, in the order of opening."""
        shown = {(pane.session, pane.id): pane for pane in (self._panes() if panes is None else panes)}
        kept = psmux_record.records(self._directory)
        return [(record, pane) for record in kept if (pane := shown.get((record.session, record.surface)))]

    def _surface(self, surface: str, panes: Sequence[_Pane] | None = None) -> tuple[Record, _Pane]:
        for record, pane in self._ours(panes):
            if record.surface == surface:
                return record, pane
        raise MultiplexerError(f"no such surface: {surface!r}", code="E_SURFACE_GONE", surface=surface)

    def _pane(self, surface: str) -> _Pane:
        return self._surface(surface)[1]

    def _must(self, what: str, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        run = self._run(*command, stdin=stdin)
        if run.returncode != 0 or run.stderr:
            raise _refused(what, run)
        return run

    def _run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return run_psmux(self._program, self._namespace, command, stdin=stdin, limit_s=self._limit_s)


def _refused(what: str, run: subprocess.CompletedProcess[str] | None) -> MultiplexerError:
    said = run.stderr.strip() if run is not None else ""
    return MultiplexerError(f"psmux did not {what}: {said or 'it said nothing'}")
