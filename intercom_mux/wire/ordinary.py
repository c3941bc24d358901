"""How ordinary messages and receipts look in bytes, as any compact JSON writer makes them. Pure.

What fits has exactly these members in this order, so that it needs no reader of JSON. What does not fit may be as good.
"""

from __future__ import annotations

import json
import re

MAX_BYTES = 65_536
"""Longest ordinary frame: with what a broker adds it stays far below the largest that may be sent."""

_NAME = rb"([ !#-\[\]-~]{0,256})"
_TIME = rb"(?:0|[1-9][0-9]{0,14})"
_TEXT = rb'([^"\\\x00-\x1f]*+(?:\\["\\/bfnrt][^"\\\x00-\x1f]*+)*+)'
_SEND = re.compile(
    rb'\{"type":"send","to":"%b","message":(\{"id":"%b","timestamp":%b,"content":\{"text":"%b"\})\}\}'
    % (_NAME, _NAME, _TIME, _TEXT)
)
_RECEIPT = re.compile(
    rb'\{"type":"message_receipt","receipt":(\{"messageId":"%b","status":"([a-z_]+)","timestamp":%b\})\}'
    % (_NAME, _TIME)
)


def is_send(payload: bytes) -> bool:
    """Return whether a frame begins as an ordinary message does."""
    return payload.startswith(b'{"type":"send",')


def is_receipt(payload: bytes) -> bool:
    """Return whether a frame begins as an ordinary receipt does."""
    return payload.startswith(b'{"type":"message_receipt",')


def match_send(payload: bytes) -> re.Match[bytes] | None:
    """Match an ordinary message: address, the message without its last brace, its id, its text as it is quoted."""
    return _SEND.fullmatch(payload) if len(payload) <= MAX_BYTES else None


def match_receipt(payload: bytes) -> re.Match[bytes] | None:
    """Match an ordinary receipt: the receipt, the id of the message, the status."""
    return _RECEIPT.fullmatch(payload)


def meaning(quoted: bytes) -> bytes | None:
    """Return the text that stands so in a JSON string, as UTF-8; None if it is not valid."""
    try:
        if b"\\" in quoted:
            text: str = json.loads(f'"{quoted.decode()}"')
            return text.encode()
        if not quoted.isascii():
            quoted.decode()
    except ValueError:
        return None
    return quoted
