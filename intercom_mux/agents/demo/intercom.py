"""What the agent needs of the project's client, and nothing of how it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Answer(Protocol):
    """The reply to an ask."""

    @property
    def text(self) -> str: ...
    @property
    def sender(self) -> str: ...


class Intercom(Protocol):
    """One connection that acts as this agent's session. Every call may raise `IntercomError`."""

    def send(self, to: str, text: str) -> Any: ...
    def ask(self, to: str, text: str, *, timeout_s: float) -> Answer: ...
    def reply(self, text: str, *, to: str | None = None) -> Any: ...
    def inbox(self, message_id: str | None = None) -> list[dict[str, Any]]: ...
    def sessions(self) -> list[dict[str, Any]]: ...
    def progress(
        self,
        task: str,
        *,
        title: str | None = None,
        percent: int | None = None,
        state: str | None = None,
        note: str | None = None,
        owner: str | None = None,
    ) -> Any: ...


if TYPE_CHECKING:
    Connect = Callable[[], AbstractContextManager[Intercom]]
    """Opens a connection for one action, so that a broker restart between two never matters."""


def connect() -> AbstractContextManager[Intercom]:
    """Connect as the session of this pane.

    Raises:
        BrokerError: No broker can be reached.
    """
    from intercom_mux.client.blocking import Client

    return Client.connect()
