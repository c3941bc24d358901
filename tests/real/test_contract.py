"""What every agent must do in a team, shown with its real program in a real tmux against a scripted model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.model_server import Say, Shell, Talk, read_body, reply_with
from tests.support import wait_until

if TYPE_CHECKING:
    from tests.real.conftest import RealTeam

pytestmark = pytest.mark.timeout(300)


def test_it_is_ready_when_up_returns(team: RealTeam) -> None:
    """`up` returns when the agent is ready and idle, and `down` leaves no process of it."""
    team.up()
    assert team.status() == "idle", team.screen()
    team.down()


def test_a_message_while_idle(team: RealTeam) -> None:
    """A message to an idle agent reaches the model once."""
    team.up()
    sent = team.as_friend("send", "agent", "mind the apples-1")
    assert sent.code == 0, sent
    team.reached("apples-1")


def test_two_messages_do_not_merge(team: RealTeam) -> None:
    """Two messages sent at once reach the model once each, each in a prompt of its own."""
    team.up()
    team.as_friend("send", "agent", "mind the apples-1")
    team.as_friend("send", "agent", "mind the pears-2")
    team.reached("apples-1")
    team.reached("pears-2")
    assert not any("apples-1" in prompt for prompt in team.model.prompts_containing("pears-2"))


def test_text_arrives_as_text(team: RealTeam) -> None:
    """What a message begins with or holds is never a command to the agent or to a shell."""
    texts = ["!touch ran", "/clear", "@file #tag", "quote\"s ' ; $(touch ran) `x`", "?help 你好 é 👍", "👩‍💻 at work"]
    team.up()
    for text in texts:
        team.as_friend("send", "agent", "--", text)
        team.reached(text)
    assert not (team.project / "ran").exists()


def test_a_long_message(team: RealTeam) -> None:
    """A body of 100 KB reaches the model whole: as the prompt, or by reference, read as its header says.

    Claude and pi keep a long output in a file, and show their model the path.
    """
    _runs_commands(team)
    body = "the apples-1 begin, " + "".join(f"line {number}: counted\n" for number in range(6_000)) + "the pears-2 end"
    assert len(body) > 100_000
    team.model.when("message", read_body, Say("read"))
    (team.home / "body").write_text(body)
    team.up()
    sent = team.as_friend("send", "agent", "--file", str(team.home / "body"))
    assert sent.code == 0, sent
    wait_until(lambda: team.model.texts_containing("counted"), timeout_s=60, what="the body at the model")
    team.wait_status("idle")
    texts = team.model.texts_containing("counted")
    assert len(texts) == 1
    kept = re.search(r"Full output(?: saved to)?: (/[^\s\]]+)", texts[0])
    whole = Path(kept[1]).read_text() if kept else texts[0]
    assert "".join(body.split()) in "".join(whole.split())


def test_a_message_while_busy(team: RealTeam) -> None:
    """A message to an agent that is at work waits, and reaches the model once afterwards."""
    talk = Talk()
    team.model.when("apples-1", talk)
    team.up()
    team.as_friend("send", "agent", "mind the apples-1")
    team.wait_status("thinking")
    sent = team.as_friend("send", "agent", "mind the pears-2")
    assert sent.code == 0, sent
    team.wait_status("thinking")
    assert team.model.prompts_containing("pears-2") == []
    talk.until.set()
    team.reached("pears-2")
    assert len(team.model.prompts_containing("apples-1")) == 1


def test_a_message_before_it_is_ready(team: RealTeam) -> None:
    """A message to an agent that is still starting reaches the model once, when it is ready."""
    team.up("--no-wait")
    team.as_friend("send", "agent", "mind the apples-1")
    team.reached("apples-1", timeout_s=120)


def test_a_message_over_a_draft(team: RealTeam) -> None:
    """What a person has begun to write stays alone in the composer; when it is gone, the message arrives once."""
    if not team.agent.draft_holds:
        pytest.skip(f"{team.agent.name} takes messages beside a draft")
    draft = "half a thought"
    team.up()
    team.press("-l", draft)
    wait_until(lambda: draft in team.screen(), what="the draft")
    team.as_friend("send", "agent", "mind the apples-1")
    _give_time(team)
    screen = team.screen()
    assert draft in screen
    assert "[intercom]" not in screen
    team.press(*["BSpace"] * len(draft))
    team.reached("apples-1")
    assert not any(draft in prompt for prompt in team.model.prompts_containing("apples-1"))


def test_a_message_during_a_permission_dialog(team: RealTeam) -> None:
    """While the agent asks for a permission nothing is typed; answered by a person, the message arrives once."""
    dialog = _dialog(team, "touch ran")
    team.model.when("apples-1", dialog, Say("done"))
    team.up()
    team.as_friend("send", "agent", "mind the apples-1")
    team.wait_dialog()
    before = team.screen()
    sent = team.as_friend("send", "agent", "mind the pears-2")
    assert sent.code == 0, sent
    _give_time(team)
    assert team.status() == "blocked:permission"
    assert _still(before) == _still(team.screen())
    assert team.model.prompts_containing("pears-2") == []
    assert not (team.project / "ran").exists()
    team.press(*team.agent.approve)
    team.reached("pears-2")
    assert (team.project / "ran").exists()


def test_a_peer_asks_and_gets_the_answer(team: RealTeam) -> None:
    """An ask reaches the agent, which answers it by the line in its header; the asker gets that answer."""
    _runs_commands(team)
    team.model.when("colour", reply_with("blue-42"), Say("told them"))
    team.up()
    answer = team.as_friend("ask", "agent", "which colour?")
    assert (answer.code, answer.out.strip()) == (0, "blue-42"), f"{answer}\n{team.screen()}"
    team.wait_status("idle")


def test_its_last_words_answer_an_ask(team: RealTeam) -> None:
    """An ask that the agent does not reply to itself is answered by the end of its turn, and marked so."""
    if not team.agent.answers_by_turn:
        pytest.skip(f"the last words of {team.agent.name} are not told")
    team.model.when("colour", Say("It is blue-42."))
    team.up()
    answer = team.as_friend("ask", "--timeout", "60s", "agent", "which colour?")
    assert (answer.code, answer.out.strip()) == (0, "It is blue-42."), answer
    assert "last words of its turn" in answer.err


def test_status_follows_the_turn(team: RealTeam) -> None:
    """Status goes from idle to thinking, to blocked on a permission, to a tool that runs, and back to idle."""
    tool = _dialog(team, "touch ran && sleep 8") if team.agent.dialog else Shell("sleep 3")
    talk = Talk(then=tool)
    team.model.when("apples-1", talk, Say("done"))
    team.up()
    assert team.status() == "idle"
    team.as_friend("send", "agent", "mind the apples-1")
    team.wait_status("thinking")
    talk.until.set()
    if team.agent.dialog:
        team.wait_dialog()
        team.press(*team.agent.approve)
    if team.agent.offers_tools:
        team.wait_status("tool:" if team.agent.tells_tools else "thinking")
    team.wait_status("idle")


def _runs_commands(team: RealTeam) -> None:
    if not team.agent.runs_commands:
        pytest.skip(f"{team.agent.name} runs no command before a person says Yes")


def _give_time(team: RealTeam) -> None:
    """Let an ask go without an answer, so that whoever would type has had the time for it."""
    asked = team.as_friend("ask", "--timeout", "4s", "agent", "anything?")
    assert asked.code == 7, asked


def _dialog(team: RealTeam, command: str) -> Shell:
    if team.agent.dialog is None:
        pytest.skip(f"{team.agent.name} never asks for a permission")
    return team.agent.dialog(command)


def _still(screen: str) -> str:
    """The screen without its title and whatever a clock changes."""
    return "".join(letter for letter in screen.partition("\n")[2] if letter.isalpha())
