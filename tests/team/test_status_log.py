"""The record of statuses, and the tasks that outlive a team."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.broker import history
from intercom_mux.team import status_log, task_log
from tests.support import wait_until
from tests.team.stage import CAT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.team.stage import Stage


def test_changes_are_read_back_in_order(home: Path) -> None:
    """With their time; a line that was cut or is not ours is left out, and a long status is shortened."""
    assert status_log.read("blue") == []
    status_log.note("blue", "planner", "idle")
    file = paths.team_state_dir("blue") / "status.jsonl"
    with file.open("a") as stream:
        stream.write('{"at": "then", "peer": 1}\n[]\n{"at": 17')
        stream.write("\n")
    status_log.note("blue", "worker\n1", "tool:" + "x" * 1_000)
    first, second = status_log.read("blue")
    assert (first.peer, first.status) == ("planner", "idle")
    assert first.at <= second.at
    assert (second.peer, len(second.status)) == ("worker\n1", status_log.MAX_STATUS_CHARS)


def test_it_stays_within_its_bound(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files at most; the newest changes are always there."""
    monkeypatch.setattr(status_log, "MAX_BYTES", 2_000)
    for number in range(200):
        status_log.note("blue", "planner", f"tool:{number}")
    directory = paths.team_state_dir("blue")
    assert sum(file.stat().st_size for file in directory.iterdir()) <= 2 * 2_100
    statuses = [change.status for change in status_log.read("blue")]
    assert statuses == [f"tool:{number}" for number in range(200 - len(statuses), 200)]
    assert len(statuses) > 20


def test_a_disk_that_refuses_holds_up_nothing(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told in the log."""
    (paths.team_state_dir("blue") / "status.jsonl").mkdir(parents=True)
    status_log.note("blue", "planner", "idle")
    assert "could not be recorded" in caplog.text
    assert status_log.read("blue") == []


def test_records_go_when_they_are_old_enough(home: Path) -> None:
    """With the tasks beside them; younger ones stay."""
    for team in ("old", "new"):
        status_log.note(team, "planner", "idle")
        task_log.file_of(team).write_text("[]")
    for file in paths.team_state_dir("old").iterdir():
        os.utime(file, (1, 1))
    assert status_log.prune(1) == 1
    assert list(paths.team_state_dir("old").iterdir()) == []
    assert len(list(paths.team_state_dir("new").iterdir())) == 2
    assert status_log.prune(0) == 1


def test_damaged_tasks_are_no_tasks(home: Path) -> None:
    """As none at all."""
    assert task_log.kept("blue") == []
    task_log.keep("blue")
    assert not task_log.file_of("blue").exists()
    paths.private_dir(paths.team_state_dir("blue"))
    task_log.file_of("blue").write_text('[{"id": 1}, 2')
    assert task_log.kept("blue") == []


def test_a_team_records_its_statuses_and_keeps_its_tasks(stage: Stage) -> None:
    """From its start to the end of its daemon; after `down` both are still there."""
    stage.up({"agent": CAT})
    with stage.member("agent") as agent:
        agent.request("progress", task="parser", percent=40)
    wait_until(lambda: history.tasks(stage.id), what="the task in the journal")
    stage.down()
    statuses = [change.status for change in status_log.read(stage.id)]
    assert (statuses[0], statuses[-1]) == ("starting", status_log.STOPPED)
    assert [task["percent"] for task in task_log.kept(stage.id)] == [40]
