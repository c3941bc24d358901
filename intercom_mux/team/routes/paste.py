"""The paste route: carries messages into one surface by typing, as the last resort.

Rules, in the order in which they bind:

1. Nothing is typed unless the agent is known idle with an empty composer, on two looks in a row. Starting, busy,
   blocked on a dialog, unknown, a person's draft, a person scrolling: the message is held and nothing is sent. In a
   dialog a paste is lost and Enter approves.
2. The journal hears `typing` before the paste, and a paste is never repeated: after a crash the screen is searched for
   the message, and what is not found there is `unknown`.
3. Enter follows only when the message is seen alone in the composer and the agent is still idle. A dialog that opened
   in between, or words that a person typed in between, leave it unsubmitted. Where the composer shows less than the
   whole message (a marker, `(+N lines)`), words typed after it cannot be told, and only words before it are.
4. A message gets two Enters in its life at this route, the second to rescue one without effect, each only while it
   is seen in the composer of an idle agent; one that a dialog or copy mode prevented is not spent. Afterwards it is
   only reported, until somebody else submits or removes it. Never Escape, never a letter, nothing but one bracketed
   paste and Enter.
5. One delivery at a time per surface; there must be one such route per surface.

What cannot be closed from outside is the instant between the last look and the key.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from intercom_mux.agents import detect
from intercom_mux.errors import MultiplexerError
from intercom_mux.team.routes.base import Outcome, Route
from intercom_mux.team.routes.wording import compose, short_id
from intercom_mux.team.terminal import with_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.agents.profile import Profile
    from intercom_mux.team.routes.base import Parcel, Target

STEADY_S = 0.15
"""Time between the two looks that must both find the agent idle."""
POLL_S = 0.05
ENTERS = 2
"""How many Enters a message may have."""
HISTORY_LINES = 5000
"""How far above the screen `recover` searches."""

PROVED = Outcome("submitted", "the agent named it")

_REFUSED = ("E_SURFACE_BUSY", "E_SURFACE_GONE")
"""Errors of a paste after which nothing can have been typed."""

_OURS = detect.squash("[intercom] from")


class PasteRoute(Route):
    """Types messages into one surface, one at a time. Errors of the multiplexer become outcomes."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._mux = target.mux
        self._surface = target.surface
        self._profile = target.profile
        self._lock = asyncio.Lock()
        self._has_settled = False
        self._rests_until = 0.0
        self._enters_left: dict[str, int] = {}
        self._proved: set[str] = set()

    async def deliver(self, parcel: Parcel) -> Outcome:
        """Type `parcel` and submit it, or hold it; waits its turn."""
        async with self._lock:
            try:
                hold = await self._hold()
            except MultiplexerError as error:
                return Outcome("held", error.message)
            if hold:
                return Outcome("held", hold)
            self._target.journal(parcel.message_id)
            try:
                await asyncio.to_thread(self._mux.paste, self._surface, compose(self._profile, parcel))
            except MultiplexerError as error:
                return Outcome("held" if error.code in _REFUSED else "unknown", error.message)
            await asyncio.sleep(self._profile.paste.settle_ms / 1000)
            return await self._submit(_Trace(self._profile, parcel))

    async def resume(self, parcel: Parcel) -> Outcome:
        """Press Enter for a parcel that was left in the composer, if it still stands alone there and has Enters left.

        Whether it was lost is decided only once a composer is seen.
        """
        async with self._lock:
            return await self._submit(_Trace(self._profile, parcel, is_marker_enough=False))

    async def recover(self, parcel: Parcel) -> Outcome:
        """Tell the fate of a parcel journaled as `typing` before a crash, mostly from the screen; sends nothing."""
        if parcel.message_id in self._proved:
            return PROVED
        trace = _Trace(self._profile, parcel, is_marker_enough=False)
        async with self._lock:
            try:
                look = await self._look(HISTORY_LINES)
            except MultiplexerError as error:
                return Outcome("unknown", error.message)
        if look.status.state == "exited":
            return Outcome("unknown", look.status.text)
        if trace.is_in(look.composer):
            return Outcome("typed-not-submitted", look.status.text)
        if trace.is_above(look):
            return Outcome("submitted", "its id is on the screen")
        if look.composer.kind == "absent":
            return Outcome("typed-not-submitted", look.status.text)
        return Outcome("unknown", "its id is not on the screen")

    def forget(self, message_id: str) -> None:
        """Press no more Enter for a parcel that stands in the composer, not even from a `resume` that is under way."""
        self._enters_left.pop(message_id, None)
        self._proved.discard(message_id)

    def prove(self, message_id: str) -> None:
        """Hear that the agent has the message, which then needs no Enter."""
        self._proved.add(message_id)

    async def _hold(self) -> str | None:
        """Return why nothing may be typed now; None when two looks found the agent idle and its composer empty."""
        await asyncio.sleep(self._rests_until - asyncio.get_running_loop().time())
        reason = (await self._look()).hold
        if reason:
            return reason
        await asyncio.sleep(STEADY_S if self._has_settled else max(STEADY_S, self._profile.ready_settle_ms / 1000))
        self._has_settled = True
        return (await self._look()).hold

    async def _submit(self, trace: _Trace) -> Outcome:
        """Press Enter for what stands in the composer; what comes of it is final unless it still stands there."""
        self._enters_left.setdefault(trace.message_id, ENTERS)
        try:
            outcome = await self._press_enter(trace)
        except MultiplexerError as error:
            outcome = Outcome("unknown" if error.code == "E_SURFACE_GONE" else "typed-not-submitted", error.message)
        if outcome.kind != "typed-not-submitted":
            self.forget(trace.message_id)
        return outcome

    async def _press_enter(self, trace: _Trace) -> Outcome:
        """Press Enter once the message is seen in the composer of an idle agent, and again if that did nothing."""
        look = await self._watch(lambda look: look.is_final or trace.may_submit(look) or self._is_proved(trace))
        if self._is_proved(trace):
            return PROVED
        while trace.may_submit(look) and self._enters_left.get(trace.message_id, 0):
            self._enters_left[trace.message_id] -= 1
            await asyncio.to_thread(self._mux.press_enter, self._surface)
            look = await self._watch(lambda look: self._fate(trace, look) is not None)
            fate = self._fate(trace, look)
            if fate:
                self._rests_until = asyncio.get_running_loop().time() + self._profile.paste.pause_ms / 1000
                return fate
        return Outcome("typed-not-submitted", "Enter had no effect") if trace.may_submit(look) else trace.refusal(look)

    def _fate(self, trace: _Trace, look: _Look) -> Outcome | None:
        return PROVED if self._is_proved(trace) else trace.fate(look)

    def _is_proved(self, trace: _Trace) -> bool:
        return trace.message_id in self._proved

    async def _watch(self, is_enough: Callable[[_Look], bool]) -> _Look:
        """Look until `is_enough`, at most `verify_ms`; return the last look."""
        deadline = asyncio.get_running_loop().time() + self._profile.paste.verify_ms / 1000
        while True:
            look = await self._look()
            if is_enough(look) or asyncio.get_running_loop().time() >= deadline:
                return look
            await asyncio.sleep(POLL_S)

    async def _look(self, history: int = 0) -> _Look:
        """Read the state, then the screen: a dialog shows on the screen before it shows in a title.

        A dialog hides the composer, and what then looks like one is an earlier message. The agent's own report comes
        last, for it is the freshest.
        """
        look = await asyncio.to_thread(self._read, history)
        return replace(look, reported=self._target.reported())

    def _read(self, history: int) -> _Look:
        states = self._mux.states()
        state = states.get(self._surface) if states is not None else None
        if state is None:
            raise MultiplexerError(f"surface {self._surface} is gone", code="E_SURFACE_GONE", surface=self._surface)
        state = with_terminal(self._profile, state)
        screen = self._mux.capture(self._surface)
        text = self._mux.capture(self._surface, history) if history else screen
        status = detect.detect(self._profile, state, screen)
        has_composer = status.state not in ("blocked", "exited")
        composer = detect.composer(self._profile, screen) if has_composer else detect.Composer("absent")
        return _Look(status, composer, text, state.is_in_mode)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the surface; `text` is the screen, with history when asked for."""

    status: detect.Status
    composer: detect.Composer
    text: str
    is_in_mode: bool
    reported: str | None = None

    @property
    def is_idle(self) -> bool:
        """The screen says idle, and the agent has not reported otherwise."""
        return self.status.state == "idle" and self.reported in (None, "idle")

    @property
    def hold(self) -> str | None:
        """Why nothing may be typed; None when it may."""
        if self.is_in_mode:
            return "copy mode"
        if not self.is_idle:
            return self.status.text if self.status.state != "idle" else self.reported
        return {"empty": None, "draft": "draft", "absent": "no composer"}[self.composer.kind]

    @property
    def is_final(self) -> bool:
        """Waiting longer would not make Enter allowed."""
        return self.status.state in ("blocked", "exited")


class _Trace:
    """Where one parcel is to be seen. Compared without blanks and frames, so wherever a line was wrapped."""

    def __init__(self, profile: Profile, parcel: Parcel, *, is_marker_enough: bool = True) -> None:
        self.message_id = parcel.message_id
        self._whole = detect.squash(compose(profile, parcel))
        self._marker = profile.paste.marker if is_marker_enough else None
        self._queued = profile.paste.queued
        self._needle = detect.squash(f"{parcel.kind} {short_id(parcel.message_id)}")

    def is_in(self, composer: detect.Composer) -> bool:
        """The message, or the marker that stands for a long paste, is in the composer."""
        return self._needle in detect.squash(composer.text) or self._is_marker(composer)

    def may_submit(self, look: _Look) -> bool:
        """Enter would submit the message and nothing else."""
        return look.is_idle and not look.is_in_mode and self._is_alone_in(look.composer)

    def refusal(self, look: _Look) -> Outcome:
        """What has become of the message without an Enter; only for a look that `may_submit` refused."""
        if look.status.state == "exited":
            return Outcome("unknown", look.status.text)
        if look.composer.kind == "absent":
            return Outcome("typed-not-submitted", look.hold or "no composer")
        if self.is_above(look):
            return Outcome("submitted", "its id is on the screen")
        if not self.is_in(look.composer):
            return Outcome("unknown", f"it is not seen in the composer; the agent is {look.status.text}")
        return Outcome("typed-not-submitted", look.hold or "draft")

    def is_above(self, look: _Look) -> bool:
        """The message is on the screen, outside the composer."""
        return not self.is_in(look.composer) and self._needle in detect.squash(look.text)

    def fate(self, look: _Look) -> Outcome | None:
        """What an Enter has done, None while that cannot be told."""
        if self.is_in(look.composer):
            return None
        if self._queued and self._queued.search(look.text):
            return Outcome("queued")
        if look.status.state == "exited":
            return Outcome("unknown", look.status.text)
        is_taken = look.status.state in ("thinking", "tool") or look.composer.kind == "empty" or self.is_above(look)
        return Outcome("submitted") if is_taken else None

    def _is_alone_in(self, composer: detect.Composer) -> bool:
        """No words of a person stand before the message nor, if all of it is shown, anywhere else."""
        draft = detect.squash(composer.text)
        if self._whole in draft:
            return draft == self._whole
        return (draft.startswith(_OURS) and self._needle in draft) or self._is_marker(composer)

    def _is_marker(self, composer: detect.Composer) -> bool:
        return self._marker is not None and self._marker.fullmatch(detect.one_line(composer.text)) is not None
