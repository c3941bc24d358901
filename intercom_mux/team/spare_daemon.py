"""A team daemon's process, started ahead: its imports run while the command that wants it still has its own to do.

The console script starts one before anything else, so this imports next to nothing of ours until a team is named.
"""

from __future__ import annotations

import os
import subprocess
from threading import Timer

from intercom_mux.host.process import DETACHED, PYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

START_TIMEOUT_S = 15.0
LISTENS = b"listens\n"
"""What a daemon says on its standard output, as the last thing, once its control socket takes requests."""


class SpareDaemon:
    """A daemon that does not know its team yet. A context manager: one that gets no team leaves by itself.

    It is told its team on standard input, and takes an end of input for its dismissal. It is a process of its own
    making, not our fork: `ps` tells what it is, and neither our environment nor our descriptors are in it.
    """

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "INTERCOM_MUX_IDENTITY"}
        self._process = subprocess.Popen(
            [*PYTHON, "-m", "intercom_mux.team.daemon"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
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
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        # It outlives us on purpose; without this, Popen's finaliser would warn about it.
        self._process.returncode = 0

    def serve(self, team_id: str) -> None:
        """Give it its team; it listens on return.

        Raises:
            TeamError: It ended, or does not listen in time.
        """
        try:
            assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe
            self._process.stdin.write(f"{team_id}\n".encode())
        except BrokenPipeError:
            pass
        said = self._hear_out()
        if not said.endswith(LISTENS):
            from intercom_mux import paths
            from intercom_mux.errors import TeamError

            words = said.decode(errors="replace").strip().rpartition("\n")[2]
            log = paths.team_state_dir(team_id) / "daemon.log"
            text = f"the team daemon did not start{f': {words}' if words else ''}"
            raise TeamError(text, code="E_DAEMON", hint=f"see {log}")

    def _hear_out(self) -> bytes:
        """Return all that it says until it listens or ends; it is ended when its time is over."""
        assert self._process.stdout is not None  # noqa: S101 - it was opened as a pipe
        limit = Timer(START_TIMEOUT_S, self._process.kill)
        limit.start()
        said = b""
        while not said.endswith(LISTENS) and (more := os.read(self._process.stdout.fileno(), 4096)):
            said += more
        limit.cancel()
        return said
