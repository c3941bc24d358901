"""docs/agents.md against the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from intercom_mux.agents.find import load_profiles
from intercom_mux.agents.profile import PLACEHOLDERS, ROUTES, HookEvent, Profile

PAGE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n# ~/.*/(\w+)\.yaml.*?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table under a heading, by what stands in backticks in their first cell."""
    section = PAGE.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    cells = [re.split(r" \| ", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
    return {name: row[1:] for row in cells for name in re.findall(r"`([^`]+)`", row[0])}


def test_the_table_of_keys_is_complete() -> None:
    """Every key that a profile may have is told, and no other."""
    not_keys = {"name", "path", "ready_settle_ms", "reply_hint", "inbound", "data"}
    assert set(rows("## Every key")) == {one.name for one in fields(Profile)} - not_keys | {"extends", "args"}


def test_every_placeholder_and_event_key_is_told() -> None:
    """The tables of placeholders and of hook events have all of them."""
    assert set(rows("### Placeholders")) == {f"{{{name}}}" for name in PLACEHOLDERS}
    assert set(rows("### Hook events")) == set(HookEvent._fields)
    assert all(f"`{route}`" in rows("## Every key")["routes"][0] for route in ROUTES)


def test_the_table_of_agents_is_true() -> None:
    """Routes and reply channels are those of the bundled profiles."""
    profiles = load_profiles([])
    told = rows("## What is done to an agent")
    assert set(told) == set(profiles)
    for name, (routes, _wiring, reply) in told.items():
        assert routes.split(";")[0].split(", ") == list(profiles[name].routes)
        assert reply == profiles[name].reply


def test_the_table_of_trust_is_true() -> None:
    """What cannot be told of trust, and what can, is what the profiles say."""
    for name, (what,) in rows("### Trust").items():
        assert (load_profiles([])[name].trust is None) is what.startswith("nothing"), name


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_the_examples_are_valid(home: Path, name: str, text: str) -> None:
    """Each example is a profile."""
    (home / f"{name}.yaml").write_text(text)
    assert load_profiles([home])[name].routes
