"""A client and a pane that write down what an agent does with them; the real broker is met in test_demo_team.py."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intercom_mux.agents.demo.intercom import Intercom


@dataclass
class RecordedReply:
    """What an ask of the agent is answered with."""

    text: str
    sender: str


@dataclass
class RecordingIntercom:
    """Implements `Intercom`. `answers` maps a peer to the text, or the error, that an ask to it meets."""

    roster: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, str | Exception] = field(default_factory=dict)
    board: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    connect_errors: list[Exception] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    replied: list[tuple[str | None, str]] = field(default_factory=list)
    progressed: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def connect(self) -> Iterator[Intercom]:
        if self.connect_errors:
            raise self.connect_errors.pop(0)
        yield self

    def send(self, to: str, text: str) -> None:
        if to in self.refused:
            raise DeliveryError(f'Session not found: "{to}"')
        self.sent.append((to, text))

    def ask(self, to: str, text: str, *, timeout_s: float) -> RecordedReply:
        self.asked.append((to, text))
        answer = self.answers.get(to, DeliveryError(f'Session not found: "{to}"'))
        if isinstance(answer, Exception):
            raise answer
        return RecordedReply(answer, to)

    def reply(self, text: str, *, to: str | None = None) -> None:
        self.replied.append((to, text))

    def inbox(self, message_id: str | None = None) -> list[dict[str, Any]]:
        return [letter for letter in self.letters if message_id is None or letter["id"].startswith(message_id)]

    def sessions(self) -> list[dict[str, Any]]:
        return self.roster

    def tasks(self) -> list[dict[str, Any]]:
        return self.board

    def progress(self, task: str, **changes: Any) -> None:
        self.progressed.append({"task": task, **{key: value for key, value in changes.items() if value is not None}})


@dataclass
class RecordingPane:
    """Implements `Pane`; `seen` is the whole transcript, `titles` the statuses in order."""

    shown: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    on_show: Callable[[str], None] = lambda _: None

    @property
    def seen(self) -> str:
        return "\n".join(self.shown)

    def show(self, text: str, style: str = "") -> None:
        self.shown.append(text)
        self.on_show(text)

    def status(self, status: str) -> None:
        self.titles.append(status)


def session(name: str, role: str, *, is_self: bool = False, team: str = "t", status: str = "idle") -> dict[str, Any]:
    """Return a row of the roster."""
    return {"id": f"id-{name}", "name": name, "role": role, "status": status, "team": team, "self": is_self}
