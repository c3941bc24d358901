"""Which multiplexer a team runs in. What drives it is imported only when it is driven."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.errors import TeamError
from intercom_mux.mux.tmux_attach import attach_argv as tmux_attach_argv

if TYPE_CHECKING:
    from intercom_mux.mux.base import Multiplexer
    from intercom_mux.team.state import TeamState


def multiplexer_of(team: TeamState) -> Multiplexer:
    """Return the multiplexer that holds the team's surfaces; nothing is started.

    Raises:
        TeamError: The state names one that this version does not know.
    """
    if team.mux != "tmux" or team.socket is None:
        raise TeamError(
            f"team {team.name} runs in {team.mux}, which this version does not know",
            hint="use the version of intercom-mux that started the team",
        )
    from intercom_mux.mux.tmux import TmuxMultiplexer

    return TmuxMultiplexer(team.socket)


def attach_argv(team: TeamState, surface: str | None = None) -> list[str]:
    """Return the command a person runs to watch the team, at `surface` if given."""
    return tmux_attach_argv(str(team.socket), surface)
