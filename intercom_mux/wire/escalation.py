"""What a message to a supervisor is about, for lists that show only the start of a text. Pure, and imports nothing.

The headings are those of `supervise.contact` (docs/protocol.md, "Supervision"); a test holds them equal.
"""

from __future__ import annotations

KINDS = {
    "Subagent needs a supervisor decision.": "decision",
    "Subagent requests a structured supervisor interview.": "interview",
    "Subagent progress update.": "progress",
}
"""First line of such a message → what it is, in a word."""


def gist(text: str) -> str:
    """Return the kind and body of a message to a supervisor, without who sent it; any other text as it is."""
    if not text.startswith("Subagent "):
        return text
    head, gap, body = text.partition("\n\n")
    kind = KINDS.get(head.partition("\n")[0])
    if not kind or not gap:
        return text
    return body if body.casefold().startswith(f"{kind}: ") else f"{kind}: {body}"
