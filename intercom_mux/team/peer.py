"""One peer of a running team, inside the team daemon: its endpoint at the broker, its courier, its live status."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from intercom_mux.agents import detect
from intercom_mux.client.aio import Endpoint, Registration
from intercom_mux.errors import BrokerError
from intercom_mux.team.courier import Courier, Outcome, Parcel

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.agents.profile import Profile
    from intercom_mux.mux.base import Multiplexer, SurfaceState
    from intercom_mux.team.state import PeerState, TeamState
    from intercom_mux.team.typing_log import TypingLog

Json = dict[str, Any]
log = logging.getLogger("intercom_mux.team")

SWEEP_S = 2.0
"""How often held messages are offered again without any change of status."""


class TeamPeer:
    """Delivers what the broker has for one peer, oldest first, and tells the broker how the peer is.

    `start` begins, `stop` ends; both on the daemon's event loop. The daemon feeds it by `observe`.
    """

    def __init__(self, team: TeamState, state: PeerState, profile: Profile, mux: Multiplexer, log: TypingLog) -> None:
        self.state = state
        self.profile = profile
        self.status = detect.STARTING.text
        self.exit_status: int | None = None
        self.was_ready = False
        self._mux = mux
        self._log = log
        self._courier: Courier | None = None
        self._parcels: dict[str, Parcel] = {}
        self._being_typed: str | None = None
        self._left_typed: set[str] = set()
        self._told: dict[str, str] = {}
        self._work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._registration = Registration(
            session_id=state.session_id,
            name=state.name,
            role=state.role,
            cwd=str(state.cwd),
            model=state.agent,
            pid=state.pid or 0,
            team={"id": team.id, "name": team.name, "dir": str(team.project)},
            token=state.token,
            scope=team.id if team.isolated else "",
        )
        self.endpoint: Endpoint

    def start(self, socket: Path) -> None:
        """Connect to the broker and begin to deliver."""
        self.endpoint = Endpoint(socket, self._registration, self)
        self._tasks = [asyncio.create_task(self.endpoint.run()), asyncio.create_task(self._deliver_for_ever())]
        self._tasks[0].add_done_callback(self._note_refusal)
        if self.state.surface:
            self.adopt(self.state.surface)

    async def registered(self, timeout_s: float) -> None:
        """Wait until the broker knows the peer.

        Raises:
            BrokerError: It refuses the peer, or did not answer in time.
        """
        connected = asyncio.create_task(self.endpoint.connected.wait())
        done, _ = await asyncio.wait(
            [connected, self._tasks[0]], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        connected.cancel()
        if self._tasks[0] in done:
            self._tasks[0].result()
        if not done:
            raise BrokerError(
                f"the broker did not register {self.state.name} in time", hint="see `intercom-mux broker status`"
            )

    def _note_refusal(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("%s receives no messages: %s", self.state.name, error)

    async def stop(self) -> None:
        """Hang up and end; what was not delivered waits at the broker."""
        self.endpoint.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def adopt(self, surface: str) -> None:
        """Deliver into `surface` from now on."""
        self.state.surface = surface
        self._courier = Courier(self._mux, surface, self.profile, self._journal)
        self._work.set()

    @property
    def needs_screen(self) -> bool:
        """Whether status can only be told from the screen's text, which costs a call."""
        patterns = [pattern.evidence for pattern in self.profile.status]
        if self.profile.ready is not None:
            patterns.append(self.profile.ready)
        return any(pattern.screen for pattern in patterns)

    @property
    def shows_readiness(self) -> bool:
        """Whether its program can be seen to have finished starting; of any other, nothing more than life is known."""
        return bool(self.profile.status) or self.profile.ready is not None

    @property
    def is_busy(self) -> bool:
        """Whether the daemon should look often: something is starting, working or waiting to be delivered."""
        waits = self.profile.route == "paste" and bool(self._parcels)
        return waits or self.status.startswith(("starting", "thinking", "tool"))

    @property
    def has_exited(self) -> bool:
        """Whether its program is over."""
        return self.status.startswith("exited")

    def observe(self, seen: SurfaceState | None, screen: str) -> None:
        """Take one look at the surface; None means that it is gone."""
        if seen is None:
            status = self.status if self.has_exited else "exited:?"
        else:
            self.exit_status = seen.exit_status
            self.was_ready = self.was_ready or not self.shows_readiness or detect.is_ready(self.profile, seen, screen)
            status = detect.detect(self.profile, seen, screen, was_ready=self.was_ready).text
        if status != self.status:
            self.status = status
            self.endpoint.presence(status)
            self._work.set()

    # -- messages ------------------------------------------------------------------------------------------------

    def on_message(self, sender: Json, message: Json) -> None:
        """Queue a message for delivery; one that was typed before is only confirmed again."""
        message_id = message["id"]
        if self._key(message_id) in self._log.done:
            self.endpoint.receipt(message_id, "injected", "delivered before")
            return
        self.endpoint.receipt(message_id, "receiver_received")
        if message_id not in self._parcels:
            self._parcels[message_id] = _parcel(sender, message)
            self._work.set()

    def on_withdrawn(self, message_id: str) -> None:
        """Forget a message that is not to be delivered any more, unless it is being typed right now.

        One that was left in the composer stays there, for the person to see: no Enter follows.
        """
        self._parcels.pop(message_id, None)
        if message_id != self._being_typed:
            self._abandon(message_id)

    def _abandon(self, message_id: str) -> None:
        self._told.pop(message_id, None)
        self._left_typed.discard(message_id)
        if self._courier is not None:
            self._courier.forget(message_id)
        if self._key(message_id) in self._log.typing:
            self._note(message_id, "done")

    async def _deliver_for_ever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._work.wait()
            except TimeoutError:
                pass
            self._work.clear()
            if self._courier is not None:
                try:
                    await self._deliver_waiting(self._courier)
                except OSError as error:
                    # The typing log cannot be written: nothing was typed, and the next sweep tries again.
                    log.warning("%s: a delivery is put off: %s", self.state.name, error)

    async def _deliver_waiting(self, courier: Courier) -> None:
        """Offer what waits, in order; stop at the first that is held, so that order is kept."""
        waiting = list(self._parcels.values())
        for index, parcel in enumerate(waiting):
            if parcel.message_id not in self._parcels:
                continue
            reason = await self._deliver(courier, parcel)
            if reason and self.profile.route != "inbox":
                for later in waiting[index + 1 :]:
                    self._tell_once(later.message_id, f"behind another message: {reason}")
                return

    async def _deliver(self, courier: Courier, parcel: Parcel) -> str:
        """Deliver one message and tell its sender what became of it; return why it still waits, "" when it does not."""
        message_id = parcel.message_id
        outcome = await self._offer(courier, parcel)
        if outcome.kind not in ("held", "typed-not-submitted"):
            self._finish(message_id, outcome.kind, outcome.reason)
            return ""
        is_typed = outcome.kind == "typed-not-submitted"
        if not is_typed and self._key(message_id) in self._log.typing:
            self._note(message_id, "untyped")
        if message_id not in self._parcels:
            self._abandon(message_id)
            return ""
        if is_typed:
            self._left_typed.add(message_id)
        reason = f"typed, not submitted: {outcome.reason}" if is_typed else outcome.reason
        self._tell_once(message_id, reason)
        return reason

    async def _offer(self, courier: Courier, parcel: Parcel) -> Outcome:
        """Type a message, or go on with one that was typed before."""
        if parcel.message_id in self._left_typed:
            return await courier.resume(parcel)
        if self._key(parcel.message_id) in self._log.typing:
            return await courier.recover(parcel)
        self._being_typed = parcel.message_id
        try:
            return await courier.deliver(parcel)
        finally:
            self._being_typed = None

    def _tell_once(self, message_id: str, reason: str) -> None:
        if message_id in self._parcels and self._told.get(message_id) != reason:
            self._told[message_id] = reason
            self.endpoint.receipt(message_id, "queued", reason)

    def _finish(self, message_id: str, kind: str, reason: str) -> None:
        self._note(message_id, "done")
        self._parcels.pop(message_id, None)
        self._left_typed.discard(message_id)
        self._told.pop(message_id, None)
        if kind == "unknown":
            self.endpoint.receipt(message_id, "acknowledged", f"outcome unknown: {reason}")
        else:
            self.endpoint.receipt(message_id, "injected", kind)

    async def _journal(self, message_id: str, step: str) -> None:
        self._note(message_id, step)

    def _note(self, message_id: str, step: str) -> None:
        self._log.note(self._key(message_id), step)

    def _key(self, message_id: str) -> tuple[str, str]:
        return self.state.session_id, message_id


def _parcel(sender: Json, message: Json) -> Parcel:
    content = message["content"]
    reply_to = message.get("replyTo")
    return Parcel(
        message_id=message["id"],
        sender=sender.get("name") or sender["id"],
        kind="reply" if reply_to else "ask" if message.get("expectsReply") else "message",
        text=content["text"],
        attachments=tuple(_attachment(item) for item in content.get("attachments", [])),
        reply_to=reply_to,
    )


def _attachment(item: Json) -> str:
    return f"\nAttachment: {item['name']}\n~~~{item.get('language', '')}\n{item['content']}\n~~~"
