"""What waits for a person's answer, read from the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.supervise.answer import read

if TYPE_CHECKING:
    from intercom_mux.client.blocking import Client
    from intercom_mux.supervise.answer import Pending


def asked(client: Client) -> list[Pending]:
    """Return the open asks to the caller with their whole texts, oldest first; they stay unread."""
    rows = client.pending()
    return [read(row["id"], row["from"], client.inbox(row["id"], peek=True)[0]["text"]) for row in rows]
