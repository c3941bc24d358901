"""The messages that wait for one peer: offered to its routes in order, written down, and reported to their senders."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from intercom_mux.team.inbound import may_start_turn
from intercom_mux.team.routes.base import Outcome, Parcel, Taken
from intercom_mux.team.routes.wording import short_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from intercom_mux.team.routes.base import Route
    from intercom_mux.team.typing_log import TypingLog

Json = dict[str, Any]
log = logging.getLogger("intercom_mux.team")

SWEEP_S = 2.0
"""How often held messages are offered again without any change of status."""
COUNTED = 20
"""How far from the head of the queue a message is told its exact place; each place is a receipt of its own."""
SENT_MAX = 64
"""How many messages may wait for the agent to name them."""


class Mailbag:
    """Delivers what is put in, oldest first, over the routes it was given last.

    Args:
        session_id: The peer's session, part of the keys in the typing log.
        receipt: Tells the broker what became of a message: (id, status, detail).
        handed: Hears of each message that a route has delivered.
        inbound: Which messages may start a turn by themselves (team/inbound.py).
    """

    def __init__(
        self,
        session_id: str,
        typing_log: TypingLog,
        receipt: Callable[[str, str, str | None], None],
        handed: Callable[[Parcel], None],
        inbound: str = "always",
    ) -> None:
        self._session_id = session_id
        self._log = typing_log
        self._receipt = receipt
        self._handed = handed
        self._inbound = inbound
        self._routes: list[Route] = []
        self._parcels: dict[str, Parcel] = {}
        self._being_sent: str | None = None
        self._in_hand: set[str] = set()
        self._left_typed: dict[str, Route] = {}
        self._told: dict[str, str] = {}
        self._sent: dict[str, Parcel] = {}
        self._work = asyncio.Event()

    def use(self, routes: Iterable[Route]) -> None:
        """Deliver over these routes from now on, tried in order; those before are let go of."""
        for route in self._routes:
            route.close()
        self._routes = list(routes)
        self._left_typed.clear()
        self.offer_again()

    def may_start(self, parcel: Parcel) -> bool:
        """Return whether this message may start a turn by itself."""
        return may_start_turn(parcel, self._inbound)

    def offer_again(self) -> None:
        """Something has changed: offer what waits."""
        self._work.set()

    def __len__(self) -> int:
        return len(self._parcels)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._parcels

    def asks(self) -> dict[str, str]:
        """Return the asks that wait here, id → asker."""
        return {parcel.message_id: parcel.sender for parcel in self._parcels.values() if parcel.kind == "ask"}

    def put(self, parcel: Parcel) -> None:
        """Take a message for delivery; one that was delivered before is only confirmed again."""
        if self._key(parcel.message_id) in self._log.done:
            self._receipt(parcel.message_id, "injected", "delivered before")
            return
        self._receipt(parcel.message_id, "receiver_received", None)
        if reason := self._told.get(parcel.message_id):
            # It comes again because the connection or the broker was lost, and with that why it waits.
            self._receipt(parcel.message_id, "queued", reason)
        if parcel.message_id not in self._parcels:
            self._parcels[parcel.message_id] = parcel
            self.offer_again()

    def withdraw(self, message_id: str) -> None:
        """Forget a message that is not to be delivered any more, unless it is being sent right now.

        One that was left in the composer stays there, for the person to see: no Enter follows.
        """
        self._parcels.pop(message_id, None)
        if message_id != self._being_sent and message_id not in self._in_hand:
            self._abandon(message_id)

    def begun(self) -> list[str]:
        """Return the ids of what is being sent, stands in the composer, or was being sent when a daemon ended."""
        typing = {message_id for session_id, message_id in self._log.typing if session_id == self._session_id}
        return sorted(typing | self._in_hand | ({self._being_sent} if self._being_sent else set()))

    def hand_back(self) -> list[str]:
        """Forget all that waits and has not begun to be sent; return the ids of what has."""
        begun = self.begun()
        for message_id in [one for one in self._parcels if one not in begun]:
            self.withdraw(message_id)
        return begun

    def _abandon(self, message_id: str) -> None:
        self._told.pop(message_id, None)
        self._left_typed.pop(message_id, None)
        for route in self._routes:
            route.forget(message_id)
        if self._key(message_id) in self._log.typing:
            self._note(message_id, "done")

    async def deliver_for_ever(self) -> None:
        """Offer what waits whenever something changes, and on a slow sweep."""
        while True:
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._work.wait()
            except TimeoutError:
                pass
            self._work.clear()
            try:
                await self._deliver_waiting()
            except OSError as error:
                # The typing log cannot be written: nothing was typed, and the next sweep tries again.
                log.warning("%s: a delivery is put off: %s", self._session_id, error)

    async def _deliver_waiting(self) -> None:
        """Offer what waits, in order; stop at the first whose route keeps order, and tell those behind it.

        What may not start a turn is passed over; it goes in beside the next prompt, or is read from the mailbox.
        """
        waiting = list(self._parcels.values()) if self._routes else []
        for index, parcel in enumerate(waiting):
            if parcel.message_id not in self._parcels:
                continue
            if parcel.message_id in self._in_hand:
                return
            if not self.may_start(parcel) and self._key(parcel.message_id) not in self._log.typing:
                self._tell_once(parcel.message_id, f"inbound: {self._inbound}; it waits for the next turn")
                continue
            reason = await self._deliver(parcel)
            if parcel.message_id in self._in_hand:
                return
            if reason and any(route.keeps_order for route in self._routes):
                self._tell_behind(waiting[index + 1 :], reason)
                return

    def _tell_behind(self, waiting: Sequence[Parcel], reason: str) -> None:
        """Tell the senders of what waits behind a held message how many go before theirs, and why the first is held."""
        for count, parcel in enumerate(waiting, 1):
            others = (
                "1 other" if count == 1 else f"{count} others" if count <= COUNTED else f"more than {COUNTED} others"
            )
            self._tell_once(parcel.message_id, f"behind {others}: {reason}")

    async def _deliver(self, parcel: Parcel) -> str:
        """Deliver one message and tell its sender what became of it; return why it still waits, "" when it does not."""
        message_id = parcel.message_id
        try:
            outcome = await self._offer(parcel)
        except Taken:
            outcome = Outcome("held")
        if message_id in self._in_hand:
            return ""
        if outcome.kind not in ("held", "typed-not-submitted"):
            self._finish(message_id, outcome)
            if outcome.kind != "unknown":
                self._handed(parcel)
            return ""
        is_typed = outcome.kind == "typed-not-submitted"
        if not is_typed and self._key(message_id) in self._log.typing:
            self._note(message_id, "untyped")
        if message_id not in self._parcels:
            self._abandon(message_id)
            return ""
        reason = f"typed, not submitted: {outcome.reason}" if is_typed else outcome.reason
        self._tell_once(message_id, reason)
        return reason

    async def _offer(self, parcel: Parcel) -> Outcome:
        """Send a message, or go on with one that was sent before."""
        message_id = parcel.message_id
        if message_id in self._left_typed:
            return await self._left_typed[message_id].resume(parcel)
        if self._key(message_id) in self._log.typing:
            return await self._recover(parcel)
        self._being_sent = message_id
        try:
            for route in self._routes:
                outcome = await route.deliver(parcel)
                if outcome is not None:
                    self._note_typed(parcel, route, outcome)
                    return outcome
        finally:
            self._being_sent = None
        return Outcome("held", "no route takes it now")

    async def _recover(self, parcel: Parcel) -> Outcome:
        for route in self._routes:
            outcome = await route.recover(parcel)
            if outcome is not None:
                self._note_typed(parcel, route, outcome)
                return outcome
        return Outcome("unknown", "it was being sent when the team daemon ended")

    def _note_typed(self, parcel: Parcel, route: Route, outcome: Outcome) -> None:
        if outcome.kind == "typed-not-submitted":
            self._left_typed[parcel.message_id] = route

    # -- what the agent's own calls take -------------------------------------------------------------------------

    def prove(self, text: str) -> list[Parcel]:
        """Take the agent's word for what it was told; return what was sent to it and has its header line in `text`.

        Each message is returned once.
        """
        proved = [one for one in self._sent.values() if f"· {one.kind} {short_id(one.message_id)}" in text]
        for parcel in proved:
            del self._sent[parcel.message_id]
            for route in self._routes if parcel.message_id in self._parcels else ():
                route.prove(parcel.message_id)
        self.offer_again()
        return proved

    def free(self, *, proved: Sequence[Parcel] = ()) -> list[Parcel]:
        """Return what waits and may be given to the agent by other means than typing, oldest first.

        What is being sent, or stands in the composer, is left, and so is all behind it, unless it is among `proved`.
        What a route only looks for a moment to send is free: the agent's next call may be a long way off.
        """
        free: list[Parcel] = []
        for parcel in self._parcels.values():
            if parcel in proved:
                continue
            if parcel.message_id in self._in_hand or self._key(parcel.message_id) in self._log.typing:
                break
            free.append(parcel)
        return free

    def pick_up(self, parcels: Sequence[Parcel]) -> None:
        """Hold these in one's hands while they are given to the agent; nobody else sends them until `put_down`.

        Raises:
            OSError: It cannot be written down; nothing may be given.
        """
        for parcel in parcels:
            self._note_typing(parcel.message_id)
        self._in_hand.update(parcel.message_id for parcel in parcels)

    def put_down(self, parcels: Sequence[Parcel], *, is_given: bool) -> None:
        """Say what became of parcels that were picked up; what was not given is offered again."""
        for parcel in parcels:
            self._in_hand.discard(parcel.message_id)
            self._sent.pop(parcel.message_id, None)
            if is_given:
                self._finish(parcel.message_id, Outcome("submitted"))
            elif parcel.message_id in self._parcels:
                self._note(parcel.message_id, "untyped")
            else:
                self._abandon(parcel.message_id)
        self.offer_again()

    def _tell_once(self, message_id: str, reason: str) -> None:
        if message_id in self._parcels and self._told.get(message_id) != reason:
            self._told[message_id] = reason
            self._receipt(message_id, "queued", reason)

    def _finish(self, message_id: str, outcome: Outcome) -> None:
        """Write down that a message is over, and tell its sender how."""
        self._note(message_id, "done")
        self._parcels.pop(message_id, None)
        self._left_typed.pop(message_id, None)
        self._told.pop(message_id, None)
        if outcome.kind == "unknown":
            self._receipt(message_id, "acknowledged", f"outcome unknown: {outcome.reason}")
        else:
            self._receipt(message_id, "injected", outcome.kind)

    def journal(self, message_id: str) -> None:
        """Write down that a message, which is being offered, is about to be sent.

        Raises:
            Taken: It went another way, or was withdrawn, while its route looked; it must not be sent.
            OSError: It cannot be written.
        """
        if message_id not in self._parcels or message_id in self._in_hand:
            raise Taken
        self._note_typing(message_id)

    def _note_typing(self, message_id: str) -> None:
        self._note(message_id, "typing")
        if message_id in self._parcels:
            self._sent[message_id] = self._parcels[message_id]
            while len(self._sent) > SENT_MAX:
                del self._sent[next(iter(self._sent))]

    def _note(self, message_id: str, step: str) -> None:
        self._log.note(self._key(message_id), step)

    def _key(self, message_id: str) -> tuple[str, str]:
        return self._session_id, message_id


def parcel_of(sender: Json, message: Json) -> Parcel:
    """Return a message as the broker delivers it, ready to carry."""
    content = message["content"]
    reply_to = message.get("replyTo")
    return Parcel(
        message_id=message["id"],
        sender=sender.get("name") or sender["id"],
        kind="reply" if reply_to else "ask" if message.get("expectsReply") else "message",
        text=content["text"],
        attachments=tuple(_attachment(item) for item in content.get("attachments", [])),
        reply_to=reply_to,
        sender_id=sender["id"],
    )


def _attachment(item: Json) -> str:
    return f"\nAttachment: {item['name']}\n~~~{item.get('language', '')}\n{item['content']}\n~~~"
