"""The queue route: a command of the agent's own puts a message into the queue of the conversation that runs.

Used only for an idle agent whose composer holds a person's draft, over which nothing may be typed. Measured with codex
0.169: the queue is looked at every few seconds, the draft stays, and a busy codex takes the message after its turn; but
one queued before a dialog would ride along with what a person says next, and typing is faster where it is allowed.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import TYPE_CHECKING

import psutil

from intercom_mux.agents import detect
from intercom_mux.agents.profile import PLACEHOLDER
from intercom_mux.errors import MultiplexerError
from intercom_mux.team.routes.base import Outcome, Route
from intercom_mux.team.routes.wording import compose, short_id
from intercom_mux.team.terminal import with_terminal

if TYPE_CHECKING:
    from intercom_mux.team.routes.base import Parcel, Target

COMMAND_S = 10.0
SEEN_S = 15.0
"""How long a queued message may take to show on the screen."""
MESSAGE_MAX_BYTES = 100_000
"""Longest message that is passed on a command line; Linux allows 128 KiB per word."""


class QueueRoute(Route):
    """Runs the profile's queue command while a draft keeps the composer."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def deliver(self, parcel: Parcel) -> Outcome | None:
        """Queue it beside a draft; None in any other case, and as long as the conversation's id is not known."""
        rules, thread = self._target.profile.queue, self._target.thread()
        text = compose(self._target.profile, parcel)
        if rules is None or thread is None or len(text.encode("utf-8", "replace")) > MESSAGE_MAX_BYTES:
            return None
        if self._target.reported() not in (None, "idle"):
            return None
        try:
            if not await asyncio.to_thread(self._is_draft):
                return None
            env = psutil.Process(self._target.peer.pid).environ()
        except (MultiplexerError, psutil.Error):
            return None
        found = (shutil.which(name, path=env.get("PATH")) for name in self._target.profile.binaries)
        binary = next(filter(None, found), None)
        if binary is None:
            return None
        values = {"binary": binary, "thread": thread, "message": text}
        argv = [PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in rules.argv]
        self._target.journal(parcel.message_id)
        return await self._queue(argv, env, f"· {parcel.kind} {short_id(parcel.message_id)}")

    async def _queue(self, argv: list[str], env: dict[str, str], needle: str) -> Outcome:
        try:
            done = await asyncio.to_thread(_run, argv, env)
        except subprocess.TimeoutExpired:
            return Outcome("unknown", "the agent's queue command did not end")
        except OSError as error:
            return Outcome("held", f"draft; {error}")
        if done != 0:
            return Outcome("held", f"draft; the agent's queue command failed ({done})")
        deadline = asyncio.get_running_loop().time() + SEEN_S
        while asyncio.get_running_loop().time() < deadline:
            if await asyncio.to_thread(self._is_seen, needle):
                return Outcome("submitted")
            await asyncio.sleep(0.3)
        return Outcome("unknown", "it was queued and has not shown on the screen")

    def _is_draft(self) -> bool:
        mux, surface, profile = self._target.mux, self._target.surface, self._target.profile
        state = (mux.states() or {}).get(surface)
        if state is None or state.is_in_mode:
            return False
        state = with_terminal(profile, state)
        screen = mux.capture(surface)
        is_idle = detect.detect(profile, state, screen).state == "idle"
        return is_idle and detect.composer(profile, screen).kind == "draft"

    def _is_seen(self, needle: str) -> bool:
        try:
            return detect.squash(needle) in detect.squash(self._target.mux.capture(self._target.surface, 200))
        except MultiplexerError:
            return False


def _run(argv: list[str], env: dict[str, str]) -> int:
    """Run it in the agent's own environment, which says where the queue is, and return its exit status."""
    silent = subprocess.DEVNULL
    done = subprocess.run(argv, env=env, stdin=silent, stdout=silent, stderr=silent, timeout=COMMAND_S, check=False)
    return done.returncode
