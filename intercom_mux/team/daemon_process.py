"""Starting the team daemon where it is not ready beforehand, and finding out whether it answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.errors import TeamError
from intercom_mux.host.process import PYTHON
from intercom_mux.team import control
from intercom_mux.team.spare_daemon import START_TIMEOUT_S

if TYPE_CHECKING:
    from intercom_mux.mux.cmux import CmuxMultiplexer


def serve_in_surface(team_id: str, mux: CmuxMultiplexer) -> None:
    """Start the team's daemon as the program of a surface of its own; it listens on return.

    cmux answers only processes that descend from it, which a daemon of the ordinary kind does not once `up` has ended.

    Raises:
        MultiplexerError: cmux opened no surface.
        TeamError: The daemon does not listen in time.
    """
    from intercom_mux.mux.base import SurfaceSpec

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
