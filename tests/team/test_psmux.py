"""Whole teams in the stand-in for psmux."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.mux.conftest import new_psmux  # noqa: F401 - a fixture
from tests.mux.psmux_standin.psmux import NEWEST
from tests.team.stage import DEMO, SHELL, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_team_lives_and_ends_in_psmux(new_psmux: Callable[[str], Path], home: Path) -> None:  # noqa: F811 - the fixture
    """`up` opens the peers in a namespace of the team's, and `down` ends them and nothing of the user's."""
    new_psmux(NEWEST)
    subprocess.run(["psmux", "new-session", "-d", "-s", "mine", "cat"], check=True)
    stage = Stage(home)
    stage.up({"planner": DEMO, "worker": DEMO, "shell": SHELL}, mux="psmux")
    shown = ["psmux", "-L", f"imux-{stage.id}", "list-panes", "-a"]
    assert len(subprocess.run(shown, capture_output=True, text=True, check=True).stdout.splitlines()) == 3
    stage.down()
    assert not stage.is_known
    assert subprocess.run(shown, capture_output=True, check=False).returncode != 0
    assert subprocess.run(["psmux", "has-session", "-t", "=mine"], check=False).returncode == 0
