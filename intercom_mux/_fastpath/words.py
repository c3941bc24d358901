"""Command lines: which ones are plain, and what they say. Pure."""

from __future__ import annotations

from intercom_mux.cli import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

PLANS: dict[str, tuple[int, int, dict[str, str]]] = {
    "send": (2, 2, {}),
    "ask": (2, 2, {"--timeout": "timeout"}),
    "reply": (1, 1, {"--to": "to"}),
    "pending": (0, 0, {}),
    "inbox": (0, 1, {"--peek": "peek"}),
    "progress": (
        1,
        1,
        {"--percent": "percent", "--state": "state", "--note": "note", "--title": "title", "--owner": "owner"},
    ),
}
"""Verb → fewest and most words, and its options with the names of their values."""


def parse(arguments: list[str]) -> Json | None:
    """Return the values click would give for a call, by its names; None for whatever is not entirely plain."""
    plan = PLANS.get(arguments[0]) if arguments else None
    if plan is None:
        return None
    least, most, options = plan
    words: list[str] = []
    values: Json = {"words": words}
    rest = iter(arguments[1:])
    for token in rest:
        if token == "--":  # noqa: S105 - the end of the options, no secret
            words += rest
        elif token == "--peek" and token in options:  # noqa: S105 - an option, no secret
            values["peek"] = True
        elif token in options and options[token] not in values:
            value = next(rest, "-")
            if value.startswith("-"):
                return None
            values[options[token]] = value
        elif token.startswith("-"):
            return None
        else:
            words.append(token)
    is_plain = least <= len(words) <= most and all(word.strip() and word != "-" for word in words)
    return values if is_plain and _convert(values) else None


def _convert(values: Json) -> bool:
    """Turn option values into what they mean; False if one is not entirely plain."""
    if "timeout" in values:
        values["timeout"] = text.duration(values["timeout"])
        if values["timeout"] is None:
            return False
    if "percent" in values:
        digits = values["percent"]
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 3 and int(digits) <= 100):
            return False
        values["percent"] = int(digits)
    return values.get("state", "done") in text.TASK_STATES and "" not in values.values()
