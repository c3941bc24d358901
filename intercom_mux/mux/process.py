"""Whether a process has ended, for a multiplexer's server and its panes."""

from __future__ import annotations

import time
from pathlib import Path

from intercom_mux.host.process import is_running


def wait_for_end(pid: int, limit_s: float) -> bool:
    """Return whether the process ended in time; a zombie counts as ended, its parent may never collect it."""
    deadline = time.monotonic() + limit_s
    while _is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def is_zombie(pid: int) -> bool:
    """Return whether the process has ended uncollected; False where there is no /proc to tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def _is_running(pid: int) -> bool:
    return is_running(pid) and not is_zombie(pid)
