"""Snapshots made by hand, and a feed that shows them."""

from __future__ import annotations

import queue
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import TeamError
from intercom_mux.watch.model import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.supervise.answer import Pending

Json = dict[str, Any]

NOW = 1_700_000_000_000


def session(name: str, status: str = "idle", ago_s: int = 5) -> Json:
    """Return a session of the team."""
    since = NOW - ago_s * 1000
    return {"id": f"id-{name}", "name": f"crew/{name}", "team_id": "crew-1", "status": status, "status_since": since}


def message(key: str, sender: str, to: str, text: str, **more: Any) -> Json:
    """Return a message as the journal tells it."""
    row = {"id": key, "kind": "message", "from": f"crew/{sender}", "to": f"crew/{to}", "at": NOW - 1000, "text": text}
    return {**row, "reply_to": None, "outcome": None, **more}


def task(key: str, owner: str, percent: int, state: str = "started") -> Json:
    """Return a task."""
    row = {"id": key, "title": f"the {key}", "owner": owner, "state": state, "percent": percent, "note": ""}
    return {**row, "updated_at": NOW}


def snapshot(count: int = 2, **more: Any) -> Snapshot:
    """Return a look at a team of `count` workers."""
    names = [f"worker-{number}" for number in range(1, count + 1)]
    seen = Snapshot(at=NOW, team="crew-1", name="crew", peers={name: f"%{name[7:]}" for name in names})
    return replace(seen, sessions=[session(name) for name in names], mail={}, **more)


class HandFeed:
    """Shows what `show` and `lose` are given, and keeps what it was told to do; there is no broker to be slow."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.asks: list[Pending] = []
        self.mail: list[Json] = []
        self._shown: queue.SimpleQueue[Snapshot | str | None] = queue.SimpleQueue()

    def show(self, seen: Snapshot) -> None:
        self._shown.put(seen)

    def lose(self, why: str) -> None:
        self._shown.put(why)

    def run(self, on_seen: Callable[[Snapshot], None], on_lost: Callable[[str], None]) -> None:
        while (got := self._shown.get()) is not None:
            if isinstance(got, str):
                on_lost(got)
            else:
                on_seen(got)

    def stop(self) -> None:
        self._shown.put(None)

    def screen(self, peer: str) -> str:
        return f"screen of {peer} [bold]"

    def asked(self) -> list[Pending]:
        return list(self.asks)

    def inbox(self) -> list[Json]:
        return list(self.mail)

    def attach_argv(self, peer: str) -> tuple[list[str], bool]:
        raise TeamError(f"{peer} cannot be attached to")

    def send(self, to: str, text: str) -> str:
        return self._do("send", to, text)

    def ask(self, to: str, text: str) -> str:
        return self._do("ask", to, text)

    def reply(self, ask_id: str, text: str) -> str:
        return self._do("reply", ask_id, text)

    def restart(self, peer: str) -> str:
        return self._do("restart", peer)

    def kill(self, peer: str) -> str:
        return self._do("kill", peer)

    def _do(self, *words: str) -> str:
        self.done.append(words)
        return "done"
