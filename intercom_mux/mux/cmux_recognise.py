"""Finding the right one of the programs called cmux, the command line of the app, and whether we are inside it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.cmux_client import run_cli

if TYPE_CHECKING:
    from collections.abc import Mapping

BUNDLED = "/Applications/cmux.app/Contents/Resources/bin/cmux"
MINIMUM_VERSION = (0, 62)
"""Oldest version whose socket speaks the second protocol as it is used here."""

_MISSING = "install the cmux app for macOS, or use tmux: `mux: tmux`"


class Cmux(NamedTuple):
    """The command line of the app, and its version."""

    program: str
    version: tuple[int, int, int]


def is_inside(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether we run in a terminal of cmux, by the variables that it sets. Asks nobody."""
    env = os.environ if environ is None else environ
    return all(env.get(name) for name in ("CMUX_WORKSPACE_ID", "CMUX_SURFACE_ID", "CMUX_SOCKET_PATH"))


def here() -> tuple[str, str]:
    """Return the surface and the workspace that we run in.

    Raises:
        MultiplexerError: `E_CMUX_OUTSIDE`.
    """
    if not is_inside():
        raise MultiplexerError(
            "this is no terminal of cmux",
            code="E_CMUX_OUTSIDE",
            hint="run `intercom-mux up` in a terminal of cmux, or use tmux: `mux: tmux`",
        )
    return os.environ["CMUX_SURFACE_ID"], os.environ["CMUX_WORKSPACE_ID"]


def recognise(environ: Mapping[str, str] | None = None) -> Cmux:
    """Return the app's command line, known by `version` and `ping`: three others at least answer differently.

    Raises:
        MultiplexerError: `E_CMUX_MISSING`: there is none, or only other programs of that name, or one that is too old;
            or the app does not let us in.
    """
    env = os.environ if environ is None else environ
    candidates = [env.get("CMUX_BUNDLED_CLI_PATH"), shutil.which("cmux", path=env.get("PATH")), BUNDLED]
    others: list[str] = []
    for program in dict.fromkeys(filter(None, candidates)):
        if not os.access(program, os.X_OK):
            continue
        version = _version(program)
        if version is None:
            others.append(program)
            continue
        if version[:2] < MINIMUM_VERSION:
            # cmux-tui says "cmux 0.13.4"; the app was never that old with this socket.
            others.append(program)
            continue
        socket = env.get("CMUX_SOCKET_PATH")
        if run_cli(program, "ping", socket=Path(socket) if socket else None).strip() == "PONG":
            return Cmux(program, version)
        others.append(program)
    if others:
        raise MultiplexerError(
            f"{others[0]} is not the command line of the cmux app, or one older than {MINIMUM_VERSION[0]}."
            f"{MINIMUM_VERSION[1]}: several programs have this name",
            code="E_CMUX_MISSING",
            hint=_MISSING,
            found=others,
        )
    raise MultiplexerError("cmux is not installed", code="E_CMUX_MISSING", hint=_MISSING)


def _version(program: str) -> tuple[int, int, int] | None:
    """Return what `version` tells; None for a program that answers otherwise."""
    try:
        out = run_cli(program, "version")
    except MultiplexerError:
        return None
    match = re.match(r"cmux (\d+)\.(\d+)(?:\.(\d+))?", out)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None
