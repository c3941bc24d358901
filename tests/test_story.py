"""The main job from beginning to end, as the quickstart tells it, by the commands a newcomer types."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from tests.cli.stage import run
from tests.support import marked_processes, wait_until
from tests.team.stage import end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart"
QUESTION = "How does this repo structure token refresh retries?"


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the quickstart, as the working directory."""
    directory = home / "quickstart"
    shutil.copytree(QUICKSTART, directory)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("INTERCOM_MUX_DEMO_PACE", "0")
    yield directory
    end_all_teams()


def test_the_quickstart(project: Path, home: Path) -> None:
    """A team comes up, does its tasks, answers a stranger from real files, hears a broadcast, and leaves no trace."""
    up = run("up", "planner-worker.yaml", "--agent", "demo")
    assert (up.code, up.err) == (0, "")
    assert up.out.startswith("quickstart is up: 4 peers started\n")

    answer = run("ask", "reference-auth", QUESTION)
    assert answer.code == 0
    named = {line.split(":")[0] for line in answer.out.splitlines() if ":" in line and "/" in line.split(":")[0]}
    files = [name for name in named if (project / "auth-service" / name).is_file()]
    assert "docs/token-refresh.md" in files
    assert "auth_service/refresh.py" in files
    assert "def _refresh_with_retries" in answer.out

    def states() -> list[str]:
        return [task["state"] for task in run("status", "--json").json["tasks"]]

    wait_until(lambda: states() == ["done", "done", "done"], timeout_s=30, what="all tasks done")
    peers = {row["name"]: row["status"] for row in run("list", "--json").json if row["team"] == "quickstart"}
    assert peers.keys() == {"planner", "worker-1", "worker-2", "reference-auth"}
    assert "reference-auth" in run("logs", "worker-2").out

    told = run("send", "--role", "worker", "Well done.")
    assert told.code == 0
    for worker in ("worker-1", "worker-2"):
        wait_until(lambda name=worker: "Well done." in run("logs", name).out, what=f"broadcast at {worker}")  # type: ignore[misc]

    ticket = run("ask", "--async", "reference-auth", "Where is the retry budget?", "--json")
    assert ticket.code == 0
    ask_id = ticket.json["ask_id"]
    wait_until(lambda: "budget" in run("result", ask_id).out, what="result")

    down = run("down")
    assert (down.code, down.err) == (0, "")
    assert down.out.endswith("none left\n")
    assert run("broker", "stop").code == 0
    assert marked_processes(str(home)) == {}
    assert list(paths.runtime_dir().rglob("*")) in ([], [paths.runtime_dir() / "t"])
    assert run("down").out == "nothing runs\n"
