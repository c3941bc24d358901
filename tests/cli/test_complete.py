"""Shell completion: scripts, live names, and silence."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from tests.cli.stage import Peer, run

if TYPE_CHECKING:
    from pathlib import Path


def _completed(line: str) -> list[str]:
    """Return what bash would offer for the last word of `line`."""
    words = line.split(" ")
    env = {
        "_INTERCOM_MUX_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = run(env=env)
    assert done.err == ""
    return [row.partition(",")[2] for row in done.out.splitlines() if row]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_with_its_instructions(shell: str, home: Path) -> None:
    """The first line says where to put it; the shell, where there is one, takes it."""
    done = run("completion", shell)
    assert done.code == 0
    assert done.out.startswith("# ")
    assert f"intercom-mux completion {shell}" in done.out.splitlines()[0]
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=done.out.encode(), check=False).returncode == 0


def test_verbs_and_peers_are_completed(planner: Peer) -> None:
    """Verbs by their start, targets by the names of connected sessions, ourselves excepted."""
    assert _completed("intercom-mux pe") == ["pending"]
    assert _completed("intercom-mux send pl") == ["planner"]
    assert _completed("intercom-mux send --to ") == ["planner"]
    assert _completed("intercom-mux ask --role pl") == ["planner"]


def test_layouts_are_completed_by_name_and_files_left_to_the_shell(home: Path) -> None:
    """What `up` and `init` find from here; a path is the shell's business."""
    (bundled, *_) = json.loads(run("layouts", "--json").out)
    assert bundled["name"] in _completed(f"intercom-mux up {bundled['name'][:2]}")
    assert bundled["name"] in _completed("intercom-mux init ")
    assert _completed("intercom-mux up ./x") == ["./x"]


def test_completion_never_starts_a_broker(home: Path) -> None:
    """Nobody listens: nothing is offered, nothing is started, nothing is said."""
    assert _completed("intercom-mux send ") == []
    assert _completed("intercom-mux send --team ") == []
    assert not paths.broker_file().exists()


def test_completion_hides_errors(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pane whose team is gone offers nothing, silently."""
    monkeypatch.setenv(paths.IDENTITY_VARIABLE, str(home / "gone"))
    assert _completed("intercom-mux send ") == []
