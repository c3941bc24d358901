"""One line of `list-panes` as the state of a surface. Pure; imported by `tmux` only."""

from __future__ import annotations

import signal

from intercom_mux.mux.base import SurfaceState
from intercom_mux.mux.tmux_script import PEER_OPTION

_FIELDS = ("pane_id", "pane_pid", "pane_dead", "pane_dead_status", "pane_dead_signal", "pane_in_mode", PEER_OPTION)
_TEXTS = ("s/[\t\n]/ /:pane_current_command", "pane_title")

STATE_FORMAT = "\t".join(f"#{{{name}}}" for name in (*_FIELDS, *_TEXTS))
"""Tab-separated; what a program chooses itself comes last, the title, which may hold anything, at the very end."""


def parse_state(line: str) -> SurfaceState:
    """Return the state told by one line of `STATE_FORMAT`."""
    pane, pid, dead, status, signalled, modes, peer, command, title = line.split("\t", 8)
    return SurfaceState(
        id=pane,
        pid=int(pid),
        is_dead=dead == "1",
        exit_status=_exit_status(status, signalled),
        title=title,
        command=command,
        is_in_mode=modes not in ("", "0"),
        name=peer,
    )


def _exit_status(status: str, signalled: str) -> int | None:
    """Return the status of a death; tmux tells a signal by number or by name, before 3.3 not at all."""
    if status:
        return int(status)
    if signalled.isdigit():
        return 128 + int(signalled)
    return 128 + signal.Signals[f"SIG{signalled.removeprefix('SIG')}"] if signalled else None
