"""A team's life: order of start, restarts, the layout's own commands, worktrees; with real teams."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.errors import LayoutError, TeamError
from intercom_mux.team.down import down
from intercom_mux.team.worktree_records import Records
from tests.support import wait_until
from tests.team.repository import Repository
from tests.team.stage import CAT, TUI, Stage, end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]


@pytest.fixture
def stage(home: Path) -> Iterator[Stage]:
    yield Stage(home)
    end_all_teams()


def opened(events: list[Json]) -> list[list[str]]:
    return [event["peers"] for event in events if event["event"] == "opened"]


def sh(text: str) -> Json:
    return {"command": ["sh", "-c", text]}


# -- order ---------------------------------------------------------------------------------------------------------


def test_peers_without_dependencies_start_in_one_call(stage: Stage) -> None:
    """Only who waits for somebody is opened later."""
    waits = {**CAT, "depends_on": {"a": "started"}}
    assert opened(stage.up({"a": CAT, "b": CAT, "late": waits})) == [["a", "b"], ["late"]]


def test_a_peer_waits_until_another_is_ready(stage: Stage) -> None:
    """`ready` is what the agent's profile says of its screen."""
    stage.install_tui()
    events = stage.up({"worker": {**CAT, "depends_on": {"planner": "ready"}}, "planner": TUI})
    assert opened(events) == [["planner"], ["worker"]]


def test_a_job_that_ends_well_lets_the_next_start(stage: Stage) -> None:
    """`exited-ok` waits for the end of a program."""
    events = stage.up({"build": sh("sleep 0.3; echo done"), "tests": {**CAT, "depends_on": {"build": "exited-ok"}}})
    assert opened(events) == [["build"], ["tests"]]


def test_a_job_that_fails_stops_only_who_depends_on_it(stage: Stage) -> None:
    """The chain behind it is not started and told with its reason, the others run."""
    tests = {**CAT, "depends_on": {"build": "exited-ok"}}
    report = {**CAT, "depends_on": {"tests": "started"}}
    with pytest.raises(TeamError) as failure:
        stage.up({"build": sh("sleep 0.3; exit 4"), "other": CAT, "tests": tests, "report": report})
    assert failure.value.code == "E_NOT_STARTED"
    assert failure.value.fields["peers"] == {
        "tests": "build, which it depends on, ended with status 4",
        "report": "tests, which it depends on, was not started",
    }
    assert list(stage.state.peers) == ["build", "other"]


def test_a_dependency_that_runs_is_not_waited_for(stage: Stage) -> None:
    """A second `up` starts only the dependent that has gone."""
    stage.up({"a": CAT, "b": {**CAT, "depends_on": ["a"]}})
    os.kill(stage.pid("b"), signal.SIGKILL)
    wait_until(lambda: stage.statuses().get("b") == "exited:137", what="end of b")
    assert opened(stage.up()) == [["b"]]


# -- restarts ------------------------------------------------------------------------------------------------------

QUICK: Json = {"policy": "on-failure", "backoff_s": 0, "max_retries": 2}


def test_a_peer_that_fails_is_started_again_in_its_place_with_its_mail(stage: Stage) -> None:
    """Session, token and pane stay; what was sent meanwhile reaches the new program."""
    stage.install_tui()
    stage.up({"agent": {**TUI, "restart": {**QUICK, "backoff_s": 1}}, "other": CAT})
    before = stage.state.peers["agent"]
    os.kill(stage.pid("agent"), signal.SIGKILL)
    wait_until(
        lambda: stage.statuses().get("agent") == "exited:137 · restarting in 1s (1/2)", what="word of the restart"
    )
    with stage.shell() as shell:
        shell.send("agent", "are you back?")
    wait_until(
        lambda: stage.state.peers["agent"].pid != before.pid and stage.state.peers["agent"].pid, what="a restart"
    )
    after = stage.state.peers["agent"]
    assert (after.surface, after.token, after.session_id) == (before.surface, before.token, before.session_id)
    wait_until(lambda: "are you back?" in "".join(stage.submitted()), what="the message")
    assert list(stage.state.peers) == ["agent", "other"]


def test_after_its_limit_a_peer_is_given_up(stage: Stage) -> None:
    """A program that fails every time is started so often and no more, and the status says so."""
    stage.up({"agent": {**sh("echo x >> runs; sleep 0.5; exit 1"), "restart": QUICK}})
    wait_until(lambda: stage.statuses().get("agent") == "exited:1 · gave up after 2 restarts", what="giving up")
    assert (stage.project / "runs").read_text() == "x\n" * 3


def test_an_end_without_fault_is_no_failure(stage: Stage) -> None:
    """`on-failure` leaves alone what ends with 0; `always` does not."""
    stage.up(
        {"a": {**sh("sleep 0.4"), "restart": QUICK}, "b": {**sh("sleep 0.4"), "restart": {**QUICK, "policy": "always"}}}
    )
    wait_until(lambda: stage.statuses().get("b") == "exited:0 · gave up after 2 restarts", what="restarts of b")
    assert stage.statuses()["a"] == "exited:0"


def test_down_ends_a_team_that_is_being_restarted(stage: Stage) -> None:
    """Restarts are disarmed first: nothing comes back, whenever `down` arrives."""
    stage.up({"agent": {**sh("sleep 0.3; exit 1"), "restart": {**QUICK, "max_retries": 50}}})
    first = stage.pid("agent")
    wait_until(lambda: stage.state.peers["agent"].pid not in (None, first), what="a restart")
    stage.down(grace_s=0.5)
    assert not stage.is_known


# -- the layout's own commands -------------------------------------------------------------------------------------


def lines(events: list[Json]) -> list[str]:
    return [f"{event['what']}: {event['line']}" for event in events if event["event"] == "output"]


def test_commands_run_around_the_start_and_before_the_end(stage: Stage) -> None:
    """In order, in the project, with the team's name; not again by an `up` that starts nothing."""
    hooks: Json = {
        "before_up": ["echo one $INTERCOM_MUX_TEAM", "pwd"],
        "after_up": "echo up",
        "before_down": "echo down > said",
    }
    events = stage.up({"a": CAT}, **hooks)
    assert lines(events) == ["before_up: one team", f"before_up: {stage.project}", "after_up: up"]
    assert lines(stage.up()) == []
    told: list[str] = []
    down(stage.state, grace_s=0.5, on_line=told.append)
    assert (stage.project / "said").read_text() == "down\n"


def test_a_failure_before_the_start_starts_nothing(stage: Stage) -> None:
    """The command's output is in the error, later commands are not run."""
    with pytest.raises(TeamError) as failure:
        stage.up({"a": CAT}, before_up=["echo no database; exit 3", "touch later"])
    assert failure.value.code == "E_COMMAND"
    assert "ended with status 3" in failure.value.message
    assert failure.value.fields["output"] == ["no database"]
    assert not stage.is_known
    assert not (stage.project / "later").exists()


@pytest.mark.parametrize("on_failure", ["abort", "warn"])
def test_a_failure_after_the_start_aborts_or_warns(stage: Stage, on_failure: str) -> None:
    """Abort takes back what this `up` started; warn leaves it running."""
    after = [{"run": "exit 1", "on_failure": on_failure}]
    if on_failure == "warn":
        events = stage.up({"a": CAT}, after_up=after)
        assert any(event["event"] == "warning" for event in events)
        assert stage.is_known
        return
    with pytest.raises(TeamError):
        stage.up({"a": CAT}, after_up=after)
    wait_until(lambda: not stage.is_known, what="the start to be taken back")


def test_a_failure_before_the_end_holds_up_nothing(stage: Stage) -> None:
    """It is told, and the team goes down all the same."""
    stage.up({"a": CAT}, before_down=[{"run": "sleep 60", "timeout_s": 1}, "echo bye"])
    told: list[str] = []
    down(stage.state, grace_s=0.5, on_line=told.append)
    assert "did not end within 1 s" in told[0]
    assert told[1] == "before_down | bye"
    assert not stage.is_known


# -- worktrees -----------------------------------------------------------------------------------------------------


def test_each_worker_has_a_worktree_and_a_clean_one_goes_with_the_team(stage: Stage) -> None:
    """The programs run in checkouts of their own; what was worked in stays and is told."""
    repository = Repository(stage.project)
    stage.up({"worker": {**CAT, "count": 2, "worktree": True}})
    first, second = (stage.state.peers[name].cwd for name in ("worker-1", "worker-2"))
    assert os.readlink(f"/proc/{stage.pid('worker-1')}/cwd") == str(first)
    (second / "work").write_text("")
    ended = stage.down(grace_s=0.5)
    assert not first.exists()
    assert [(kept.peer, kept.path) for kept in ended.worktrees] == [("worker-2", str(second))]
    assert "uncommitted changes: work" in ended.worktrees[0].told
    assert repository.worktrees() == 1


def test_a_setup_that_fails_keeps_only_its_peer_from_starting(stage: Stage) -> None:
    """The others run, and `up` says what the setup printed last."""
    Repository(stage.project)
    tree = {"setup": "echo cannot install; exit 1"}
    with pytest.raises(TeamError) as failure:
        stage.up({"a": CAT, "worker": {**CAT, "worktree": tree}})
    assert "cannot install" in failure.value.fields["peers"]["worker"]
    assert list(stage.state.peers) == ["a"]


def test_a_start_that_is_taken_back_takes_its_worktrees_back(stage: Stage) -> None:
    """Nothing of a failed start is left, not even an untouched checkout."""
    repository = Repository(stage.project)
    with pytest.raises(TeamError):
        stage.up({"bad": sh("exit 3"), "worker": {**CAT, "worktree": True}})
    assert repository.worktrees() == 0
    assert Records(stage.id) == {}
    assert not paths.team_runtime_dir(stage.id).exists()


def test_a_worktree_outside_any_repository_is_a_problem_of_the_layout(stage: Stage) -> None:
    """It is told with its place before anything starts."""
    with pytest.raises(LayoutError) as failure:
        stage.up({"worker": {**CAT, "worktree": True}})
    assert "is not in a git repository" in str(failure.value)
