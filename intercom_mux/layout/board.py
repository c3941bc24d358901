"""`board: true`: the board of `intercom-mux watch` as a peer in a pane of the team."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from intercom_mux.layout.model import BOARD, PeerSpec, Restart
from intercom_mux.layout.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from intercom_mux.layout.section import Section


def read_board(root: Section, peers: Sequence[PeerSpec], project: Path) -> list[PeerSpec]:
    """Return the board's peer, the last of the team, or nothing when the layout has none."""
    if not root.flag("board"):
        return []
    taken = next((peer for peer in peers if peer.name.casefold() == BOARD), None)
    if taken is not None:
        root.fault("board", f"the name {quoted(taken.name)} is taken on line {taken.mark.line}: the board is called so")
        return []
    argv = (sys.executable, "-I", "-m", "intercom_mux", "watch")
    mark = root.key_mark("board")
    restart = Restart(policy="on-failure")
    return [PeerSpec(BOARD, BOARD, None, argv, project, mark, entry=BOARD, restart=restart, is_board=True)]
