"""A stand-in for the stock broker, run as a program: v1 in memory, in pi's runtime directory, nothing of ours.

It behaves at start and end as the stock one does: refuses while `broker.pid` names a live process, replaces any socket
without looking, cleans up on SIGTERM. A second argument is how long it takes to start, in seconds, as node does.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

from intercom_mux.wire.frames import encode

Json = dict[str, Any]


class StockBroker:
    """health, register, list, send; everything else is ignored."""

    def __init__(self) -> None:
        self._sessions: dict[str, tuple[Json, asyncio.StreamWriter]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = ""
        try:
            while True:
                size = struct.unpack(">I", await reader.readexactly(4))[0]
                frame = json.loads(await reader.readexactly(size))
                me = self._answer(me, frame, writer)
        except (OSError, asyncio.IncompleteReadError):
            self._sessions.pop(me, None)
            writer.close()

    def _answer(self, me: str, frame: Json, writer: asyncio.StreamWriter) -> str:
        request = frame.get("requestId")
        if frame["type"] == "health":
            writer.write(encode({"type": "health_ok", "requestId": request, "protocol": "pi-intercom", "version": 1}))
        elif frame["type"] == "register":
            me = frame["sessionId"]
            self._sessions[me] = ({**frame["session"], "id": me}, writer)
            writer.write(encode({"type": "registered", "sessionId": me, "features": []}))
        elif frame["type"] == "list":
            roster = [info for info, _ in self._sessions.values()]
            writer.write(encode({"type": "sessions", "requestId": request, "sessions": roster}))
        elif frame["type"] == "send":
            message = frame["message"]
            receiver = next(w for info, w in self._sessions.values() if frame["to"] in (info["id"], info["name"]))
            receiver.write(encode({"type": "message", "from": self._sessions[me][0], "message": message}))
            answer = {"type": "delivered", "messageId": message["id"], "delivery": "socket_delivered"}
            writer.write(encode(answer))
        return me


async def main(runtime: Path) -> None:
    """Serve until SIGTERM."""
    pid_file, path = runtime / "broker.pid", runtime / "broker.sock"
    if pid_file.exists() and Path(f"/proc/{pid_file.read_text()}").exists():
        sys.exit(f"Refusing to replace live intercom broker process {pid_file.read_text()}")
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(StockBroker().serve, path)
    path.chmod(0o600)
    pid_file.write_text(str(os.getpid()))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(f"Intercom broker started (pid: {os.getpid()})", flush=True)
    await stopped.wait()
    server.close()
    path.unlink(missing_ok=True)
    pid_file.unlink(missing_ok=True)
    os._exit(0)


if __name__ == "__main__":
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0)
    asyncio.run(main(Path(sys.argv[1])))
