"""What only opencode's HTTP server gives, shown with the real program."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest

from intercom_mux.team import state as team_states
from tests.real.agents import AGENTS
from tests.real.model_server import Say, Talk
from tests.support import wait_until

if TYPE_CHECKING:
    from tests.real.conftest import RealTeam

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize(
        "agent", [one for one in AGENTS if one.name == "opencode"], indirect=True, ids=["opencode"]
    ),
]


def test_a_message_beside_a_draft_idle_and_busy(team: RealTeam) -> None:
    """Each message reaches the model once, is shown, and leaves what a person has begun to write as it was."""
    talk = Talk()
    team.model.when("apples-1", talk)
    team.up()
    team.press("-l", "half a thought")
    wait_until(lambda: "half a thought" in team.screen(), what="the draft")
    team.as_friend("send", "agent", "mind the apples-1")
    team.wait_status("thinking")
    team.as_friend("send", "agent", "mind the pears-2")
    assert team.model.prompts_containing("pears-2") == []
    talk.until.set()
    team.reached("pears-2")
    assert len(team.model.prompts_containing("apples-1")) == 1
    assert "half a thought" in team.screen()
    assert "mind the pears-2" in team.screen()


def test_the_turns_last_words_answer_an_ask(team: RealTeam) -> None:
    """An ask that the agent does not reply to is answered by the last message of its turn."""
    team.model.when("colour", Say("It is blue-42."))
    team.up()
    answer = team.as_friend("ask", "agent", "which colour?")
    assert (answer.code, answer.out.strip()) == (0, "It is blue-42."), f"{answer}\n{team.screen()}"


def test_nobody_posts_without_the_password(team: RealTeam) -> None:
    """The server refuses a caller who has no password."""
    team.up()
    state = team_states.load(team.id)
    assert state is not None
    port = state.peers["agent"].port
    assert port is not None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/session", "{}", {"Content-Type": "application/json"})
    assert connection.getresponse().status == 401
    connection.close()
