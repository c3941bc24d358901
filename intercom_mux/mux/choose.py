"""Which multiplexers can be used here, as facts for the spawn decision rule. Starts nothing but `tmux -V` (`psmux -V`)
and, inside cmux, `cmux version` and `cmux ping`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.cmux_recognise import is_inside, recognise
from intercom_mux.mux.tmux_version import require_tmux

if TYPE_CHECKING:
    from collections.abc import Mapping


class Backend(NamedTuple):
    """One multiplexer: whether a team could be opened in it here and now, and why or why not."""

    name: str
    is_usable: bool
    why: str


def backends(environ: Mapping[str, str], platform: str = sys.platform) -> tuple[Backend, ...]:
    """Return what there is, in the order of preference: cmux only when we are inside it, then what the platform has."""
    last = _psmux() if platform == "win32" else _tmux()
    return (_cmux(environ), last)


def _cmux(environ: Mapping[str, str]) -> Backend:
    if not is_inside(environ):
        return Backend("cmux", is_usable=False, why="we are not inside cmux")
    try:
        version = ".".join(map(str, recognise(environ).version))
    except MultiplexerError as error:
        return Backend("cmux", is_usable=False, why=f"we are inside cmux, but {error.message}")
    return Backend("cmux", is_usable=True, why=f"we are inside cmux {version}")


def _psmux() -> Backend:
    from intercom_mux.mux.psmux_client import psmux_version

    try:
        version = ".".join(map(str, psmux_version()))
    except MultiplexerError as error:
        return Backend("psmux", is_usable=False, why=f"this is Windows, but {error.message}")
    return Backend("psmux", is_usable=True, why=f"this is Windows, with psmux {version}")


def _tmux() -> Backend:
    try:
        version = ".".join(map(str, require_tmux()))
    except MultiplexerError as error:
        return Backend("tmux", is_usable=False, why=error.message)
    return Backend("tmux", is_usable=True, why=f"tmux {version} on a private socket")
