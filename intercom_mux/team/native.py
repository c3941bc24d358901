"""Whether an agent's own client gets its messages, or the daemon must type them because that client has not joined.

The broker tells when the client joins and leaves; until then it keeps the mail. A client that is not there `GRACE_S`
after the agent's screen said ready is not waited for: the daemon asks for the messages. When the client comes after
all, they go back, but for those that the daemon has begun to send (docs/protocol.md, "Native peers").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.team.mailbag import Mailbag

Json = dict[str, Any]
GRACE_S = 5.0
"""How long a client may take to join after its agent is ready, and to come back."""


class NativeClient:
    """The agent's own client as the daemon knows it. `tell` makes the request `courier` of the broker."""

    def __init__(self, mail: Mailbag, tell: Callable[[Json], None]) -> None:
        self.is_joined = False
        self.may_type = False
        self._mail = mail
        self._tell = tell
        self._alone_since: float | None = None
        self._kept: list[str] = []

    def registering(self) -> list[str]:
        """Return what the daemon goes on sending itself; all else is the broker's, which will tell who is there."""
        self.is_joined = self.may_type = False
        self._kept = self._mail.hand_back()
        return self._kept

    def joined(self) -> None:
        """Hear that the client is there: it gets the messages."""
        self.is_joined, self.may_type = True, False
        self._hand_back()

    def left(self) -> None:
        """Hear that the client is not there; it may come (back) within the grace."""
        self.is_joined = False
        self._alone_since = None

    def observe(self, *, is_ready: bool, now: float) -> None:
        """Take one look at the agent: `is_ready` for messages, at `now` in seconds of any one clock."""
        if not self.may_type and self._kept and self._mail.begun() != self._kept:
            self._hand_back()
        if self.is_joined or self.may_type or not is_ready:
            self._alone_since = None
            return
        if self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= GRACE_S:
            self.may_type = True
            self._kept = []
            self._tell({"on": True})

    def _hand_back(self) -> None:
        self._kept = self._mail.hand_back()
        self._tell({"on": False, "keep": self._kept})
