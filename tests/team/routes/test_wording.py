"""How a message reads when it reaches an agent, for any text that a sender may choose."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents import header
from intercom_mux.agents.find import load_profiles
from intercom_mux.team.routes.base import Parcel
from intercom_mux.team.routes.wording import compose, short_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intercom_mux.agents.profile import Channel, Profile

ASK = Parcel("7f3a1234-0000-4000-8000-000000000001", "planner", "ask", "Where is the retry?")


def _profiles() -> Mapping[str, Profile]:
    return load_profiles([])


def test_long_body_is_read_not_typed_where_commands_run() -> None:
    """A body over the limits is replaced by where to read it, only for an agent that can run commands."""
    long = replace(ASK, text="word " * 1000)
    typed = compose(_profiles()["claude"], long)
    assert typed == (
        "[intercom] from planner · ask 7f3a1234 · read it: intercom-mux inbox 7f3a1234"
        ' · reply: intercom-mux reply --to 7f3a1234 "…"'
    )
    assert compose(_profiles()["codex"], long).endswith("word")


@pytest.mark.parametrize(
    ("channel", "hint", "note"),
    [
        ("cli", True, ' · reply: intercom-mux reply --to 7f3a1234 "…"'),
        ("mcp", True, " · reply: intercom_reply to=7f3a1234"),
        ("cli", False, ""),
        ("mcp", False, ""),
    ],
)
def test_an_ask_says_how_to_answer_it_by_the_channel_of_its_agent(channel: Channel, hint: bool, note: str) -> None:
    """The command or the tool, and nothing where the user has switched it off; other messages never say it."""
    profile = replace(_profiles()["codex"], reply=channel, reply_hint=hint)
    assert compose(profile, ASK) == f"[intercom] from planner · ask 7f3a1234{note}\nWhere is the retry?"
    assert compose(profile, replace(ASK, kind="message")).startswith("[intercom] from planner · message 7f3a1234\n")


def test_a_long_body_is_read_by_the_channel_of_its_agent() -> None:
    """Where it is to be read is told as a tool too."""
    profile = replace(_profiles()["claude"], reply="mcp")
    typed = compose(profile, replace(ASK, kind="message", text="word " * 1000))
    assert typed == "[intercom] from planner · message 7f3a1234 · read it: intercom_inbox id=7f3a1234"


def test_attachments_follow_the_body() -> None:
    """Rendered attachments stand after the text, each on lines of its own."""
    parcel = replace(ASK, kind="message", attachments=("--- a.py\nx = 1",))
    expected = "[intercom] from planner · message 7f3a1234\nWhere is the retry?\n--- a.py\nx = 1"
    assert compose(_profiles()["codex"], parcel) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.text(min_size=1), st.text(), st.sampled_from(["ask", "message", "reply"]), st.text(), st.none() | st.text())
def test_header_can_always_be_read_back(
    message_id: str, sender: str, kind: Any, text: str, reply_to: str | None
) -> None:
    """Whatever ids, names and texts hold, the first line parses, and no control character but tab and LF is typed."""
    typed = compose(_DEMO, Parcel(message_id, sender, kind, text, (), reply_to))
    read = header.parse(typed.split("\n")[0])
    assert read is not None
    assert (read.kind, read.id) == (kind, short_id(message_id))
    assert read.reply_to == (short_id(reply_to) if reply_to else None)
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", typed) is None
    assert message_id.startswith(read.id) or re.fullmatch(r"[0-9a-f]{8}", read.id)


_DEMO = _profiles()["demo"]
