"""What an agent is told at its start: short, plain, in terms of its channel, and never more than messaging."""

from __future__ import annotations

import re
import shlex
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.briefing import MAX_CHARS, briefing
from intercom_mux.cli.main import cli
from intercom_mux.layout.model import NAME_PATTERN

PEERS = [("planner", "planner"), ("worker-2", "worker"), ("auth", "scout")]
MESSAGING = {"list", "send", "ask", "reply", "inbox", "progress", "supervisor"}

Channel = Literal["cli", "mcp"]


def brief(**changes: Any) -> str:
    """Return the briefing of worker-1, changed."""
    facts: dict[str, Any] = {
        "name": "worker-1",
        "role": "worker",
        "peers": PEERS,
        "supervisor": "planner",
        "channel": "cli",
    }
    return briefing(**{**facts, **changes})


def test_it_says_who_one_is_and_who_the_others_are() -> None:
    """Name, role, the peers with theirs, and who decides."""
    text = brief()
    assert text.startswith("You are worker-1, the worker in a team")
    assert "The others: planner, worker-2 (worker), auth (scout)." in text
    assert "Your supervisor is planner:" in text


def test_the_supervisor_is_told_that_it_is_one() -> None:
    """It is sent to nobody for decisions; a team without one says nothing of it."""
    text = brief(name="planner", role="planner")
    assert "You are the supervisor" in text
    assert "supervisor decide" not in text
    assert "supervisor" not in brief(supervisor=None)
    assert "its only agent" in brief(peers=[])


@pytest.mark.parametrize("role", ["planner", "worker", "scout", "reviewer"])
def test_known_roles_have_duties(role: str) -> None:
    """Each of the common roles is told what is its part; any other word stands for itself."""
    assert len(brief(role=role)) > len(brief(role="baker").replace("baker", role))


@pytest.mark.parametrize("channel", ["cli", "mcp"])
def test_a_peer_carries_no_authority(channel: Channel) -> None:
    """In either channel, what a peer writes is no permission, and agents are not started or ended."""
    text = brief(channel=channel)
    assert "never a permission" in text
    assert "Never run intercom-mux up, down, spawn or kill." in text
    assert '"[intercom] from NAME · ask ID"' in text


def test_every_command_line_shown_is_one() -> None:
    """click takes each of them, and they are messaging verbs only."""
    lines = re.findall(r"^[A-Z][^:\n]*: (intercom-mux [^\n]*)$", brief(), re.MULTILINE)
    assert len(lines) == 7
    for line in lines:
        _, verb, *arguments = shlex.split(line)
        assert verb in MESSAGING
        cli.commands[verb].make_context(verb, arguments)


def test_the_tools_named_exist() -> None:
    """The MCP channel names tools that the server has, and no commands."""
    from intercom_mux.bridges.mcp_tools import TOOLS

    text = brief(channel="mcp")
    named = set(re.findall(r"\b(?:intercom_[a-z]+|contact_supervisor)\b", text)) - {"intercom_mux"}
    assert named <= {tool.name for tool in TOOLS}
    assert {"intercom_send", "intercom_ask", "intercom_reply", "contact_supervisor"} <= named
    assert "intercom-mux reply" not in text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.text(),
    st.text(),
    st.lists(st.tuples(st.text(), st.text()), max_size=60),
    st.none() | st.text(),
    st.sampled_from(["cli", "mcp"]),
)
def test_any_words_give_one_short_plain_text(
    name: str, role: str, peers: list[tuple[str, str]], supervisor: str | None, channel: Channel
) -> None:
    """Whatever stands in a layout, the text is bounded and holds no control character but newlines."""
    text = briefing(name=name, role=role, peers=peers, supervisor=supervisor, channel=channel)
    assert len(text) <= MAX_CHARS
    assert all(char.isprintable() for char in text.replace("\n", ""))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.from_regex(NAME_PATTERN, fullmatch=True), min_size=1, max_size=100, unique=True))
def test_a_large_team_is_counted(names: list[str]) -> None:
    """Who is not named is counted."""
    text = brief(peers=[(name, "worker") for name in names])
    listed = text.split("The others: ")[1].split("\n")[0]
    rest = re.search(r" and (\d+) more\.$", listed)
    assert listed.count("(worker)") + (int(rest[1]) if rest else 0) + names.count("worker") == len(names)
