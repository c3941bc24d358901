"""Why aider is typed into only while its line editor reads the terminal, shown with the real program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.agents import AGENTS
from tests.real.model_server import Say, Shell, Talk, reply_with
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


def test_an_answer_that_looks_like_the_empty_prompt_is_no_prompt(team: RealTeam) -> None:
    """An answer that stalls after a code block of a rule and `>` ends as an idle screen does: a message is held."""
    team.up()
    idle = _last_rows(team)
    rule, prompt = idle
    assert rule.strip("─") == ""
    talk = Talk(text=f"look\n\n```\n{rule}\n{prompt}\n```\n")
    team.model.when("apples-1", talk)
    team.press("mind the apples-1", "Enter")
    wait_until(lambda: "look" in team.screen() and _last_rows(team) == idle, what="the same last rows")
    _is_held(team, "thinking")
    assert _last_rows(team) == idle
    talk.until.set()
    team.reached("pears-2")


def test_a_program_that_it_runs_has_a_prompt_of_its_own(team: RealTeam) -> None:
    """What a command paints while it has aider's terminal is not aider's prompt, however it looks."""
    team.up()
    team.press("/run printf '> '; read line; echo got $line", "Enter")
    wait_until(lambda: _last_rows(team)[-1:] == [">"], what="the program's prompt")
    _is_held(team, "thinking")
    team.press("x", "Enter")
    team.wait_dialog()
    assert "got x" in team.screen()
    team.press("n", "Enter")
    team.reached("pears-2")


def test_a_peer_asks_and_gets_the_answer_with_a_persons_yes(team: RealTeam) -> None:
    """The reply is a command that aider suggests; it runs when a person approves it."""
    team.model.when("colour", reply_with("blue-42"), Say("told them"))
    team.up()
    ticket = team.as_friend("ask", "--async", "agent", "which colour?").out.strip()
    team.wait_dialog()
    assert team.as_friend("result", ticket).code != 0
    team.press("Enter")
    wait_until(lambda: team.as_friend("result", ticket).out.strip() == "blue-42", what="the answer")


def _is_held(team: RealTeam, why: str) -> None:
    asked = team.as_friend("ask", "--timeout", "4s", "agent", "mind the melons-3")
    assert asked.code == 7, asked
    assert why in asked.err
    assert team.status() == why
    assert "[intercom]" not in team.screen()
    team.as_friend("send", "agent", "mind the pears-2")


def _last_rows(team: RealTeam) -> list[str]:
    return [row.rstrip() for row in team.screen().split("\n") if row.strip()][-2:]
