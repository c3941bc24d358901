"""Why nothing is typed into aider, and how its person reads its mail, shown with the real program.

When one of the first two fails, aider has changed, and messages may perhaps be typed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.agents import AGENTS
from tests.real.model_server import Shell, Talk
from tests.support import wait_until

if TYPE_CHECKING:
    from tests.real.conftest import RealTeam

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("agent", [one for one in AGENTS if one.id == "aider"], indirect=True, ids=["aider"]),
]


def test_an_enter_while_busy_approves_what_it_asks_later(team: RealTeam) -> None:
    """An Enter pressed while aider works says Yes to the question that it asks afterwards."""
    talk = Talk(then=Shell("touch ran"))
    team.model.when("apples-1", talk)
    team.up()
    team.press("mind the apples-1", "Enter")
    wait_until(lambda: "Counting" in team.screen(), what="the answer")
    team.press("Enter")
    talk.until.set()
    wait_until((team.project / "ran").exists, what="the command, approved by nobody")


def test_an_answer_can_look_like_the_empty_prompt(team: RealTeam) -> None:
    """An answer that stalls after a code block of a rule and `>` ends as the screen of an idle aider does."""
    team.up()
    idle = _last_rows(team)
    rule, prompt = idle
    assert rule.strip("─") == ""
    talk = Talk(text=f"look\n\n```\n{rule}\n{prompt}\n```\n")
    team.model.when("apples-1", talk)
    team.press("mind the apples-1", "Enter")
    wait_until(lambda: "look" in team.screen() and _last_rows(team) == idle, what="the same last rows")
    assert team.status() == "idle"
    assert team.model.prompts_containing("apples-1")
    assert not talk.until.is_set()


def test_a_person_reads_its_mail(team: RealTeam) -> None:
    """At its prompt, `/run intercom-mux inbox` shows the mail of the peer, and offers it to the model."""
    team.up()
    team.as_friend("send", "agent", "mind the apples-1")
    team.press("/run intercom-mux inbox", "Enter")
    wait_until(lambda: "mind the apples-1" in team.screen(), what="the mail")
    team.wait_status("blocked:permission")


def _last_rows(team: RealTeam) -> list[str]:
    return [row.rstrip() for row in team.screen().split("\n") if row.strip()][-2:]
