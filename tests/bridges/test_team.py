"""The MCP server in a real team: a peer of it contacts its supervisor, a real demo agent, by tools and by command."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from tests.bridges.mcp_client import call, talk, text
from tests.cli.stage import run
from tests.team.stage import end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp import ClientSession

LAYOUT = """
version: 1
name: crew
supervisor: guide
peers:
  guide: {role: scout, agent: demo, cwd: auth-service}
  worker: {role: worker, command: [sleep, "600"]}
"""
QUESTION = "How does this repo structure token refresh retries?"


@pytest.fixture
def team(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A team that is up; the test acts as its worker."""
    source = Path(__file__).parents[2] / "examples" / "quickstart" / "auth-service"
    shutil.copytree(source, home / "crew" / "auth-service")
    monkeypatch.chdir(home / "crew")
    monkeypatch.setenv("INTERCOM_MUX_DEMO_PACE", "0")
    (home / "crew" / "team.yaml").write_text(LAYOUT)
    up = run("up", "team.yaml")
    assert (up.code, up.err) == (0, "")
    (identity,) = paths.runtime_dir().rglob("worker.identity")
    monkeypatch.setenv(paths.IDENTITY_VARIABLE, str(identity))
    yield
    monkeypatch.delenv(paths.IDENTITY_VARIABLE)
    end_all_teams()


def test_a_peer_and_its_supervisor(team: None) -> None:
    """The peer knows its supervisor from the layout, gets a decision from it, and asks it by name, by tools."""

    async def scenario(session: ClientSession) -> None:
        status = (await call(session, "intercom_status")).structured_content
        assert (status["name"], status["supervisor"], status["role"]) == ("worker", "guide", "worker")
        decided = await call(session, "contact_supervisor", reason="need_decision", message=QUESTION)
        assert "token-refresh.md" in text(decided)
        asked = await call(session, "intercom_ask", to="guide", message=QUESTION)
        assert asked.structured_content["from"] == "guide"
        # It answers while it still puts its tools away.
        rested = await asyncio.to_thread(run, "wait", "guide", "--until", "idle", "--timeout", "30s")
        assert (rested.code, rested.err) == (0, "")
        assert "guide: scout, idle" in text(await call(session, "intercom_list"))

    talk(scenario)
    assert "token-refresh.md" in run("supervisor", "decide", QUESTION).out
