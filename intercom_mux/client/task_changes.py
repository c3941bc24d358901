"""The tasks of a team as they change, told by the broker's events to a connection that acts as one of its sessions."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from intercom_mux.client.aio import dial, read_frame
from intercom_mux.errors import BrokerError
from intercom_mux.wire.frames import encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

Json = dict[str, Any]


async def task_changes(socket: Path, session_id: str, token: str, scope: str = "") -> AsyncGenerator[list[Json], None]:
    """Yield all tasks that the session sees, then each that changes, as a list of one; close it by `aclosing`.

    Raises:
        BrokerError: The session is not registered, or the token is not its own.
        OSError, asyncio.IncompleteReadError, ProtocolError: The broker cannot be reached, or hung up.
    """
    reader, writer, keys = await dial(socket)
    try:
        now = time.time_ns() // 1_000_000
        session = {"cwd": "/", "model": "events", "pid": os.getpid(), "startedAt": now, "lastActivity": now}
        mux: Json = {"version": 1, "as": session_id, "token": token, "events": True}
        frame: Json = {"type": "register", "session": session, "mux": mux, **keys}
        if scope:
            frame["scopeId"] = scope
        writer.write(encode(frame))
        answer = await read_frame(reader)
        if answer["type"] != "registered":
            raise BrokerError(f"the broker tells no tasks: {answer.get('error')}", code="E_REFUSED")
        writer.write(encode({"type": "mux", "requestId": "tasks", "op": "tasks"}))
        while True:
            frame = await read_frame(reader)
            if frame["type"] == "mux_result" and frame["ok"]:
                yield frame["value"]["tasks"]
            elif frame["type"] == "mux_event" and frame["event"] == "task":
                yield [frame["task"]]
    finally:
        writer.close()
