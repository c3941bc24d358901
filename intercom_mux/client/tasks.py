"""Single tasks: looked at and made through a client; `Client.progress` and `Client.tasks` are the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intercom_mux.client.blocking import Client

Json = dict[str, Any]


def show(client: Client, task: str = "", *, message: str = "") -> Json:
    """Return a task, or the one that came of a message, as it stands, with `history` and `messages` (ids).

    Raises:
        DeliveryError: There is none (`E_NO_TASK`).
    """
    row: Json = client.request("task_show", task=task, message=message, **_own_team(client))
    return row


def add(client: Client, title: str, *, task: str = "", note: str = "") -> Json:
    """Create a task that nobody has yet and return it; without an id it gets one made of the title.

    Raises:
        DeliveryError: The id is taken by another task (`E_TASK_EXISTS`), or this makes none (`E_INVALID_TASK`).
    """
    row: Json = client.request("task_add", title=title, task=task, note=note, **_own_team(client))
    return row


def give(client: Client, peer: str, title: str, *, task: str = "", note: str = "") -> Json:
    """Send a peer the marked message that makes a task its own, and return the task.

    Raises:
        DeliveryError: The message was not accepted; nothing is made then.
    """
    mark = f"[task:{task}]" if task else "[task]"
    line = f"{mark} {' '.join(title.split())}"
    sent = client.send(peer, f"{line}\n\n{note}" if note else line)
    return show(client, message=sent["messageId"])


def _own_team(client: Client) -> Json:
    """Return the team that a shell looks at: it is in none by itself."""
    me = client.identity
    return {"team": me.team} if me.is_shell and me.team else {}
