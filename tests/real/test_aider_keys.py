"""Why aider is typed into only while its line editor reads the terminal, shown with the real program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.real.agents import AGENTS
from tests.real.model_server import Say, Shell, Talk, read_body, reply_with
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


def test_the_output_of_the_command_that_reads_is_cut(team: RealTeam) -> None:
    """Of 100 KB only the command that reads them is typed, and a person's two Yes give its output to the model.

    aider stops reading when the command has ended, so that the end may be missing; the beginning is there.
    """
    body = _long_body()
    team.model.when("read it", read_body, Say("read"))
    (team.home / "body").write_text(body)
    team.up()
    team.as_friend("send", "agent", "--file", str(team.home / "body"))
    team.wait_dialog()
    assert "counted" not in team.screen()
    team.press("Enter")
    wait_until(lambda: "Add command output to the chat?" in team.screen(), what="the question about the output")
    team.press("Enter")
    team.as_friend("send", "agent", "mind the pears-2")
    team.reached("pears-2")
    (text,) = team.model.prompts_containing("melons-3")
    end = re.search(r'\(ends in "(\(end of [0-9a-z]+\))"', text)
    assert end is not None, text[:1_000]
    assert _squashed(body + end[1]).startswith(_squashed(text[text.index("the melons-3") :]))


def test_a_long_message_comes_whole_by_a_file(team: RealTeam) -> None:
    """100 KB reach the model whole when a person writes them to a file and adds it to the chat."""
    body = _long_body()
    (team.home / "body").write_text(body)
    team.up()
    team.as_friend("send", "agent", "--file", str(team.home / "body"))
    team.reached("read it: ")
    short = re.search(r"intercom-mux inbox ([0-9a-z]+)", team.model.prompts_containing("read it: ")[0])
    assert short is not None
    team.press("-l", f"/run intercom-mux inbox {short[1]} > message.txt")
    team.press("Enter")
    team.wait_dialog()
    team.press("n", "Enter")
    team.wait_status("idle")
    team.press("-l", "/read-only message.txt")
    team.press("Enter")
    wait_until(lambda: "Readonly: message.txt" in team.screen(), what="the file in the chat")
    team.as_friend("send", "agent", "mind the pears-2")
    team.reached("pears-2")
    (text,) = team.model.prompts_containing("melons-3")
    assert _squashed(body) in _squashed(text)


def _long_body() -> str:
    body = "the melons-3 begin, " + "".join(f"line {number}: counted\n" for number in range(6_000)) + "the plums-4 end"
    assert len(body) > 100_000
    return body


def _squashed(text: str) -> str:
    return "".join(text.split())


def _is_held(team: RealTeam, why: str) -> None:
    asked = team.as_friend("ask", "--timeout", "4s", "agent", "mind the melons-3")
    assert asked.code == 7, asked
    assert why in asked.err
    assert team.status() == why
    assert "[intercom]" not in team.screen()
    team.as_friend("send", "agent", "mind the pears-2")


def _last_rows(team: RealTeam) -> list[str]:
    return [row.rstrip() for row in team.screen().split("\n") if row.strip()][-2:]
