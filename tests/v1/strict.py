"""What a v1 client checks of every frame before it believes it.

Written from the protocol's description alone: nothing of the package is used, so that a mistake cannot be made twice.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

MAX_FRAME = 1_048_576

RECEIPTS = {
    "receiver_received",
    "queued",
    "injected",
    "acknowledged",
    "expired",
    "cancelled",
    "superseded",
    "cancellation_requested",
}


class ProtocolFailure(Exception):
    """The broker sent what kills a v1 client: "Intercom protocol error"."""


def text(value: object) -> bool:
    return isinstance(value, str)


def number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def flag(value: object) -> bool:
    return isinstance(value, bool)


def one_of(*allowed: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in allowed


def list_of(check: Callable[[Any], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def shape(required: dict[str, Any], optional: dict[str, Any]) -> Callable[[object], bool]:
    """Return a check for an object; an optional key is absent or right, and null is never right."""

    def check(value: object) -> bool:
        if not isinstance(value, dict):
            return False
        needed = all(key in value and is_right(value[key]) for key, is_right in required.items())
        return needed and all(key not in value or is_right(value[key]) for key, is_right in optional.items())

    return check


SESSION = shape(
    {"id": text, "cwd": text, "model": text, "pid": number, "startedAt": number, "lastActivity": number},
    {
        "endpointEpoch": text,
        "name": text,
        "runtimeFallbackAlias": flag,
        "status": text,
        "peerUid": number,
        "trustedLocal": flag,
        "contextPct": number,
        "contextTokens": number,
        "contextWindow": number,
        "tmuxPane": text,
    },
)
ATTACHMENT = shape(
    {"type": one_of("file", "snippet", "context"), "name": text, "content": text},
    {"language": text},
)
CONTENT = shape({"text": text}, {"attachments": list_of(ATTACHMENT)})
STAMPS = ("senderSequence", "brokerReceivedAt", "brokerDeliveredAt", "receiverReceivedAt", "injectedAt")
MESSAGE = shape(
    {"id": text, "timestamp": number, "content": CONTENT},
    {"supersedes": text, "retryOf": text, "replyTo": text, "expectsReply": flag, **dict.fromkeys(STAMPS, number)},
)
RECEIPT = shape({"messageId": text, "status": one_of(*RECEIPTS), "timestamp": number}, {"detail": text})
CONTROL = shape(
    {"messageId": text, "action": one_of("cancel", "supersede"), "timestamp": number},
    {"supersededBy": text, "detail": text},
)
OUTCOME = {"retryable": flag, "outcomeKnown": flag, "code": text}

FRAMES = {
    "registered": shape({"sessionId": text}, {"features": list_of(text)}),
    "sessions": shape({"requestId": text, "sessions": list_of(SESSION)}, {}),
    "message": shape({"from": SESSION, "message": MESSAGE}, {}),
    "delivered": shape({"messageId": text}, {"delivery": one_of("socket_delivered", "queued"), **OUTCOME}),
    "delivery_failed": shape({"messageId": text, "reason": text}, {"delivery": one_of("failed", "unknown"), **OUTCOME}),
    "message_receipt": shape({"from": SESSION, "receipt": RECEIPT}, {}),
    "message_control": shape({"from": SESSION, "control": CONTROL}, {}),
    "session_joined": shape({"session": SESSION}, {}),
    "presence_update": shape({"session": SESSION}, {}),
    "session_left": shape({"sessionId": text}, {}),
    "error": shape({"error": text}, {}),
}
OLD_FRAMES = {kind: FRAMES[kind] for kind in FRAMES if kind not in ("message_receipt", "message_control")}
"""What a 0.6-era client knows; anything else kills it."""


def _no_constant(word: str) -> float:
    raise ProtocolFailure(f"{word} is not JSON")


class Wire:
    """One framed socket. `read` returns None at its end."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout_s)
        self._buffer = b""
        try:
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise

    def write(self, frame: Json) -> None:
        payload = json.dumps(frame, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        self.sock.sendall(struct.pack(">I", len(payload)) + payload)

    def read(self) -> Json | None:
        """Return the next frame as any JSON reader would see it; `strictly` is for the caller.

        Raises:
            ProtocolFailure: Too large, not JSON, or no object with a type.
        """
        head = self._take(4)
        if head is None:
            return None
        size = struct.unpack(">I", head)[0]
        if size > MAX_FRAME:
            raise ProtocolFailure(f"frame of {size} bytes")
        payload = self._take(size)
        if payload is None:
            return None
        try:
            frame = json.loads(payload.decode(errors="replace"), parse_constant=_no_constant)
        except ValueError as error:
            raise ProtocolFailure(f"not JSON: {payload[:80]!r}") from error
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise ProtocolFailure(f"no frame: {payload[:80]!r}")
        return frame

    def _take(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            data = self.sock.recv(65_536)
            if not data:
                return None
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def close(self) -> None:
        self.sock.close()


def strictly(frame: Json, known: dict[str, Callable[[object], bool]] = FRAMES) -> Json:
    """Return `frame` if a registered client would take it.

    Raises:
        ProtocolFailure: An unknown type, or a wrong, missing or null field.
    """
    check = known.get(frame["type"])
    if check is None:
        raise ProtocolFailure(f"unknown frame type: {frame}")
    if not check(frame):
        raise ProtocolFailure(f"malformed {frame['type']}: {frame}")
    return frame
