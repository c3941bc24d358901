"""`up --explain`, `spawn`, `kill`, `restart` and `scale` as a person types them, on a real team."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.stage import run
from tests.team.stage import CAT, Stage, end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def team(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(home)
    monkeypatch.chdir(stage.project)
    stage.write({"boss": CAT, "worker": CAT})
    yield stage
    end_all_teams()


def test_explain_says_it_and_starts_nothing(team: Stage) -> None:
    """Per peer the verdict and every condition, in words and as data."""
    shown = run("up", "layout.yaml", "--explain")
    assert (shown.code, shown.err) == (0, "")
    lines = [line.split() for line in shown.out.splitlines()]
    assert lines[0] == ["boss:", "spawn", "in", "tmux"]
    assert [line[:2] for line in lines[1:6]] == [
        ["known", "no"],
        ["fits", "no"],
        ["long-lived", "yes"],
        ["codebase", "yes"],
        ["multiplexer", "yes"],
    ]
    rows = run("up", "layout.yaml", "--explain", "--json").json
    assert [(row["peer"], row["verdict"]) for row in rows] == [("boss", "spawn"), ("worker", "spawn")]
    assert not team.is_known


def test_another_repository_must_be_declared(team: Stage, home: Path) -> None:
    """`up` stops with the place in the file and how to say that it is meant; `spawn` alike."""
    other = home / "other"
    (other / ".git").mkdir(parents=True)
    team.write({"boss": {**CAT, "cwd": str(other)}})
    stopped = run("up", "layout.yaml")
    assert stopped.code == 3
    assert f"is in another repository, {other}" in stopped.err
    assert f"`reference: {other}`" in stopped.err
    team.write({"boss": {**CAT, "reference": str(other)}})
    assert run("up", "layout.yaml").code == 0
    (home / "third" / ".git").mkdir(parents=True)
    refused = run("spawn", "helper", "--cwd", str(home / "third"))
    assert (refused.code, f"--reference {home / 'third'}" in refused.err) == (9, True)
    assert set(team.state.peers) == {"boss"}


def test_a_team_is_changed_while_it_runs(team: Stage) -> None:
    """Each verb says what became of each peer, and the same again is no fault."""
    assert run("up", "layout.yaml").code == 0
    asked = run("spawn", "helper", "--agent", "shell", "--prompt", "Where is the parser?")
    assert (asked.code, "is not spawned: its prompt is one question" in asked.err) == (9, True)
    assert "intercom-mux ask" in asked.err
    assert run("spawn", "helper", "--agent", "shell", "--explain", "--json").json["verdict"] == "spawn"
    assert run("spawn", "helper", "--agent", "shell").out.startswith("helper is ")
    assert run("spawn", "helper", "--agent", "shell").out == "helper is in the team already\n"
    assert [row["state"] for row in run("scale", "worker=2", "--json").json] == ["running", "running"]
    assert list(team.state.peers) == ["boss", "worker", "helper", "worker-2"]
    before = team.pid("worker")
    assert run("restart", "worker").code == 0
    assert team.pid("worker") != before
    ended = run("kill", "helper", "nobody", "--json").json
    assert [(row["peer"], row["state"]) for row in ended] == [("helper", "ended"), ("nobody", "absent")]
    assert run("kill", "workr").out == "workr is no peer of the team; nothing to end; did you mean worker?\n"
    for verb in ("restart", "attach", "logs"):
        wrong = run(verb, "workr")
        assert (wrong.code, wrong.err.splitlines()[-1].endswith("; did you mean worker?")) == (9, True)
    again = run("up", "layout.yaml", "--json").json
    assert (again["added"], again["extra"], again["started"]) == (["worker-2"], [], [])
    assert run("down").code == 0


def test_what_the_command_line_has_wrong_is_in_no_line_of_a_file(team: Stage, home: Path) -> None:
    """An agent of `--agent` and a directory of `--cwd` are named as such; `--agent` counts before all peers."""
    assert run("up", "layout.yaml").code == 0
    for words in ("up layout.yaml", "up layout.yaml --dry-run", "spawn helper"):
        refused = run(*words.split(), "--agent", "no-such-agent")
        assert (refused.code, refused.out) == (3, "")
        assert refused.err.startswith("error: unknown agent 'no-such-agent'; known: auto, ")
    missing = run("spawn", "helper", "--agent", "shell", "--cwd", str(home / "missing"))
    assert (missing.code, missing.out) == (3, "")
    assert missing.err == f"error: helper cannot be spawned: directory {home / 'missing'} does not exist\n"
    assert set(team.state.peers) == {"boss", "worker"}


def test_a_multiplexer_that_is_not_to_be_had_is_told_with_the_way_out(team: Stage) -> None:
    """To install tmux is none for a layout that says cmux."""
    team.write({"boss": CAT}, mux="cmux")
    refused = run("up", "layout.yaml")
    assert refused.code == 4
    assert refused.err.endswith("\nhint: say `mux: auto` instead of cmux; no connected session could serve\n")
