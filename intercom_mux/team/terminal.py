"""The mode of a program's terminal: whether a line editor of the program reads it, as a fact of the kernel.

A line editor (readline, prompt_toolkit) turns off line mode and echo while it waits for a line, and leaves output
alone. A program that works has them on; one that hands its terminal to another program, or draws a full screen, mostly
turns output processing off as well. So what stands on the screen while a line is edited is the editor's own prompt.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intercom_mux.agents.profile import Profile
    from intercom_mux.mux.base import SurfaceState

PROMPT = "prompt"
"""The terminal is read by a line editor."""
PS_S = 2.0


def with_terminal(profile: Profile, state: SurfaceState) -> SurfaceState:
    """Return what is seen of a surface, with the mode of its terminal if the profile's patterns ask for it."""
    if state.is_dead or not any(pattern.evidence.terminal for pattern in profile.status):
        return state
    return replace(state, terminal=mode(state.pid))


def mode(pid: int) -> str:
    """Return `PROMPT`, or "" for any other mode and where it cannot be told."""
    if sys.platform == "win32":
        return ""
    import termios

    try:
        terminal = os.open(_device(pid), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            _, output, _, local, *_ = termios.tcgetattr(terminal)
        finally:
            os.close(terminal)
    except (OSError, termios.error, subprocess.SubprocessError):
        return ""
    is_edited = not local & (termios.ICANON | termios.ECHO)
    return PROMPT if is_edited and output & termios.OPOST else ""


def _device(pid: int) -> str:
    if sys.platform == "linux":
        return os.readlink(f"/proc/{pid}/fd/0")
    run = subprocess.run(["ps", "-o", "tty=", "-p", str(pid)], capture_output=True, text=True, timeout=PS_S, check=True)
    return f"/dev/{run.stdout.strip()}"
