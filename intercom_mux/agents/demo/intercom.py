"""What the agent needs of the project's client, and nothing of how it works."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Protocol

from intercom_mux.errors import IntercomError

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
    def tasks(self) -> list[dict[str, Any]]: ...
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

    Verb = Callable[..., dict[str, Any]]
    """Runs a verb of the command line as `verb` does."""


def connect() -> AbstractContextManager[Intercom]:
    """Connect as the session of this pane.

    Raises:
        BrokerError: No broker can be reached.
    """
    from intercom_mux.client.blocking import Client

    return Client.connect()


def verb(*words: str, stdin: str = "") -> dict[str, Any]:
    """Run `intercom-mux WORDS --json` as any agent in a pane can, and return what it prints, once it has ended.

    Raises:
        IntercomError: It failed, with its code.
    """
    argv = [sys.executable, "-I", "-m", "intercom_mux", *words, "--json"]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    try:
        facts: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise IntercomError(f"`{words[0]}` failed: {done.stderr.strip() or done.returncode}") from None
    if "error" in facts:
        error = facts["error"]
        raise IntercomError(error["message"], code=error["code"], hint=error.get("hint"))
    return facts
