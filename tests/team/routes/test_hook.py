"""What hook events tell and what they are given, for each dialect. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.find import load_profiles
from intercom_mux.team.routes import hook
from intercom_mux.team.routes.base import Parcel

if TYPE_CHECKING:
    from intercom_mux.agents.profile import HookRules

PROFILES = load_profiles([])
ASK = Parcel("7f3a1234-0000", "planner", "ask", "Where is\nthe retry?")
NOTE = Parcel("8b000000-0000", "scout", "message", "/quit")


def rules(agent: str) -> HookRules:
    found = PROFILES[agent].hooks
    assert found is not None
    return found


EVENTS = [
    ("claude", "UserPromptSubmit", {"prompt": "hi"}, "thinking", "hi", None),
    ("claude", "PreToolUse", {"tool_name": "Bash"}, "tool:Bash", None, None),
    ("claude", "PreToolUse", {"tool_name": "a b\x1b[31m\n" * 99}, "tool:a-b[31m-a-b[31m", None, None),
    ("claude", "PreToolUse", {"tool_name": "Bash", "agent_id": "sub"}, "none of ours", None, None),
    ("claude", "PermissionRequest", {"tool_name": "Bash"}, "blocked:permission", None, None),
    ("claude", "Notification", {"notification_type": "idle_prompt"}, "none of ours", None, None),
    ("claude", "Stop", {"last_assistant_message": "42"}, "idle", None, "42"),
    ("claude", "Stop", {}, "idle", None, ""),
    ("claude", "Stop", None, "idle", None, ""),
    ("claude", "Stop", {"last_assistant_message": ["42"]}, "idle", None, ""),
    ("claude", "Stop", {"last_assistant_message": "42", "agent_id": "sub"}, "none of ours", None, None),
    ("claude", "SubagentStop", {"last_assistant_message": "42"}, "none of ours", None, None),
    ("gemini", "BeforeAgent", {"prompt": "hi"}, "thinking", "hi", None),
    ("gemini", "Notification", {"notification_type": "ToolPermission"}, "blocked:permission", None, None),
    ("gemini", "AfterAgent", {"prompt_response": "42"}, "idle", None, "42"),
    (
        "codex",
        "notify",
        {"type": "agent-turn-complete", "input-messages": ["a", "b"], "last-assistant-message": "42"},
        "idle",
        "a\nb",
        "42",
    ),
    ("codex", "notify", {"type": "something-else"}, "none of ours", None, None),
]


@pytest.mark.parametrize(("agent", "event", "payload", "status", "prompt", "answer"), EVENTS)
def test_what_an_event_tells(
    agent: str, event: str, payload: Any, status: str, prompt: str | None, answer: str | None
) -> None:
    """State, submitted prompt and last words; the ends of sub-agents, and other events, are none of ours."""
    found = hook.read(rules(agent), event, payload)
    if status == "none of ours":
        assert found is None
        return
    assert found is not None
    told = found[1]
    assert (told.prompt, told.answer) == (prompt, answer)
    assert told.status is not None
    assert told.status.startswith(status)
    assert len(told.status) < 60


def test_context_and_feedback_have_the_shapes_that_agents_read() -> None:
    """Each message is a block of its own behind its header line."""
    blocks = [text for _, text in hook.choose(PROFILES["claude"], [ASK, NOTE])]
    text = '[intercom] from planner · ask 7f3a1234 · reply: intercom-mux reply --to 7f3a1234 "…"\nWhere is\nthe retry?'
    text += "\n\n[intercom] from scout · message 8b000000\n/quit"
    context = {"hookSpecificOutput": {"hookEventName": "PostToolUse", "additionalContext": text}}
    assert json.loads(hook.rendered("claude", "PostToolUse", "context", blocks)) == context
    for dialect in ("gemini", "codex"):
        given = json.loads(hook.rendered(dialect, "Stop", "block", blocks, [ASK, NOTE]))
        assert given == {"decision": "block", "reason": text}
    given = json.loads(hook.rendered("claude", "Stop", "block", blocks, [ASK, NOTE]))
    assert (given["decision"], given["hookSpecificOutput"]["additionalContext"]) == ("block", text)
    assert "7f3a1234, 8b000000" in given["reason"]
    assert hook.rendered("claude", "Stop", "block", []) == ""


def test_a_body_that_was_typed_is_not_given_again() -> None:
    """Beside its prompt comes only what the prompt left out."""
    short = replace(ASK, text="Where?")
    assert hook.bodies(PROFILES["claude"], [short]) == []
    (block,) = hook.bodies(PROFILES["claude"], [ASK])
    assert block.endswith("\nWhere is\nthe retry?")
    assert hook.bodies(PROFILES["gemini"], [ASK]) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 30_000), min_size=1, max_size=8))
def test_one_event_is_given_no_more_than_agents_take(sizes: list[int]) -> None:
    """The oldest messages first, in order, at least one; a long body by reference where it can be read elsewhere."""
    parcels = [Parcel(f"{n:08d}-x", "planner", "message", "x" * size) for n, size in enumerate(sizes)]
    chosen = hook.choose(PROFILES["claude"], parcels)
    assert [parcel for parcel, _ in chosen] == parcels[: len(chosen)]
    assert chosen
    assert len("\n\n".join(text for _, text in chosen)) <= hook.OUTPUT_MAX_CHARACTERS
    for parcel, text in chosen:
        assert text.endswith(parcel.text) or f"intercom-mux inbox {parcel.message_id[:8]}" in text
