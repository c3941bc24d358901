"""Which tmux is installed, and the command that installs one. Light: imports no libtmux."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache

from intercom_mux.errors import MultiplexerError

MINIMUM_VERSION = (3, 2)
"""Oldest tmux that has every command, flag and format used here: `copy-mode -q`, pane options, `run-shell -C`."""

_LIMIT_S = 5.0
_NEWEST = (99, 0)
_INSTALL = {
    "apt-get": "sudo apt-get install tmux",
    "dnf": "sudo dnf install tmux",
    "pacman": "sudo pacman -S tmux",
    "apk": "sudo apk add tmux",
    "brew": "brew install tmux",
}


def tmux_version(tmux_bin: str | None = None) -> tuple[int, int]:
    """Return (major, minor) of the installed tmux; an unnumbered development build counts as (99, 0).

    Raises:
        MultiplexerError: `E_TMUX_MISSING`: there is none, or it does not run; `hint` is the command that installs it.
    """
    program = shutil.which(tmux_bin or "tmux")
    if program is None:
        raise MultiplexerError("tmux is not installed", code="E_TMUX_MISSING", hint=install_hint())
    return _version_of(program)


@cache
def _version_of(program: str) -> tuple[int, int]:
    try:
        out = subprocess.run([program, "-V"], capture_output=True, timeout=_LIMIT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise MultiplexerError(f"tmux does not run: {error}", code="E_TMUX_MISSING", hint=install_hint()) from error
    numbers = re.match(rb"tmux (?:next-)?(\d+)\.(\d+)", out)
    return (int(numbers[1]), int(numbers[2])) if numbers else _NEWEST


def require_tmux(tmux_bin: str | None = None) -> tuple[int, int]:
    """Return the version of the installed tmux.

    Raises:
        MultiplexerError: `E_TMUX_MISSING`, or `E_TMUX_OLD`: it is older than `MINIMUM_VERSION`.
    """
    version = tmux_version(tmux_bin)
    if version >= MINIMUM_VERSION:
        return version
    found, minimum = (".".join(map(str, numbers)) for numbers in (version, MINIMUM_VERSION))
    raise MultiplexerError(
        f"tmux {found} is too old: {minimum} or newer is needed",
        code="E_TMUX_OLD",
        hint=install_hint(),
        found=found,
        minimum=minimum,
    )


def install_hint() -> str:
    """Return the command that installs tmux with the first package manager found on PATH."""
    for tool, command in _INSTALL.items():
        if shutil.which(tool):
            return f"run: {command}"
    return "install tmux {}.{} or newer with your package manager".format(*MINIMUM_VERSION)
