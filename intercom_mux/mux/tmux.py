"""tmux: a private server per team, addressed by its socket, never the user's own.

Everything is one run of the tmux client, with a time limit. Opening, looking and ending use the bare client, because
they are what `up` and `down` wait for; what is done to a surface goes through libtmux, which is imported then.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket as sockets
import struct
import sys
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from intercom_mux.errors import MultiplexerError
from intercom_mux.layout.model import Arrangement
from intercom_mux.mux import tmux_script
from intercom_mux.mux.base import typeable
from intercom_mux.mux.environment import base_environment
from intercom_mux.mux.preflight import check_spec
from intercom_mux.mux.process import is_zombie, wait_for_end
from intercom_mux.mux.tmux_attach import attach_argv
from intercom_mux.mux.tmux_client import run_client
from intercom_mux.mux.tmux_script import PEER_OPTION, Placing, Window
from intercom_mux.mux.tmux_state import STATE_FORMAT, parse_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libtmux.common import tmux_cmd

    from intercom_mux.mux.base import SurfaceSpec, SurfaceState
    from intercom_mux.mux.tmux_client import ClientRun

CALL_LIMIT_S = 5.0
OPEN_LIMIT_S = 20.0
_RETRY_S = 2.0
_NOTE_S = 5

_GONE = ("no server running", "error connecting", "server exited", "lost server")
_WINDOW_FORMAT = (
    "#{session_name} #{window_id} #{window_index} #{window_panes} #{window_width} #{window_height}"
    f" #{{?{PEER_OPTION},1,0}} #{{s/[^A-Za-z0-9._-]/?/:{PEER_OPTION}}}"
)
_REFUSALS = {
    "pane_dead": "its program has ended",
    "pane_in_mode": "it stays in a mode",
    "pane_synchronized": "it is synchronised with other panes",
    "pane_input_off": "its input is switched off",
}
_REFUSAL_FORMAT = ",".join(f"#{{?{flag},{flag},}}" for flag in _REFUSALS)
_IS_REFUSED = "#{||:#{||:#{pane_dead},#{pane_in_mode}},#{||:#{pane_synchronized},#{pane_input_off}}}"


class _ServerGone(MultiplexerError):
    """No server answers on the socket, or it ended during the call."""

    code = "E_SURFACE_GONE"


class _Commands(Protocol):
    """The part of `libtmux.Server` that is used, bounded as `_server` builds it."""

    def cmd(self, cmd: str, *args: Any, stdin: str = "") -> tmux_cmd: ...


class TmuxMultiplexer:
    """A tmux server on `socket`, started by the first `open` with our configuration only.

    The server's global environment is made the opener's at each `open`, and a surface's own variables are passed
    on stdin: nothing of either stands in `ps`. Programs in the panes can read it, as can any process of this user.

    Args:
        socket: Path of the socket, in an existing private directory; short enough for AF_UNIX.
        config: Another configuration file than the shipped one; read when the server starts.
        tmux_bin: Another tmux than the one on PATH.
        limit_s: Seconds until a call is given up; opening surfaces has `OPEN_LIMIT_S` at least.
    """

    name = "tmux"
    owns_server = True

    def __init__(
        self,
        socket: Path,
        config: Path | None = None,
        tmux_bin: str | None = None,
        *,
        limit_s: float = CALL_LIMIT_S,
    ) -> None:
        self.socket = socket.absolute()
        self._limit_s = limit_s
        self._config = str((config or Path(__file__).with_name("tmux.conf")).absolute())
        self._tmux_bin = tmux_bin or "tmux"
        self._pastes = 0

    def open(self, session: str, arrange: str | Arrangement, specs: Sequence[SurfaceSpec]) -> dict[str, str]:
        """Open surfaces by one run of the client, two when the server runs already.

        A server that is just going away is waited for, up to two seconds. After `E_OUTCOME_UNKNOWN` on a running
        server, `states` tells by name what was opened.
        """
        if not specs:
            return {}
        for spec in specs:
            check_spec(spec)
        deadline = time.monotonic() + _RETRY_S
        while True:
            try:
                return self._open(session, arrange, specs)
            except _ServerGone:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _open(self, session: str, arrange: str | Arrangement, specs: Sequence[SurfaceSpec]) -> dict[str, str]:
        is_fresh = self.server_pid() is None
        placing = Placing({}) if is_fresh else self._running()
        tmux_script.open_surfaces(session, Arrangement.of(arrange), specs, placing)
        start = ["start-server", ";", "source-file", "-"] if is_fresh else ["source-file", "-"]
        try:
            run = self._run(
                *start, stdin=tmux_script.script(placing.commands), limit_s=max(self._limit_s, OPEN_LIMIT_S)
            )
        except MultiplexerError:
            self._take_back((), placing, is_fresh=is_fresh)
            raise
        opened = [line for line in run.stdout if line.startswith("%")]
        if run.returncode == 0 and not run.stderr and len(opened) == len(specs):
            ids = dict(zip(placing.opened, opened, strict=True))
            return {spec.name: ids[spec.name] for spec in specs}
        self._take_back(opened, placing, is_fresh=is_fresh)
        return self._fail("open surfaces", run)

    def respawn(self, surface: str, spec: SurfaceSpec) -> None:
        """Start `spec` in a dead pane; one that lives is refused by tmux."""
        check_spec(spec)
        placing = self._running()
        tmux_script.respawn(_pinned(surface), spec, placing)
        run = self._run("source-file", "-", stdin=tmux_script.script(placing.commands))
        if run.returncode != 0 or run.stderr:
            self._fail("start a program again", run)

    def _running(self) -> Placing:
        """Return what runs, to be joined, and the commands that bring its environment up to date."""
        shown = self._list("show-environment", "-g")
        placing = Placing({}, tmux_script.refresh_environment("\n".join(shown), base_environment()))
        for line in self._list("list-panes", "-a", "-F", _WINDOW_FORMAT):
            session, window, *numbers, peer = line.split(" ", 7)
            index, panes, width, height, is_peer = map(int, numbers)
            windows = {seen.id: seen for seen in placing.sessions.get(session, ())}
            before = windows.get(window)
            is_ours = bool(is_peer) or (before is not None and before.is_ours)
            peers = (*(before.peers if before else ()), peer)
            windows[window] = Window(window, index, panes, width, height, is_ours, peers)
            placing.sessions[session] = list(windows.values())
        return placing

    def _take_back(self, opened: Sequence[str], placing: Placing, *, is_fresh: bool) -> None:
        """Close what a failed `open` left, as far as the server still answers."""
        if is_fresh:
            with suppress(MultiplexerError):
                self.shutdown()
            return
        for surface in opened:
            with suppress(MultiplexerError):
                self.close(surface)
        for window in placing.windows:
            with suppress(MultiplexerError):
                self._run(*tmux_script.free_size(window))

    def states(self) -> dict[str, SurfaceState] | None:
        """Return every surface by id, or None when the server is gone.

        tmux 3.3a misses one death in twenty until the next child of its ends, so it is given one when that is seen.
        """
        states = self._look()
        if states and any(state.exit_status is None and is_zombie(state.pid) for state in states.values()):
            self._run("run-shell", "true")
            states = self._look()
        return states

    def _look(self) -> dict[str, SurfaceState] | None:
        try:
            lines = self._list("list-panes", "-a", "-F", STATE_FORMAT)
        except _ServerGone:
            return None
        found = (parse_state(line) for line in lines if line.startswith("%"))
        return {state.id: state for state in found}

    def capture(self, surface: str, history: int = 0) -> str:
        since = ["-S", str(-history)] if history > 0 else []
        run = self._must("read", "capture-pane", "-p", "-t", _pinned(surface), *since)
        return "\n".join(line.rstrip() for line in run.stdout).rstrip("\n")

    def paste(self, surface: str, text: str) -> None:
        """Put `text` in through a buffer of its own, which is gone on return.

        Nothing may reach a dead pane: tmux 3.3a crashes on it. So the test runs in the server, just before.
        """
        text = typeable(text)
        if not text:
            return
        self._pastes += 1
        buffer = f"imux-{os.getpid()}-{self._pastes}"
        load = ["load-buffer", "-b", buffer, "-"]
        try:
            self._guarded(surface, f"paste-buffer -p -r -d -b {buffer} -t {_pinned(surface)}", load, text)
        except MultiplexerError:
            with suppress(MultiplexerError):
                self._run("delete-buffer", "-b", buffer)
            raise

    def press_enter(self, surface: str) -> None:
        self._guarded(surface, f"send-keys -t {_pinned(surface)} Enter")

    def _guarded(self, surface: str, command: str, first: Sequence[str] = (), stdin: str = "") -> None:
        """Leave every mode and run `command`, unless the pane cannot take input."""
        target = _pinned(surface)
        before = [*first, ";"] if first else []
        guard = ["if-shell", "-F", "-t", target, _IS_REFUSED]
        refusal = f"display-message -p -t {target} {shlex.quote(_REFUSAL_FORMAT)}"
        run = self._must(
            "type into",
            *(*before, "copy-mode", "-q", "-t", target, ";", *guard, refusal, command),
            stdin=stdin,
        )
        reasons = [_REFUSALS[flag] for flag in "".join(run.stdout).split(",") if flag]
        if reasons:
            raise MultiplexerError(
                f"surface {surface} takes no input: {' and '.join(reasons)}", code="E_SURFACE_BUSY", surface=surface
            )

    def show(self, surface: str, text: str) -> None:
        """Show `text` beside the peer's name in the pane's border.

        Not by display-message: it would stop the watcher's screen for as long as it stands there.
        """
        target = _pinned(surface)
        line = " ".join(typeable(text).split()).replace("#[", "# [")
        until = str(int(time.time()) + _NOTE_S)
        note = [
            ["set-option", "-p", "-t", target, "--", "@imux_note_until", until],
            ["set-option", "-p", "-t", target, "--", "@imux_note", line],
        ]
        self._must("show a note on", "source-file", "-", stdin=tmux_script.script(note))

    def ring(self) -> None:
        for terminal in self._list("list-clients", "-F", "#{client_tty}"):
            with suppress(OSError):
                descriptor = os.open(terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
                try:
                    os.write(descriptor, b"\a")
                finally:
                    os.close(descriptor)

    def mark(self, text: str) -> None:
        line = " ".join(typeable(text).split()).replace("#[", "# [")
        option = ["set-option", "-g", "--", "@imux_mark", line]
        self._must("mark", "source-file", "-", stdin=tmux_script.script([option]))

    def close(self, surface: str) -> None:
        try:
            self._must("close", "kill-pane", "-t", _pinned(surface))
        except MultiplexerError as error:
            if error.code != "E_SURFACE_GONE":
                raise

    def shutdown(self) -> None:
        """Kill the server and unlink its socket; returns when its process is gone. A wedged server is ended by KILL.

        Raises:
            MultiplexerError: The process outlived KILL.
        """
        pid = self.server_pid()
        if pid is not None and not self._kill_server(pid):
            os.kill(pid, signal.SIGKILL)
            if not wait_for_end(pid, _RETRY_S):
                raise MultiplexerError(f"tmux server {pid} does not end", pid=pid, socket=str(self.socket))
        self.socket.unlink(missing_ok=True)

    def _kill_server(self, pid: int) -> bool:
        """Ask the server to end and return whether it did."""
        try:
            self._run("kill-server")
        except MultiplexerError:
            return False
        return wait_for_end(pid, _RETRY_S)

    def server_pid(self) -> int | None:
        """Return who listens on the socket; asked of the kernel, so that a wedged server is found too."""
        with sockets.socket(sockets.AF_UNIX) as probe:
            try:
                probe.settimeout(CALL_LIMIT_S)
                probe.connect(str(self.socket))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            except OSError as error:
                raise MultiplexerError(f"cannot reach tmux on {self.socket}: {error}") from error
            if sys.platform == "darwin":
                local, peer_pid = 0, 2
                return int(probe.getsockopt(local, peer_pid))
            credentials = probe.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", credentials)[0])

    def attach_argv(self, surface: str | None = None) -> list[str]:
        pinned = None if surface is None else _pinned(surface)
        return attach_argv(str(self.socket), pinned, self._tmux_bin)

    def _list(self, *command: str) -> list[str]:
        """Return the lines of a listing; none on a server without a session, where tmux finds "no current target"."""
        run = self._run(*command)
        if run.returncode == 0:
            return run.stdout
        if run.stderr and run.stderr[0].startswith("no current"):
            return []
        return self._fail("list surfaces", run)

    @cached_property
    def _server(self) -> _Commands:
        """libtmux's view of the server, every call of which is bounded and reads `stdin`."""
        import libtmux

        run = self._run

        class BoundedServer(libtmux.Server):
            def cmd(self, cmd: str, *args: Any, target: str | int | None = None, stdin: str = "") -> tmux_cmd:
                where = [] if target is None else ["-t", str(target)]
                return cast("tmux_cmd", run(cmd, *where, *map(str, args), stdin=stdin))

        return BoundedServer(socket_path=self.socket, config_file=self._config, tmux_bin=self._tmux_bin)

    def _must(self, what: str, *command: str, stdin: str = "") -> ClientRun:
        """Carry out one command through libtmux, which must succeed."""
        run = cast("ClientRun", self._server.cmd(*command, stdin=stdin))
        if run.returncode != 0 or run.stderr:
            self._fail(what, run)
        return run

    def _run(self, *command: str, stdin: str = "", limit_s: float | None = None) -> ClientRun:
        """Run the bare client once."""
        # -u: without it tmux writes "_" for what is not ASCII when the locale is C.
        ours = [self._tmux_bin, "-u", "-f", self._config, "-S", str(self.socket)]
        return run_client([*ours, *command], stdin=stdin, limit_s=limit_s or self._limit_s)

    def _fail(self, what: str, run: ClientRun) -> NoReturn:
        problem = "; ".join(run.stderr) or f"the client ended with {run.returncode}"
        message = f"tmux failed to {what}: {problem}"
        if problem.startswith(_GONE):
            raise _ServerGone(message, socket=str(self.socket))
        is_gone = re.search(r"(can't find|no such) (pane|window|session)", problem)
        raise MultiplexerError(message, code="E_SURFACE_GONE" if is_gone else "E_MULTIPLEXER", socket=str(self.socket))


def _pinned(surface: str) -> str:
    """Return `surface` if it is a pane id: anything else could address another pane than the one meant."""
    if not re.fullmatch(r"%\d+", surface):
        raise MultiplexerError(f"no such surface: {surface!r}", code="E_SURFACE_GONE", surface=surface)
    return surface
