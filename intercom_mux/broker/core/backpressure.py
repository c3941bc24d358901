"""Back-pressure: what a client of ours sends into a full mailbox is held for a while instead of refused.

A held frame is not journaled and not answered yet. What its connection sends after it waits behind it, so that order
stays; receipts do not wait, because they are what makes room. Source of the rules: docs/protocol.md, "Back-pressure".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.broker.core import delivery
from intercom_mux.broker.core.model import BrokerState, Connection, Held, Json, Session
from intercom_mux.errors import ProtocolError
from intercom_mux.wire.frames import MAX_NESTING, Frame, decode_to_pass_on

if TYPE_CHECKING:
    from collections.abc import Callable

READ_AHEAD_BYTES = 65_536
"""A connection that has this much waiting behind a held frame is not read from until it has less."""

_IN_ORDER = frozenset({"send", "cancel_message", "cancel_ask", "unregister", "register"})


class MailboxFull(Exception):
    """A message must wait for room in the mailbox of `target`; nothing changed."""

    def __init__(self, target: Session) -> None:
        super().__init__(target.key.id)
        self.target = target


def is_full(state: BrokerState, target: Session) -> bool:
    """Whether the mailbox of `target` takes nothing more."""
    limits = state.limits
    return len(target.mailbox) >= limits.mailbox_messages or target.mailbox_bytes >= limits.mailbox_bytes


def check_room(state: BrokerState, connection: Connection, target: Session, now: int) -> None:
    """Return if `connection` may put a message into the mailbox of `target` now.

    Raises:
        MailboxFull: It must wait, because there is no room or because others came first.
        Refusal: There is no room, and it may not wait, or not any longer.
    """
    has_room = not is_full(state, target)
    if has_room and not target.waiting_senders:
        return
    is_due = connection.has_turn and connection.held[0].due <= now
    if connection.generation == "mux" and not is_due and not (has_room and connection.has_turn):
        raise MailboxFull(target)
    if not has_room:
        reason = f"Mailbox of the target is full: {len(target.mailbox)} messages are waiting"
        raise delivery.Refusal("E_MAILBOX_FULL", reason)


class Backpressure:
    """Holds frames and has them handled when there is room, or when their time is over; both in order of arrival."""

    def __init__(
        self,
        state: BrokerState,
        handle: Callable[[Connection, Frame, int], None],
        cut: Callable[[Connection, int], None],
    ) -> None:
        self._state = state
        self._handle = handle
        self._cut = cut

    def hold(self, link: Connection, payload: bytes, target: Session, now: int) -> None:
        """Keep a frame that has found the mailbox of `target` full."""
        self._append(link, payload, now)
        self._wait_for(link, target)

    def queues(self, link: Connection, payload: bytes, frame: Json, now: int) -> bool:
        """Put a frame behind those held of its connection, unless it is of a kind that need not wait for them."""
        if frame["type"] not in _IN_ORDER and not (frame["type"] == "mux" and frame.get("op") == "reply"):
            return False
        self._append(link, payload, now)
        self._pace(link)
        return True

    def serve(self, now: int) -> None:
        """Go on with who waits for mailboxes that have room again; one frame each in turn, as long as there is."""
        state = self._state
        while state.roomy:
            target = state.roomy.pop()
            while target.waiting_senders and not is_full(state, target):
                self._go_on(next(iter(target.waiting_senders.values())), now)

    def expire(self, link: Connection, now: int) -> None:
        """Decide what has been held for its whole time."""
        if link.held and link.held[0].due <= now:
            self._go_on(link, now)

    def drop(self, link: Connection) -> None:
        """Forget what is held of a connection that has ended; its client was promised nothing."""
        self._stop_waiting(link)
        link.held.clear()
        link.held_bytes = 0

    def _append(self, link: Connection, payload: bytes, now: int) -> None:
        link.held.append(Held(payload, now + self._state.limits.mailbox_wait))
        link.held_bytes += len(payload)

    def _wait_for(self, link: Connection, target: Session) -> None:
        link.waits_for = target
        target.waiting_senders[link.id] = link
        self._state.set_timer(link.held[0].due, "held", link.id)

    def _stop_waiting(self, link: Connection) -> None:
        if link.waits_for is not None:
            link.waits_for.waiting_senders.pop(link.id, None)
            link.waits_for = None

    def _go_on(self, link: Connection, now: int) -> None:
        """Handle the first held frame, whose turn it is, and those behind it up to one that must wait."""
        self._stop_waiting(link)
        link.has_turn = True
        try:
            while link.held and not link.is_closing:
                self._handle(link, decode_to_pass_on(link.held[0].payload, max_nesting=MAX_NESTING), now)
                link.held_bytes -= len(link.held.pop(0).payload)
                link.has_turn = bool(link.held) and link.held[0].due <= now
        except MailboxFull as full:
            self._wait_for(link, full.target)
        except ProtocolError:
            self._cut(link, now)
        link.has_turn = False
        if link.is_closing:
            self.drop(link)
        self._pace(link)

    def _pace(self, link: Connection) -> None:
        """Have the server stop or go on reading, by how much waits behind the frame that is held."""
        behind = link.held_bytes - len(link.held[0].payload) if link.held else 0
        if link.is_paused != (behind > READ_AHEAD_BYTES):
            link.is_paused = not link.is_paused
            self._state.effects.pauses[link.id] = link.is_paused
