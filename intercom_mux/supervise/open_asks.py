"""What waits for a caller's reply, wherever it waits: asks at the broker, and requests of pi's sub-agents in files.

A pane sees the requests of the children that its own agent has started, or that name it; a terminal all of this user's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from intercom_mux.client import pending_asks
from intercom_mux.client.link import now_ms
from intercom_mux.paths import IDENTITY_VARIABLE
from intercom_mux.supervise import child_request
from intercom_mux.supervise.answer import Pending, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.client.blocking import Client
    from intercom_mux.client.identity import Identity
    from intercom_mux.supervise.file_channel import Waiting

Json = dict[str, Any]

GONE = "no process of this child is seen"
"""The note on a request whose child has probably ended."""


def pending(client: Client) -> Json:
    """Return what the request `pending` does, with the children's requests in `to_me`, oldest first."""
    value: Json = client.request("pending")
    if rows := [row for row, _ in _children(client.identity)]:
        value["to_me"] = sorted([*value["to_me"], *rows], key=lambda row: -row["age_s"])
    return value


def to_answer(client: Client) -> list[Pending]:
    """Return everything that waits for our reply with its whole text, oldest first."""
    children = {row["id"]: one for row, one in _children(client.identity)}
    found: list[Pending] = []
    for row in pending(client)["to_me"]:
        child = children.get(row["id"])
        if "for" not in row:
            found.append(read(row["id"], row["with"], client.inbox(row["id"], peek=True)[0]["text"]))
        elif child is not None:
            asked = child.request
            kind: Literal["interview", "decision"] = "interview" if asked.interview else "decision"
            found.append(Pending(asked.id, asked.sender, kind, asked.body, asked.interview))
    return found


def reply(
    client: Client, text: str, *, to: str | None = None, attachments: Sequence[Json] = (), message_id: str | None = None
) -> Json:
    """Answer what `to` names (an id, its start, or who asked), else the active ask, else the only one that waits.

    Returns as `Client.reply`. A child's reply is "queued" when its process is not seen; nobody tells when it was read.

    Raises:
        DeliveryError: Nothing fits, several do, or it is over.
        IntercomError: The answer does not fit a child's interview (`E_INVALID_ANSWER`).
    """
    children = _children(client.identity)
    picked = _pick(client, children, to or "") if children else None
    if picked is None:
        return client.reply(text, to=to, attachments=attachments, message_id=message_id)
    from intercom_mux.supervise import file_channel

    row, one = picked
    file_channel.reply(one, text, attachments, now_ms())
    fate = "queued" if row["note"] == GONE else "socket_delivered"
    return {"messageId": row["id"], "askId": row["id"], "to": row["with"], "delivery": fate, "isLate": False}


def _pick(client: Client, children: list[tuple[Json, Waiting]], to: str) -> tuple[Json, Waiting] | None:
    """Return the child's request that a reply is for, None if it is for the broker to judge."""
    asks: list[Json] = client.request("pending")["to_me"]
    rows = [row for row, _ in children]
    if not to and any(row["is_active"] for row in asks):
        return None
    if to and not any(row["id"].startswith(to) or row["with"].casefold() == to.casefold() for row in rows):
        return None
    found = pending_asks.to_answer([*asks, *rows], to)
    return next((child for child in children if child[0] is found), None)


def _children(me: Identity) -> list[tuple[Json, Waiting]]:
    """Return the requests that are for `me` to answer, as rows of `pending` and as they stand; on Windows none.

    Who owns a file, and that no link leads elsewhere, cannot be told there.
    """
    if sys.platform == "win32":
        return []
    from intercom_mux.supervise import file_channel

    now = now_ms()
    found = file_channel.waiting(now)
    if not found:
        return []
    holders = _holders()
    mine = [one for one in found if me.is_shell or _is_for(one, me, holders)]
    return [
        (child_request.row(one.request, now, "" if os.path.realpath(one.channel) in holders else GONE), one)
        for one in mine
    ]


def _is_for(one: Waiting, me: Identity, holders: dict[str, str]) -> bool:
    """Whether a pane may answer: by whose pane the child runs in, and else by whom the request names."""
    pane = holders.get(os.path.realpath(one.channel))
    if pane:
        return pane == os.environ.get(IDENTITY_VARIABLE)
    named = one.request.target
    return one.request.session == me.session_id or bool(named and me.name and named.casefold() == me.name.casefold())


def _holders() -> dict[str, str]:
    """Return of each channel whose child is seen to run the identity file of its pane; empty outside of panes."""
    from intercom_mux.supervise.file_channel import VARIABLE
    from intercom_mux.team.process_table import environments_with

    seen = environments_with(VARIABLE)
    return {os.path.realpath(each[VARIABLE]): each.get(IDENTITY_VARIABLE, "") for each in seen}
