"""What only gemini does: it looks ready while its MCP servers start, and joins the prompts of that time into one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.real.agents import AGENTS
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.conftest import RealTeam

GEMINI = next(one for one in AGENTS if one.id == "gemini")


def _with_a_slow_server(home: Path, project: Path, url: str) -> dict[str, str]:
    """Configure it as ever, and with a server that never answers and ends when the test says so."""
    env = GEMINI.configure(home, project, url)
    file = home / ".gemini" / "settings.json"
    command = f"until [ -e {home}/connected ]; do sleep 0.1; done"
    servers = {"slow": {"command": "/bin/sh", "args": ["-c", command]}}
    file.write_text(json.dumps({**json.loads(file.read_text()), "mcpServers": servers}))
    return env


pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("agent", [replace(GEMINI, configure=_with_a_slow_server)], indirect=True, ids=["gemini"]),
]


def test_messages_while_its_servers_start(team: RealTeam) -> None:
    """The first is queued by gemini, the second waits with us; they reach the model apart and in order."""
    team.up()
    team.as_friend("send", "agent", "mind the apples-1")
    team.as_friend("send", "agent", "mind the pears-2")
    wait_until(lambda: "Queued (press" in team.screen(), timeout_s=30, what="gemini's queue")
    team.wait_status("thinking")
    asked = team.as_friend("ask", "--timeout", "4s", "agent", "anything?")
    assert asked.code == 7, asked
    assert "pears-2" not in team.screen()
    assert team.model.requests == []
    (team.home / "connected").touch()
    team.reached("apples-1")
    team.reached("pears-2")
    apples, pears = (team.model.prompts_containing(words) for words in ("apples-1", "pears-2"))
    assert "pears-2" not in apples[0]
    prompts = next(one.prompts for one in team.model.requests if pears[0] in one.prompts)
    assert prompts.index(apples[0]) < prompts.index(pears[0])
