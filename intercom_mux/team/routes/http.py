"""The HTTP route: messages go to the agent's own server, which also tells its status and its last words.

Nothing is submitted unless server and screen both say idle: a prompt queued behind a dialog would ride along with
whatever a person says next. A person's draft in the composer is not touched. A server that does not answer leaves the
message to the next route; one that answers badly can cost no more than a call's limits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from intercom_mux.agents import detect
from intercom_mux.errors import MultiplexerError
from intercom_mux.team.routes.base import Outcome, Route
from intercom_mux.team.routes.opencode import OpencodeServer, ServerError
from intercom_mux.team.routes.wording import compose, one_word, short_id
from intercom_mux.team.terminal import with_terminal

if TYPE_CHECKING:
    from intercom_mux.team.routes.base import Parcel, Target

LOOK_S = 1.0
"""How often the server is asked what the agent does."""
IDLE_LOOKS = 15
"""After so many looks at an idle server a turn without an end is given up."""
log = logging.getLogger("intercom_mux.team")


class HttpRoute(Route):
    """Submits messages to the server on the peer's port, and follows what it tells until `close`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._server: OpencodeServer | None = None
        self._watch: asyncio.Task[None] | None = None
        self._has_turn = False
        self._expected = ""
        self._idle_looks = 0
        if target.peer.port is not None:
            self._server = OpencodeServer(target.peer.port, target.peer.secret, target.peer.cwd)
            self._watch = asyncio.create_task(self._follow(self._server))

    async def deliver(self, parcel: Parcel) -> Outcome | None:
        """Submit it when the agent is idle; None when the server does not answer."""
        if self._server is None:
            return None
        try:
            status = await asyncio.to_thread(self._server.status)
            hold = status if status != "idle" else await asyncio.to_thread(self._screen_hold)
            if hold or self._has_turn:
                return Outcome("held", hold or "thinking")
            session = await asyncio.to_thread(self._session_or_new, self._server)
        except ServerError:
            return None
        except MultiplexerError as error:
            return Outcome("held", error.message)
        return await self._submit(self._server, session, parcel)

    async def recover(self, parcel: Parcel) -> Outcome | None:
        """Look for the message among the session's prompts; None when they do not tell."""
        if self._server is None:
            return None
        try:
            session = await asyncio.to_thread(self._session, self._server)
            if session is None:
                return None
            is_there = await asyncio.to_thread(self._server.has_prompt, session, _needle(parcel))
        except ServerError:
            return None
        return Outcome("submitted", "it is among the agent's messages") if is_there else None

    def close(self) -> None:
        """Stop asking the server."""
        if self._watch is not None:
            self._watch.cancel()

    async def _submit(self, server: OpencodeServer, session: str, parcel: Parcel) -> Outcome:
        self._target.journal(parcel.message_id)
        try:
            await asyncio.to_thread(server.submit, session, compose(self._target.profile, parcel))
        except ServerError as error:
            if error.is_refusal:
                return Outcome("held", str(error))
            return await self.recover(parcel) or Outcome("unknown", str(error))
        self._has_turn, self._expected, self._idle_looks = True, _needle(parcel), 0
        self._target.report("thinking")
        return Outcome("submitted")

    def _session(self, server: OpencodeServer) -> str | None:
        return server.session(self._target.peer.started or 0)

    def _session_or_new(self, server: OpencodeServer) -> str:
        return self._session(server) or server.open_session()

    def _screen_hold(self) -> str | None:
        """Why the screen forbids it: a dialog that the server does not know of, or a screen that is not there yet."""
        mux, surface, profile = self._target.mux, self._target.surface, self._target.profile
        state = (mux.states() or {}).get(surface)
        if state is None:
            raise MultiplexerError(f"surface {surface} is gone", code="E_SURFACE_GONE", surface=surface)
        status = detect.detect(profile, with_terminal(profile, state), mux.capture(surface))
        return None if status.state == "idle" else status.text

    # -- status and turns ----------------------------------------------------------------------------------------

    async def _follow(self, server: OpencodeServer) -> None:
        while True:
            try:
                await self._look(server)
            except ServerError as error:
                log.debug("%s: %s", self._target.peer.name, error)
            await asyncio.sleep(LOOK_S)

    async def _look(self, server: OpencodeServer) -> None:
        """Report what the agent does, and the end of a turn with its last words."""
        status = await asyncio.to_thread(self._status, server)
        if status != "idle":
            self._has_turn, self._idle_looks = True, 0
        elif self._has_turn:
            await self._end_turn(server)
        if status != self._target.reported() and not (status == "idle" and self._has_turn):
            self._target.report(status)

    def _status(self, server: OpencodeServer) -> str:
        """Return what the server says that it does, with the name of the tool that runs."""
        status = server.status()
        session = self._session(server) if status == "thinking" else None
        tool = server.running_tool(session) if session else None
        return f"tool:{one_word(tool)}" if tool else status

    async def _end_turn(self, server: OpencodeServer) -> None:
        """Tell the last words of a turn that is over; one that was just submitted may not have begun."""
        session = await asyncio.to_thread(self._session, server)
        turn = await asyncio.to_thread(server.last_turn, session) if session else None
        if turn is not None and turn.is_over and self._expected in turn.prompt:
            self._has_turn, self._expected = False, ""
            self._target.ended(turn.prompt, turn.words)
            return
        self._idle_looks += 1
        if self._idle_looks >= IDLE_LOOKS:
            self._has_turn, self._expected = False, ""


def _needle(parcel: Parcel) -> str:
    return f"· {parcel.kind} {short_id(parcel.message_id)}"
