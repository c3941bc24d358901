"""The one error tree. Leaf module: imports nothing of the project.

    IntercomError              exit 1
    ├── LayoutError            exit 3   the layout file cannot be found or is not valid
    ├── MultiplexerError       exit 4   tmux (or another multiplexer) is missing, refused or lost
    ├── BrokerError            exit 5   the broker cannot be reached or refused to start
    │   └── ProtocolError      exit 5   a frame broke docs/protocol.md
    ├── DeliveryError          exit 6   a message was not accepted, or its fate is unknown
    ├── AskTimeout             exit 7   no reply in time
    ├── TeardownError          exit 8   processes survived `down`
    ├── TeamError              exit 9   no such team, several teams, or a peer that would not start
    ├── AskTicket              exit 10  the ask goes on without us: `intercom-mux result ID` fetches the reply
    ├── WaitTimeout            exit 11  what was waited for did not come about in time; nothing is withdrawn
    ├── PeerExited             exit 12  a peer that was waited for has exited instead
    └── UnknownFate            exit 13  nobody saw what became of a message that was typed

click keeps exit 2 for usage; an uncaught exception is exit 70. tests/test_errors.py compares this tree and the table in
docs/cli.md with the classes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class IntercomError(Exception):
    """Something failed that has no code of its own. Base of every error a user can meet.

    `code` is stable and for scripts. `hint` is the next step, an imperative without full stop. `fields` are the facts
    of this instance, JSON-ready; they are part of `--json` output.
    """

    code = "E_INTERCOM"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields
        if code is not None:
            self.code = code

    def to_json(self) -> dict[str, Any]:
        """Return `{"error": {"code", "message", "hint"?, **fields}}`."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint:
            body["hint"] = self.hint
        body.update(self.fields)
        return {"error": body}


class LayoutError(IntercomError):
    """The layout cannot be found, read or accepted. `problems` in fields lists every fault with its place."""

    code = "E_LAYOUT"
    exit_code = 3


class MultiplexerError(IntercomError):
    """The multiplexer is missing, too old, refused, timed out or went away."""

    code = "E_MULTIPLEXER"
    exit_code = 4


class BrokerError(IntercomError):
    """The broker cannot be started or reached, or its store cannot be used."""

    code = "E_BROKER"
    exit_code = 5


class ProtocolError(BrokerError):
    """A frame broke the protocol; the connection that brought it is closed."""

    code = "E_PROTOCOL"


class DeliveryError(IntercomError):
    """The broker refused a message (codes of docs/protocol.md), or its fate is unknown (`E_OUTCOME_UNKNOWN`)."""

    code = "E_DELIVERY"
    exit_code = 6


class AskTimeout(IntercomError):
    """No reply came within the time asked for; the ask is over."""

    code = "E_ASK_TIMEOUT"
    exit_code = 7


class TeardownError(IntercomError):
    """Processes of the team are still alive after KILL; `survivors` in fields names them."""

    code = "E_TEARDOWN"
    exit_code = 8


class TeamError(IntercomError):
    """The team cannot be chosen, or a peer of it could not be started."""

    code = "E_TEAM"
    exit_code = 9


class AskTicket(IntercomError):
    """Waiting ended before the ask did; the reply will reach the session's mailbox."""

    code = "E_ASK_TICKET"
    exit_code = 10


class WaitTimeout(IntercomError):
    """What `wait` or `send --wait` waited for did not come about in time; nothing is withdrawn."""

    code = "E_WAIT_TIMEOUT"
    exit_code = 11


class PeerExited(IntercomError):
    """A peer exited, or left, before it reached what `wait` waited for."""

    code = "E_PEER_EXITED"
    exit_code = 12


class UnknownFate(IntercomError):
    """A message was typed, and nobody saw whether the agent took it; it is not typed again."""

    code = "E_FATE_UNKNOWN"
    exit_code = 13
