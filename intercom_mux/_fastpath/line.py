"""The broker's wire by hand: JSON, frames, and one registered connection."""

from __future__ import annotations

import os
import time
from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner
from _socket import AF_UNIX, SOCK_STREAM, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Json = dict[str, Any]

ANSWER_TIMEOUT_S = 10.0
FRAME_MAX_BYTES = 1_000_000
"""A frame above this, a little below what the wire takes, is left to click to judge."""


class _Scanning:
    """What `_json.make_scanner` asks of a decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _refuse(value: object) -> object:
    raise TypeError(f"{value!r} has no JSON")


def _codec() -> tuple[Callable[[Json], bytes], Callable[[bytes], Json]]:
    """Return encode and decode of JSON, made of the C functions under `json`.

    Raises:
        ImportError: This Python has other ones.
    """
    try:
        scan = make_scanner(_Scanning)  # type: ignore[arg-type]  # typeshed names the scanner itself here
        raw = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)
        escaped = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, False)
        if "".join(raw(scan('["\\u00e9",1.5]', 0)[0], 0)) != '["\u00e9",1.5]':
            raise ImportError("_json works differently")
    except (TypeError, AttributeError) as error:
        raise ImportError(f"_json works differently: {error}") from error

    def encode(value: Json) -> bytes:
        try:
            return "".join(raw(value, 0)).encode()
        except UnicodeEncodeError:
            return "".join(escaped(value, 0)).encode()

    def decode(payload: bytes) -> Json:
        try:
            value: Json = scan(payload.decode("utf-8", "replace"), 0)[0]
        except StopIteration as error:
            raise ValueError("not JSON") from error
        return value

    return encode, decode


encode, decode = _codec()


def now_ms() -> int:
    """Return the wall clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Line:
    """A registered connection that acts as the session of an identity mapping.

    The registration goes out together with the first request; `answer` reads past what it does not want.
    """

    def __init__(self, me: Json) -> None:
        self.is_shell = me["token"] is None
        self.ask_wait_s = me["ask_wait_s"]
        self.team = me["team"]
        self.waiting = 0
        self._buffer = b""
        self._unsent = frame(registration(me))
        self._sock = socket(AF_UNIX, SOCK_STREAM)
        self._sock.settimeout(ANSWER_TIMEOUT_S)
        try:
            self._sock.connect(me["socket"])
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Hang up; an ask that still waits becomes a ticket."""
        self._sock.close()

    def post(self, value: Json) -> None:
        """Write one frame."""
        data, self._unsent = self._unsent + frame(value), b""
        self._sock.settimeout(ANSWER_TIMEOUT_S)
        self._sock.sendall(data)

    def request(self, operation: str, **fields: Any) -> Any:
        """Make one request and return its value.

        Raises:
            ValueError: It was refused.
        """
        self.post({"type": "mux", "requestId": operation, "op": operation, **fields})
        answer = self.answer("mux_result", "requestId", operation)
        if not answer["ok"]:
            raise ValueError("refused")
        return answer["value"]

    def answer(self, kind: str, key: str, value: str) -> Json:
        """Return the frame of this kind whose `key` is `value`.

        Raises:
            ValueError: The broker refuses.
            OSError: It is gone, or has not answered in time.
        """
        give_up_at = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            got = self.next(give_up_at)
            if got["type"] == kind and got.get(key) == value:
                return got
            if got["type"] in ("error", "delivery_failed"):
                raise ValueError("refused")

    def next(self, give_up_at: float) -> Json:
        """Return the next frame, whatever it is, after the registration was answered."""
        while True:
            buffer = self._buffer
            end = 4 + int.from_bytes(buffer[:4], "big")
            if len(buffer) >= end > 4:
                self._buffer = buffer[end:]
                got = decode(buffer[4:end])
                if got["type"] != "registered":
                    return got
                self.waiting = got.get("waiting", 0)
                continue
            left = give_up_at - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            self._sock.settimeout(left)
            data = self._sock.recv(65_536)
            if not data:
                raise ConnectionResetError("the broker hung up")
            self._buffer += data


def frame(value: Json) -> bytes:
    """Return the bytes of one frame, as `wire.frames.encode` does."""
    payload = encode(value)
    if len(payload) > FRAME_MAX_BYTES:
        raise ValueError("too large")
    return len(payload).to_bytes(4, "big") + payload


def registration(me: Json) -> Json:
    """Return the frame that makes a connection act as the session of an identity mapping."""
    now = now_ms()
    session = {"cwd": os.getcwd(), "model": "cli", "pid": os.getpid(), "startedAt": now, "lastActivity": now}
    if me["name"]:
        session["name"] = me["name"]
    mux: Json = {"version": 1, "as": me["session"]}
    if me["token"] is None:
        mux["shell"] = True
        mux["view"] = me["team"]
        session["pid"] = os.getsid(0)
    else:
        mux["token"] = me["token"]
    value: Json = {"type": "register", "session": session, "mux": mux}
    if me["scope"]:
        value["scopeId"] = me["scope"]
    return value
