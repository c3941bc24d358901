"""Whole teams inside the stand-in for cmux: commands are typed into a terminal of it, as a person does."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.team import state as team_states
from tests.mux.cmux_standin.run import Standin
from tests.support import wait_until
from tests.team.stage import DEMO, SHELL, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
PEERS: Json = {"planner": DEMO, "worker": DEMO, "shell": SHELL}


@pytest.fixture(params=["0.62.2", "0.64.22"])
def cmux(request: pytest.FixtureRequest, home: Path) -> Iterator[Standin]:
    """A running cmux that admits only what was started inside it."""
    path = f"{Path(sys.executable).parent}:{home}/cmux-bin:{os.environ['PATH']}"
    with Standin(home, request.param, env={"PATH": path}) as standin:
        yield standin
        for surface in standin.surfaces()[1:]:
            standin.call("surface.close", surface_id=surface["id"])


class Inside:
    """The user's terminal in cmux, in a project's directory."""

    def __init__(self, cmux: Standin, stage: Stage) -> None:
        self.cmux = cmux
        self._stage = stage
        self._runs = 0

    def run(self, *words: str) -> tuple[int, str]:
        """Type a command of ours, wait for its end, and return status and output."""
        self._runs += 1
        out = self._stage.project.parent / f"out-{self._runs}"
        command = shlex.join([sys.executable, "-m", "intercom_mux", *words])
        line = f"cd {self._stage.project} && {command} >{out} 2>&1; echo $? >{out}.status"
        script = self._stage.project.parent / f"run-{self._runs}"
        script.write_text(line)
        self.cmux.type(self.cmux.user, f"sh {script}")
        status = Path(f"{out}.status")
        wait_until(lambda: status.exists() and status.read_text().strip(), timeout_s=60, what=f"end of {words}")
        return int(status.read_text()), out.read_text()


def stage_log(stage: Stage) -> str:
    """What the daemon said, for a failing test."""
    return (paths.team_state_dir(stage.id) / "daemon.log").read_text()


def test_a_team_lives_and_ends_beside_its_user(cmux: Standin, home: Path) -> None:
    """`up` in a terminal of cmux opens the peers beside it, an ask is answered, `down` closes those and only those."""
    stage = Stage(home)
    stage.write(PEERS)
    theirs = cmux.call("surface.split", direction="right")["surface_id"]
    (stage.project / "notes.txt").write_text("The lighthouse keeper is Ada.\n")
    inside = Inside(cmux, stage)
    status, out = inside.run("up", "layout.yaml")
    assert status == 0, out + (stage_log(stage) if status else "")
    assert stage.state.mux == "cmux"
    titles = [row["title"] for row in cmux.surfaces()]
    assert titles[2:] == ["intercom-mux", "planner", "worker", "shell"]
    assert cmux.focused() == cmux.user
    status, out = inside.run("ask", "worker", "--timeout", "40s", "who is the lighthouse keeper?")
    assert status == 0, out
    assert "is Ada" in out
    status, out = inside.run("list")
    assert status == 0
    assert all(name in out for name in PEERS)
    status, out = inside.run("progress", "T1", "--percent", "60", "--note", "half", "--owner", "worker")
    assert status == 0, out
    daemon = cmux.surfaces()[2]["id"]
    wait_until(lambda: "T1 started 60%" in cmux.screen(daemon), what="the task on the daemon's screen")
    assert all(f"{name} " in cmux.screen(daemon) for name in PEERS)

    def sidebar() -> dict[str, Any]:
        shown: dict[str, Any] = cmux.look()["sidebar"][cmux.workspace]
        return shown

    wait_until(lambda: sidebar()["progress"] and sidebar()["log"], what="the task in the sidebar, bar and log")
    assert sidebar()["progress"] == "0.60 0/1 done · T1 60%"
    assert sidebar()["log"] == ["[progress] T1 started 60% · worker · half"]
    status, out = inside.run("down")
    assert status == 0, out
    assert {row["id"] for row in cmux.surfaces()} == {cmux.user, theirs}
    assert not stage.is_known


def test_from_outside_processes_end_and_surfaces_are_named(cmux: Standin, home: Path) -> None:
    """With a dead daemon and no way into cmux, `down` ends the programs and names the surfaces, which then close."""
    stage = Stage(home)
    stage.write({"one": SHELL})
    status, out = Inside(cmux, stage).run("up", "layout.yaml")
    assert status == 0, out
    os.kill(stage.daemon_pid(), 9)
    surface = stage.surface("one")
    ran = subprocess.run(
        [sys.executable, "-m", "intercom_mux", "down", "--json"], cwd=stage.project, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)[0]["left"] == [f"one ({surface})"]
    wait_until(lambda: [row["id"] for row in cmux.surfaces()] == [cmux.user], what="surfaces closed")
    assert team_states.all_teams() == []


def test_a_team_for_cmux_is_not_started_outside_of_it(home: Path) -> None:
    """`mux: cmux` from another terminal says where to go, and starts nothing."""
    stage = Stage(home)
    stage.write({"one": SHELL}, mux="cmux")
    ran = subprocess.run(
        [sys.executable, "-m", "intercom_mux", "up", "layout.yaml"], cwd=stage.project, capture_output=True, text=True
    )
    assert ran.returncode != 0
    assert "cmux" in ran.stderr
    assert team_states.all_teams() == []
