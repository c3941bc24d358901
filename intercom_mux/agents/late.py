"""Late values: placeholders that stay in what a peer is started with until its daemon has a value for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intercom_mux.agents.profile import LATE

if TYPE_CHECKING:
    from collections.abc import Mapping


def mark(name: str) -> str:
    """Return how a late placeholder stands in rendered text: no argument or variable can hold a NUL, so no value looks
    like it.
    """
    return f"\0{name}\0"


def fill(text: str, late: Mapping[str, str]) -> str:
    """Return `text` with its late placeholders replaced."""
    for name, value in late.items():
        text = text.replace(mark(name), value)
    return text


def shown(text: str) -> str:
    """Return `text` for people: late placeholders as they stand in the profile."""
    return fill(text, {name: f"{{{name}}}" for name in LATE})


def needs(plan: Any, name: str) -> bool:
    """Return whether the late placeholder `name` is in an argv, env and files such as `Launch` has."""
    return any(mark(name) in text for text in (*plan.argv, *plan.env.values(), *plan.files.values()))
