"""What every route shares: the parcel it carries, the outcome it tells, and the interface itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.agents.profile import Profile
    from intercom_mux.mux.base import Multiplexer
    from intercom_mux.team.state import PeerState

Kind = Literal["ask", "message", "reply"]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message to deliver; `attachments` are rendered as text, `reply_to` is the id of the ask that is answered.

    `sender_id` is the sender's session at the broker.
    """

    message_id: str
    sender: str
    kind: Kind
    text: str
    attachments: tuple[str, ...] = ()
    reply_to: str | None = None
    sender_id: str = ""


class Outcome(NamedTuple):
    """What became of a parcel.

    `submitted`: the agent has it. `queued`: the agent keeps it for after its turn. `held`: nothing was sent, offer it
    again. `typed-not-submitted`: it stands in the composer, or a dialog hides whether it does; `resume` it.
    `unknown`: it was sent, and its fate was not seen.
    """

    kind: Literal["submitted", "queued", "held", "typed-not-submitted", "unknown"]
    reason: str = ""


class Taken(Exception):
    """The message has gone another way since it was offered; nothing was sent, and nothing is to be."""


@dataclass(frozen=True, slots=True)
class Target:
    """The agent that routes deliver to, and what they may know of it.

    Attributes:
        peer: What is kept of it between commands: session, directory, port, password.
        surface: Where it runs; `peer.surface` may have moved on.
        journal: Writes down that the message of this id is about to be sent in a way that a crash must not repeat.
            An OSError of it, or `Taken`, stops the delivery before anything is sent.
        reported: What the agent itself last reported that it does (`thinking`, `blocked:permission`, ...), None
            without a report. Screens are not asked.
        report: Takes such a report from a route that hears it.
        may_type: Whether messages are ours to send, and not for the agent's own client to fetch.
        ended: Hears from a route that a turn is over: the prompt that it began with, and the agent's last words.
        thread: The agent's id of the conversation in which it last named one of our messages, None before.
    """

    peer: PeerState
    profile: Profile
    mux: Multiplexer
    surface: str
    journal: Callable[[str], None]
    reported: Callable[[], str | None] = lambda: None
    report: Callable[[str], None] = lambda _: None
    may_type: Callable[[], bool] = lambda: True
    ended: Callable[[str, str], None] = lambda _prompt, _words: None
    thread: Callable[[], str | None] = lambda: None


class Route:
    """One way into one agent. Level-triggered: what is held is offered again on every change and on a slow sweep.

    All methods belong to the daemon's event loop; what blocks runs in threads. One call of `deliver`, `resume` or
    `recover` at a time.
    """

    keeps_order = True
    """Whether a parcel that is held holds back those behind it."""

    async def deliver(self, parcel: Parcel) -> Outcome | None:
        """Hand the parcel over, or hold it; None when the next route shall have it, nothing having been sent.

        Raises:
            OSError: The journal cannot be written; nothing was sent.
            Taken: It has gone another way meanwhile; nothing was sent.
        """
        raise NotImplementedError

    async def resume(self, parcel: Parcel) -> Outcome:
        """Go on with a parcel that this route told as `typed-not-submitted`."""
        raise NotImplementedError(f"{parcel.message_id} was never typed by this route")

    async def recover(self, parcel: Parcel) -> Outcome | None:  # noqa: ARG002 - the default knows nothing
        """Tell the fate of a parcel that was journaled before a crash; sends nothing. None: this route cannot tell."""
        return None

    def prove(self, message_id: str) -> None:
        """Hear that the agent has this message, on better evidence than the route's own."""

    def forget(self, message_id: str) -> None:
        """Do nothing more for a parcel, not even in a call that is under way."""

    def close(self) -> None:
        """Let go of what the route holds; it is not used any more."""
