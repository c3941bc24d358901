"""A long-lived asyncio connection that is the endpoint of one session and stays up: what the team daemon talks through.

It reconnects by itself, starting a lost broker at once, and registers with the latest status. What was in flight comes
again under its old id (docs/protocol.md, "Delivery"): the receiver tells duplicates by id.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from intercom_mux.broker import lifecycle
from intercom_mux.errors import BrokerError, IntercomError, ProtocolError
from intercom_mux.wire.frames import MAX_FRAME_BYTES, decode, encode

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Registration:
    """Whom an endpoint is: `team` is {id, name, dir}; `token` is what handles of the session must show."""

    session_id: str
    name: str
    role: str
    cwd: str
    model: str
    pid: int
    team: Json
    token: str
    scope: str = ""


class Receiver(Protocol):
    """Whoever the endpoint delivers to; called on the event loop, must not block."""

    def on_message(self, sender: Json, message: Json) -> None:
        """A message arrived, perhaps not for the first time."""

    def on_withdrawn(self, message_id: str) -> None:
        """The sender took a message back, or its session has read it elsewhere: do not deliver it any more."""


class Endpoint:
    """One session's connection. `run` until cancelled or `close`; everything else may be called at any time."""

    def __init__(self, socket: Path, registration: Registration, receiver: Receiver) -> None:
        self._socket = socket
        self._registration = registration
        self._receiver = receiver
        self._writer: asyncio.StreamWriter | None = None
        self._status = "starting"
        self._started_at = time.time_ns() // 1_000_000
        self._is_closed = False
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Keep the connection up.

        Raises:
            BrokerError: The broker refuses this registration; trying again would not help.
        """
        attempt = 0
        while not self._is_closed:
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(self._socket), limit=MAX_FRAME_BYTES)
                await self._register(reader)
                attempt = 0
                await self._read(reader)
            except (OSError, asyncio.IncompleteReadError, ProtocolError):
                pass
            finally:
                self._hang_up()
            if not self._is_closed:
                await self._restart_broker()
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1

    async def _restart_broker(self) -> None:
        try:
            await asyncio.to_thread(lifecycle.ensure_running)
        except IntercomError:
            return

    async def _register(self, reader: asyncio.StreamReader) -> None:
        me = self._registration
        now = time.time_ns() // 1_000_000
        session = {
            "name": me.name,
            "cwd": me.cwd,
            "model": me.model,
            "pid": me.pid,
            "startedAt": self._started_at,
            "lastActivity": now,
            "status": self._status,
        }
        mux = {"version": 1, "team": me.team, "role": me.role, "token": me.token, "events": False}
        frame: Json = {"type": "register", "sessionId": me.session_id, "session": session, "mux": mux}
        if me.scope:
            frame["scopeId"] = me.scope
        self._post(frame)
        answer = await read_frame(reader)
        if answer["type"] != "registered":
            self._is_closed = True
            raise BrokerError(f"the broker refused {me.name}: {answer.get('error')}", code="E_REFUSED", peer=me.name)
        self.connected.set()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            frame = await read_frame(reader)
            kind = frame["type"]
            if kind == "message":
                self._receiver.on_message(frame["from"], frame["message"])
            elif kind == "message_control":
                self._receiver.on_withdrawn(frame["control"]["messageId"])
            elif kind == "mux_event" and frame["event"] == "taken":
                self._receiver.on_withdrawn(frame["messageId"])

    def presence(self, status: str) -> None:
        """Tell the session's status; remembered for the next registration."""
        self._status = status
        self._post({"type": "presence", "status": status})

    def receipt(self, message_id: str, status: str, detail: str | None = None) -> None:
        """Tell what became of a message; lost with the connection, and then the message comes again."""
        receipt: Json = {"messageId": message_id, "status": status, "timestamp": time.time_ns() // 1_000_000}
        if detail:
            receipt["detail"] = detail
        self._post({"type": "message_receipt", "receipt": receipt})

    def close(self) -> None:
        """Hang up for good; the broker keeps the session's mail until it is retired."""
        self._is_closed = True
        self._hang_up()

    def _post(self, frame: Json) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(frame))

    def _hang_up(self) -> None:
        self.connected.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def read_frame(reader: asyncio.StreamReader) -> Json:
    """Return the next frame.

    Raises:
        ProtocolError: It is too large, or not valid.
        asyncio.IncompleteReadError: The other side hung up.
    """
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > MAX_FRAME_BYTES:
        raise ProtocolError(f"frame of {size} bytes is larger than {MAX_FRAME_BYTES}")
    return decode(await reader.readexactly(size))
