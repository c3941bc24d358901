"""Starting the team daemon's process: early, so that its imports run while the layout is still being read."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, Self

from intercom_mux import paths
from intercom_mux.errors import TeamError
from intercom_mux.host.process import DETACHED, PYTHON
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.team import control

if TYPE_CHECKING:
    from types import TracebackType

    from intercom_mux.mux.cmux import CmuxMultiplexer

START_TIMEOUT_S = 15.0


def serve_in_surface(team_id: str, mux: CmuxMultiplexer) -> None:
    """Start the team's daemon as the program of a surface of its own; it listens on return.

    cmux answers only processes that descend from it, which a daemon of the ordinary kind does not once `up` has ended.

    Raises:
        MultiplexerError: cmux opened no surface.
        TeamError: The daemon does not listen in time.
    """
    directory = paths.private_dir(paths.team_state_dir(team_id))
    argv = (*PYTHON, "-m", "intercom_mux.team.daemon", team_id)
    mux.open_daemon(SurfaceSpec("intercom-mux", argv, directory, unset=(paths.IDENTITY_VARIABLE,)))
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_listening(team_id):
        if time.monotonic() > deadline:
            log = directory / "daemon.log"
            raise TeamError("the team daemon did not start in its surface", code="E_DAEMON", hint=f"see {log}")
        time.sleep(0.02)


def is_listening(team_id: str) -> bool:
    """Return whether the team's daemon answers."""
    try:
        for _ in control.request(team_id, {"type": "ping"}, timeout_s=5):
            pass
    except (ConnectionError, TeamError):
        return False
    return True


class SpareDaemon:
    """A daemon that does not know its team yet. A context manager: one that gets no team leaves by itself.

    It is told its team on standard input, and takes an end of input for its dismissal.
    """

    def __init__(self) -> None:
        environment = {k: v for k, v in os.environ.items() if k != paths.IDENTITY_VARIABLE}
        self._process = subprocess.Popen(
            [*PYTHON, "-m", "intercom_mux.team.daemon"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environment,
            start_new_session=True,
            creationflags=DETACHED,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None:
                stream.close()
        # It outlives us on purpose; without this, Popen's finaliser would warn about it.
        self._process.returncode = 0

    def serve(self, team_id: str) -> None:
        """Give it its team; it listens on return.

        Raises:
            TeamError: It ended, or does not listen in time.
        """
        log = paths.private_dir(paths.team_state_dir(team_id)) / "daemon.log"
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe
            self._process.stdin.write(f"{team_id}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            deadline = 0
        while not is_listening(team_id):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise TeamError(
                    f"the team daemon did not start{self._last_words()}", code="E_DAEMON", hint=f"see {log}"
                )
            time.sleep(0.005)

    def _last_words(self) -> str:
        """Return the last line of what it printed, if it has ended."""
        if self._process.poll() is None or self._process.stderr is None:
            return ""
        lines = self._process.stderr.read().decode(errors="replace").split("\n")
        return f": {lines[-2]}" if len(lines) > 1 else ""
