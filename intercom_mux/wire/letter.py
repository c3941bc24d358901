"""One delivered message as its reader sees it. Pure, and imports nothing: the fast path uses it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def facts(row: dict[str, Any]) -> dict[str, Any]:
    """Return a `{from, message}` of the wire as: id, from, kind (ask | message | reply), text, attachments, reply_to,
    sent_at (Unix milliseconds)."""
    sender, message = row["from"], row["message"]
    kind = "reply" if "replyTo" in message else "ask" if message.get("expectsReply") else "message"
    return {
        "id": message["id"],
        "from": sender.get("name") or sender["id"],
        "kind": kind,
        "text": message["content"]["text"],
        "attachments": message["content"].get("attachments", []),
        "reply_to": message.get("replyTo"),
        "sent_at": message["timestamp"],
    }
