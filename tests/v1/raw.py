"""A bare v1 connection for tests that choose every frame themselves; what comes back is checked strictly."""

from __future__ import annotations

import time
from typing import Any, Self

from intercom_mux import paths
from tests.support import SCALE
from tests.v1.strict import FRAMES, Json, Wire, shape, strictly, text

KNOWN = FRAMES | {"health_ok": shape({"requestId": text, "protocol": text}, {})}

SESSION: Json = {"cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}


MISS = object()
"""Stands for a key that is left out."""


def without(fields: Json) -> Json:
    """Return `fields` without those that are `MISS`."""
    return {key: value for key, value in fields.items() if value is not MISS}


class Raw(Wire):
    """One socket to this test's broker. Use as a context manager."""

    def __init__(self) -> None:
        super().__init__(str(paths.broker_socket()), 10 * SCALE)
        self._requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def post(self, kind: str, **fields: Any) -> Self:
        self.write({"type": kind, **fields})
        return self

    def next(self) -> Json:
        """Return the next frame; the end of the connection is an error."""
        frame = self.read()
        if frame is None:
            raise ConnectionError("the broker hung up")
        return strictly(frame, KNOWN)

    def until(self, *kinds: str) -> Json:
        """Return the next frame of these types; others are dropped."""
        while (frame := self.next())["type"] not in kinds:
            pass
        return frame

    def seen(self) -> list[Json]:
        """Return all that was written to us before now: everything up to the answer to a `list` of ours."""
        self._requests += 1
        request_id = f"seen-{self._requests}"
        self.post("list", requestId=request_id)
        frames = []
        while (frame := self.next()).get("requestId") != request_id:
            frames.append(frame)
        return frames

    def is_ended(self) -> bool:
        """Return whether the broker hangs up without a further word."""
        try:
            return self.read() is None
        except ConnectionResetError:
            return True

    def register(self, name: str, session_id: str | None = None, **fields: Any) -> Self:
        """Register under `id-<name>` unless told otherwise."""
        session = {**SESSION, "name": name, **fields.pop("session", {})}
        self.post("register", session=session, sessionId=session_id or f"id-{name}", **fields)
        assert self.next()["type"] == "registered"
        return self

    def roster(self) -> list[Json]:
        rows: list[Json] = self.post("list", requestId="roster").until("sessions")["sessions"]
        return rows

    def send(self, to: str, message_id: str, words: str = "x", *, exact: Json | None = None, **keys: Any) -> Json:
        """Send and return the answer; what comes before it is dropped."""
        frame = {"to": to, "message": {"id": message_id, "timestamp": 1, "content": {"text": words}, **keys}}
        self.post("send", **frame, **(exact or {}))
        return self.until("delivered", "delivery_failed")

    def receipt(self, message_id: str, status: str = "acknowledged") -> Self:
        value = {"messageId": message_id, "status": status, "timestamp": time.time_ns() // 1_000_000}
        return self.post("message_receipt", receipt=value)
