"""What claude asks about a directory that it has never seen, with and without `trust: true`, with the real program."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.real.agents import AGENTS
from tests.real.model_server import Say, Shell
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.conftest import RealTeam

CLAUDE = next(one for one in AGENTS if one.id == "claude")


def _forgotten(home: Path, project: Path, url: str) -> dict[str, str]:
    """Configure it as ever, but for what it knows of the project."""
    env = CLAUDE.configure(home, project, url)
    known = _known(home)
    del known["projects"]
    (home / "claude" / ".claude.json").write_text(json.dumps(known))
    return env


def _known(home: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((home / "claude" / ".claude.json").read_text())
    return known


pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("agent", [replace(CLAUDE, configure=_forgotten)], indirect=True, ids=["claude"]),
]


def test_with_trust_it_asks_nothing_and_remembers_nothing(team: RealTeam) -> None:
    """It is ready at once, its own hooks run, and its configuration does not hold the project as trusted."""
    team.model.when("colour", Say("It is blue-42."))
    team.up(trust=True)
    assert team.status() == "idle", team.screen()
    answer = team.as_friend("ask", "--timeout", "60s", "agent", "which colour?")
    assert (answer.code, answer.out.strip()) == (0, "It is blue-42."), f"{answer}\n{team.screen()}"
    projects = _known(team.home).get("projects", {})
    assert not [path for path, facts in projects.items() if facts.get("hasTrustDialogAccepted")]


def test_trust_allows_no_command(team: RealTeam) -> None:
    """A command that the project's own settings allow is asked about all the same."""
    (team.project / ".claude").mkdir()
    (team.project / ".claude" / "settings.json").write_text(json.dumps({"permissions": {"allow": ["Bash(touch:*)"]}}))
    team.model.when("apples-1", Shell("touch ran"), Say("done"))
    team.up(trust=True)
    team.as_friend("send", "agent", "mind the apples-1")
    team.wait_dialog()
    assert not (team.project / "ran").exists()


def test_without_trust_its_question_holds_a_message(team: RealTeam) -> None:
    """Nothing is typed into the question; when a person has said yes, the message arrives once."""
    team.up("--no-wait")
    team.wait_status("blocked:trust")
    team.as_friend("send", "agent", "mind the apples-1")
    asked = team.as_friend("ask", "--timeout", "4s", "agent", "anything?")
    assert asked.code == 7, asked
    assert team.status() == "blocked:trust", team.screen()
    assert team.model.requests == []
    if "❯ No" in team.screen():
        team.press("Down")
        wait_until(lambda: "❯ Yes" in team.screen(), what="the choice")
    team.press("Enter")
    team.reached("apples-1")
