"""Frames: a 4-byte big-endian length and that many bytes of UTF-8 JSON holding one object with a string `type`.

Pure. The rules are those of docs/protocol.md, "Framing"; both directions are bounded by `MAX_FRAME_BYTES`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FRAME_BYTES = 1_048_576
"""Largest payload in either direction; pi-intercom v1 readers drop the connection above it."""

MAX_NESTING = 64
"""Deepest nesting that the broker takes: what it passes on must be readable inside any frame, in any program."""

LENGTH = Struct(">I")
"""What stands before each payload."""

_FLOAT_MAX = 1.7976931348623157e308


def _finite(text: str) -> float:
    value = float(text)
    if not -_FLOAT_MAX <= value <= _FLOAT_MAX:
        raise ValueError(f"number out of range: {text[:32]}")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant)
_scan = _decoder.scan_once  # type: ignore[attr-defined]  # every JSONDecoder has it; typeshed leaves it out
_encode_ascii = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def _raw_encoder() -> Callable[[Any], str]:
    """Return the compact encoder; CPython's own is made once here, where `JSONEncoder` makes one for every value."""
    make, escape = getattr(json.encoder, "c_make_encoder", None), json.encoder.encode_basestring
    if make is None:
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    encode_value = make(None, _not_json, escape, None, ":", ",", False, False, False)
    return lambda value: "".join(encode_value(value, 0))


def _not_json(value: object) -> str:
    raise TypeError(f"{type(value).__name__} is not JSON")


_encode_raw = _raw_encoder()
_quote = json.encoder.encode_basestring


def dump(value: Any) -> bytes:
    """Return compact JSON: raw UTF-8, or ASCII escapes where a lone surrogate leaves no other way."""
    try:
        return _encode_raw(value).encode()
    except UnicodeEncodeError:
        return _encode_ascii(value).encode()


def quote(text: str) -> bytes:
    """Return the JSON string of `text`, which holds no lone surrogate: nothing that `decode` returned does."""
    return _quote(text).encode()


def frame(payload: bytes) -> bytes:
    """Return `payload` behind its length.

    Raises:
        ProtocolError: It is larger than `MAX_FRAME_BYTES`; nothing may be sent then.
    """
    size = len(payload)
    if size > MAX_FRAME_BYTES:
        raise ProtocolError(
            f"frame of {size} bytes is larger than {MAX_FRAME_BYTES}", code="E_FRAME_TOO_LARGE", size_bytes=size
        )
    return LENGTH.pack(size) + payload


def encode(value: dict[str, Any]) -> bytes:
    """Return the whole frame of `value`. Raises `ProtocolError` as `frame` does."""
    return frame(dump(value))


def decode(payload: bytes, *, max_nesting: int | None = None) -> dict[str, Any]:
    """Return the object in one payload; invalid UTF-8 and lone surrogates become U+FFFD.

    Raises:
        ProtocolError: Not JSON, a non-finite number, deeper than `max_nesting` (None: than the interpreter can
            read), or not an object with a string `type`.
    """
    try:
        value = _load(payload.decode("utf-8", "replace"))
        if b"\\ud" in payload or b"\\uD" in payload:
            value = _decoder.decode(_without_lone_surrogates(_encode_raw(value)))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"frame is not JSON: {error}") from error
    if type(value) is not dict or type(value.get("type")) is not str:
        raise ProtocolError("frame is not an object with a string `type`")
    if max_nesting is not None and payload.count(b"{") + payload.count(b"[") > max_nesting:
        _check_nesting(value, max_nesting)
    return value


class Frame(dict[str, Any]):
    """A decoded frame. `raw` is the JSON of its message as it came, if that may be passed on so."""

    raw: bytes | None = None


_SEND, _OPENING = b'{"type":"send",', b'"message":{'
_HEAD_CACHED, _TAIL_CACHED = 320, 64
"""Longest text around a message that is remembered: what a client sends to one receiver looks alike."""


def decode_to_pass_on(payload: bytes, *, max_nesting: int) -> Frame:
    """Return the frame as `decode` does; a `send` with the bytes of its message if those are safe to pass on.

    They are when the frame begins compactly, is valid UTF-8 and escapes no surrogate. Raises as `decode` does.
    """
    start = payload.find(_OPENING) + len(_OPENING) - 1 if payload.startswith(_SEND) else 0
    if start < len(_SEND) or b"\\ud" in payload or b"\\uD" in payload:
        return Frame(decode(payload, max_nesting=max_nesting))
    try:
        text = payload.decode()
        at = start if text.isascii() else len(payload[:start].decode())
        message, end = _scan(text, at)
        is_usual = at <= _HEAD_CACHED and len(text) - end <= _TAIL_CACHED
        others = (_around if is_usual else _around.__wrapped__)(text[:at], text[end:])
    except (ValueError, RecursionError, StopIteration):
        return Frame(decode(payload, max_nesting=max_nesting))
    frame = Frame(others)
    frame["message"] = message
    if payload.count(b"{") + payload.count(b"[") > max_nesting:
        _check_nesting(frame, max_nesting)
    frame.raw = payload[start : start + (end - at)] if text.isascii() else text[at:end].encode()
    return frame


@lru_cache(maxsize=1_024)
def _around(head: str, tail: str) -> dict[str, Any]:
    """Return the members of a frame whose `message` stands between `head` and `tail`, that one as None.

    Each half is read with a stand-in for the rest: only then is it known to end, or to begin, between two members.

    Raises:
        ValueError: It does not stand there, or is not the only one.
    """
    members: dict[str, Any] = _decoder.decode(head + "null}")
    others = _decoder.decode('{"":0' + tail)
    if "message" in others or type(members.get("type")) is not str or type(others.get("type", "")) is not str:
        raise ValueError("not the frame that it looks like")
    members.update(others)
    return members


def _load(text: str) -> Any:
    """Return the value of a JSON text; a compact one, as clients write it, is read without a search for blanks."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    return value if end == len(text) else _decoder.decode(text)


def _without_lone_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _check_nesting(value: dict[str, Any], limit: int) -> None:
    level: list[Any] = list(value.values())
    for _ in range(limit - 1):
        containers = [item for item in level if type(item) in (dict, list)]
        level = [inner for item in containers for inner in (item.values() if type(item) is dict else item)]
        if not level:
            return
    if any(type(item) in (dict, list) for item in level):
        raise ProtocolError(f"frame is nested deeper than {limit}")


class Splitter:
    """Cut a byte stream into payloads, whatever the chunks. After an error it must not be fed again."""

    __slots__ = ("_begun", "_wanted")

    def __init__(self) -> None:
        self._begun = bytearray()
        self._wanted = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads completed by `data`, in order.

        Raises:
            ProtocolError: A frame declares more than `MAX_FRAME_BYTES`; raised before any of it is buffered.
        """
        if self._begun:
            self._begun += data
            if len(self._begun) < self._wanted:
                return []
            data = bytes(self._begun)
        payloads: list[bytes] = []
        start, size = 0, len(data)
        self._wanted = LENGTH.size
        while start + LENGTH.size <= size:
            (length,) = LENGTH.unpack_from(data, start)
            if length > MAX_FRAME_BYTES:
                raise ProtocolError(
                    f"frame of {length} bytes is larger than {MAX_FRAME_BYTES}", code="E_FRAME_TOO_LARGE"
                )
            end = start + LENGTH.size + length
            if end > size:
                self._wanted = end - start
                break
            payloads.append(data[start + LENGTH.size : end])
            start = end
        self._begun = bytearray(data[start:])
        return payloads

    @property
    def pending_bytes(self) -> int:
        """Bytes of the frame that is not complete yet."""
        return len(self._begun)
