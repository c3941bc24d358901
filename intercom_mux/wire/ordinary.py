"""How ordinary messages, asks, replies and receipts look in bytes, as any compact JSON writer makes them. Pure.

What fits has exactly these members in this order, so that it needs no reader of JSON. What does not fit may be as good.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

MAX_BYTES = 65_536
"""Longest ordinary frame: with what a broker adds it stays far below the largest that may be sent."""

_NAME = rb"([ !#-\[\]-~]{0,256})"
_TIME = rb"(?:0|[1-9][0-9]{0,14})"
_TEXT = rb'([^"\\\x00-\x1f]*+(?:\\["\\/bfnrt][^"\\\x00-\x1f]*+)*+)'
_CONTENT = rb'"content":\{"text":"%b"\}' % _TEXT
_SEND = re.compile(
    rb'\{"type":"send","to":"%b","message":(\{"id":"%b","timestamp":%b,%b)\}\}' % (_NAME, _NAME, _TIME, _CONTENT)
)
_ASK = re.compile(
    rb'\{"type":"send","to":"%b","message":(\{"id":"%b","timestamp":%b,'
    rb'(?:"expectsReply":true,%b|%b,"expectsReply":true)(?:,"deadline":(%b))?)\}(?:,"blocking":(true),"group":"%b")?\}'
    % (_NAME, _NAME, _TIME, _CONTENT, _CONTENT, _TIME, _NAME)
)
_REPLY = re.compile(
    rb'\{"type":"send","to":"%b","message":(\{"id":"%b","timestamp":%b,'
    rb'(?:"replyTo":"%b",%b|%b,"replyTo":"%b"))\}\}' % (_NAME, _NAME, _TIME, _NAME, _CONTENT, _CONTENT, _NAME)
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


class Related(NamedTuple):
    """An ordinary ask, or reply to the ask `asked`: the parts that `match_send` has, and what only an ask has."""

    address: bytes
    message: bytes
    id: bytes
    text: bytes
    asked: bytes | None
    deadline: int | None = None
    is_blocking: bool = False
    group: bytes = b""


def match_related(payload: bytes) -> Related | None:
    """Match an ordinary ask or an ordinary reply."""
    if len(payload) > MAX_BYTES:
        return None
    if ask := _ASK.fullmatch(payload):
        address, message, id_, text_last, text, deadline, blocking, group = ask.groups()
        ends = None if deadline is None else int(deadline)
        return Related(address, message, id_, text or text_last or b"", None, ends, blocking is not None, group or b"")
    if reply := _REPLY.fullmatch(payload):
        address, message, id_, asked_first, text_last, text, asked = reply.groups()
        return Related(address, message, id_, text or text_last or b"", asked_first if asked is None else asked)
    return None


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
