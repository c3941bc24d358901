"""A long-lived asyncio connection that is the endpoint of one session and stays up: what the team daemon talks through.

It reconnects by itself, starting a lost broker at once, and registers with the latest status. What was in flight comes
again under its old id (docs/protocol.md, "Delivery"): the receiver tells duplicates by id.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.errors import BrokerError, IntercomError, ProtocolError
from intercom_mux.host import endpoint
from intercom_mux.host.address import is_tcp
from intercom_mux.wire.frames import MAX_FRAME_BYTES, decode, encode

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

_NATIVE_EVENTS = ("native_joined", "native_left", "presence")
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Registration(NamedTuple):
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


class NativeReceiver(Protocol):
    """Whoever watches the agent's own client, which may join under the endpoint's id and then gets the messages."""

    def on_native(self, event: Json) -> None:
        """The agent's own client joined, left, or told how it is; see docs/protocol.md, "Native peers"."""

    def keeps(self) -> list[str]:
        """Return which messages the endpoint, which registers now, goes on delivering all the same."""


class Endpoint:
    """One session's connection. `run` until cancelled or `close`; everything else may be called at any time.

    `socket` is a Unix socket, or the endpoint file of a broker that listens on TCP; such a one is not started here.
    With `native` it keeps the session for the agent's own client, and gets messages only when it asks by `courier`.
    """

    def __init__(
        self, socket: Path, registration: Registration, receiver: Receiver, native: NativeReceiver | None = None
    ) -> None:
        self._socket = socket
        self._registration = registration
        self._receiver = receiver
        self._native = native
        self._writer: asyncio.StreamWriter | None = None
        self._status = "starting"
        self._started_at = self._status_since = time.time_ns() // 1_000_000
        self._is_closed = False
        self._requests: dict[str, asyncio.Future[Json]] = {}
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Keep the connection up.

        Raises:
            BrokerError: The broker refuses this registration, or its endpoint file is refused; trying again would not
                help.
        """
        attempt = 0
        while not self._is_closed:
            try:
                reader, keys = await self._dial()
                await self._register(reader, keys)
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

    async def _dial(self) -> tuple[asyncio.StreamReader, Json]:
        """Connect; return what comes in, and the keys that the registration needs there."""
        reader, self._writer, keys = await dial(self._socket)
        return reader, keys

    async def _restart_broker(self) -> None:
        if is_tcp(self._socket) and self._socket != paths.broker_socket():
            return
        try:
            await asyncio.to_thread(lifecycle.ensure_running)
        except IntercomError:
            return

    async def _register(self, reader: asyncio.StreamReader, keys: Json) -> None:
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
        mux: Json = {"version": 1, "team": me.team, "role": me.role, "token": me.token, "events": False}
        mux["statusSince"] = self._status_since
        if self._native is not None:
            mux |= {"native": True, "keeps": self._native.keeps()}
        frame: Json = {"type": "register", "sessionId": me.session_id, "session": session, "mux": mux, **keys}
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
            elif kind == "mux_result":
                self._take_result(frame)
            elif kind == "mux_event" and frame["event"] == "taken":
                self._receiver.on_withdrawn(frame["messageId"])
            elif kind == "mux_event" and self._native is not None and frame["event"] in _NATIVE_EVENTS:
                self._native.on_native(frame)

    def _take_result(self, frame: Json) -> None:
        waiting = self._requests.pop(frame["requestId"], None)
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)

    async def request(self, op: str, **fields: Any) -> Any:
        """Make one request of docs/protocol.md, "Additions", and return its value; a lost connection is waited for.

        It may then be made twice.

        Raises:
            BrokerError: It is refused; `code` says why.
        """
        while True:
            await self.connected.wait()
            request_id = os.urandom(8).hex()
            answer = self._requests[request_id] = asyncio.get_running_loop().create_future()
            self._post({"type": "mux", "requestId": request_id, "op": op, **fields})
            try:
                result = await answer
            except ConnectionResetError:
                continue
            if not result["ok"]:
                raise BrokerError(result["error"]["message"], code=result["error"]["code"])
            return result["value"]

    def presence(self, status: str) -> None:
        """Tell the session's status; remembered for the next registration."""
        if status != self._status:
            self._status, self._status_since = status, time.time_ns() // 1_000_000
        self._post({"type": "presence", "status": status})

    def courier(self, fields: Json) -> None:
        """Say, as a native peer's keeper, whether messages are wanted and which are kept; lost with the connection."""
        self._post({"type": "mux", "requestId": os.urandom(8).hex(), "op": "courier", **fields})

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
        for waiting in self._requests.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the broker hung up"))
        self._requests.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def dial(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Json]:
    """Connect by socket or endpoint file; return both ways and the keys that a registration needs there.

    Raises:
        OSError: It cannot be reached.
        BrokerError: The endpoint file is refused.
    """
    if sys.platform != "win32" and not is_tcp(socket):
        return *await asyncio.open_unix_connection(str(socket), limit=MAX_FRAME_BYTES), {}
    at = endpoint.read(socket)
    return *await asyncio.open_connection(at.host, at.port, limit=MAX_FRAME_BYTES), {"stateId": at.secret}


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
