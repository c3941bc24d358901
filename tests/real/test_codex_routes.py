"""What only codex has: its queue, and MCP tools that need no dialog, shown with the real program."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import pytest

from tests.real.agents import AGENTS
from tests.real.model_server import Call, Say, Shell
from tests.support import wait_until

if TYPE_CHECKING:
    from tests.real.conftest import RealTeam

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("agent", [one for one in AGENTS if one.id == "codex"], indirect=True, ids=["codex"]),
]


def test_the_turns_last_words_answer_an_ask(team: RealTeam) -> None:
    """An ask is answered by the last message of its turn, never by the title that codex gives it in another."""
    team.model.when("colour", Say("It is blue-42."))
    team.up()
    answer = team.as_friend("ask", "agent", "which colour?")
    assert (answer.code, answer.out.strip()) == (0, "It is blue-42."), f"{answer}\n{team.screen()}"


def test_a_message_beside_a_draft(team: RealTeam) -> None:
    """Once codex has named a message, the next goes beside a person's draft by the queue, once."""
    team.up()
    team.as_friend("ask", "agent", "mind the apples-1")
    team.press("-l", "half a thought")
    wait_until(lambda: "half a thought" in team.screen(), what="the draft")
    team.as_friend("send", "agent", "mind the pears-2")
    team.reached("pears-2")
    assert "half a thought" in team.screen()


@pytest.mark.skipif(importlib.util.find_spec("mcp") is None, reason="the MCP SDK is not installed")
def test_an_mcp_tool_needs_no_dialog(team: RealTeam) -> None:
    """A model's call of our MCP tool runs at the default approval policy without a dialog."""
    team.model.when("colour", Call("intercom_list", {}), Say("listed"))
    team.up()
    team.as_friend("send", "agent", "which colour?")
    wait_until(lambda: team.model.results_containing("friend"), timeout_s=30, what="the tool's result")
    team.wait_status("idle")


def test_the_sandbox_is_named(team: RealTeam) -> None:
    """A verb that codex runs in its sandbox says why it cannot reach the broker, and names the MCP tools."""
    team.model.when("colour", Shell(f"{sys.executable} -m intercom_mux pending"), Say("tried"))
    team.up()
    team.as_friend("send", "agent", "which colour?")
    wait_until(lambda: team.model.results_containing("exited"), timeout_s=12, what="the end of the verb")
    assert "intercom_reply" in team.model.results_containing("sandbox")[0]
    team.wait_status("idle")
