"""Which multiplexer a team runs in. What drives it is imported only when it is driven."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.errors import TeamError
from intercom_mux.layout.model import BOARD
from intercom_mux.mux.tmux_attach import attach_argv as tmux_attach_argv

if TYPE_CHECKING:
    from intercom_mux.mux.base import Multiplexer
    from intercom_mux.mux.cmux import CmuxMultiplexer
    from intercom_mux.team.state import TeamState


def choose(wanted: str) -> str:
    """Return the multiplexer for a layout's `mux`: `auto` is cmux inside of it, else tmux (psmux on Windows).

    The spawn rule (`team/decide.py`) decides with its reasons; this is for plans made without it.
    """
    if wanted != "auto":
        return wanted
    from intercom_mux.mux.choose import backends

    usable = [backend.name for backend in backends(os.environ) if backend.is_usable]
    return usable[0] if usable else "tmux"


def socket_of(mux: str, team_id: str) -> Path:
    """Return where the team's multiplexer is found: tmux at a place of its own, cmux where the environment says."""
    if mux == "cmux":
        return Path(os.environ.get("CMUX_SOCKET_PATH") or Path.home() / ".local" / "state" / "cmux" / "cmux.sock")
    if mux == "psmux":
        # It listens on ports, which it finds by a namespace; this is where we keep what we opened.
        return paths.team_runtime_dir(team_id) / "psmux"
    return paths.socket_path(paths.team_runtime_dir(team_id) / "tmux.sock")


def require(mux: str) -> None:
    """Check that a team can be opened in `mux` from here.

    Raises:
        MultiplexerError: It is missing, too old, or we are not where it must be started from.
    """
    if mux == "tmux":
        from intercom_mux.mux.tmux_version import require_tmux

        require_tmux()
    elif mux == "cmux":
        from intercom_mux.mux.cmux_recognise import here, recognise

        here()
        recognise()
    elif mux == "psmux":
        from intercom_mux.mux.psmux_client import psmux_version

        psmux_version()


def multiplexer_of(team: TeamState) -> Multiplexer:
    """Return the multiplexer that holds the team's surfaces; nothing is started.

    Raises:
        TeamError: The state names one that this version does not know.
    """
    if team.mux == "cmux" and team.socket is not None:
        return cmux_of(team.id, team.socket)
    if team.mux == "psmux" and team.socket is not None:
        from intercom_mux.mux.psmux import PsmuxMultiplexer
        from intercom_mux.mux.psmux_client import namespace

        return PsmuxMultiplexer(team.socket, namespace(team.id))
    if team.mux != "tmux" or team.socket is None:
        raise TeamError(
            f"team {team.name} runs in {team.mux}, which this version does not know",
            hint="use the version of intercom-mux that started the team",
        )
    from intercom_mux.mux.tmux import TmuxMultiplexer

    return TmuxMultiplexer(team.socket)


def cmux_of(team_id: str, socket: Path) -> CmuxMultiplexer:
    """Return the surfaces of a team in the cmux app that listens on `socket`."""
    from intercom_mux.mux.cmux import CmuxMultiplexer

    return CmuxMultiplexer(paths.team_runtime_dir(team_id) / "cmux", socket)


def attach_argv(team: TeamState, surface: str | None = None) -> list[str]:
    """Return the command a person runs to watch the team, at `surface` if given, else at its board if it has one."""
    if surface is None:
        surface = next((peer.surface for peer in team.peers.values() if peer.role == BOARD), None) or None
    if team.mux == "tmux":
        return tmux_attach_argv(str(team.socket), surface)
    return multiplexer_of(team).attach_argv(surface)
