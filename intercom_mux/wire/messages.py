"""Shapes of what travels in frames, and their validation. Pure; the rules are those of docs/protocol.md, "Shapes".

A check returns what may be kept or raises `ProtocolError`; extra keys are tolerated, `null` for an optional key is not.
"""

from __future__ import annotations

from typing import Any

from intercom_mux.errors import ProtocolError

Json = dict[str, Any]

RECEIPT_STATUSES = frozenset(
    {
        "receiver_received",
        "queued",
        "injected",
        "acknowledged",
        "expired",
        "cancelled",
        "superseded",
        "cancellation_requested",
    }
)
ATTACHMENT_TYPES = frozenset({"file", "snippet", "context"})
CONTEXT_FIELDS = ("contextPct", "contextTokens", "contextWindow")

_DOUBLE_MAX = 2**1023
_REGISTRATION_STRINGS = ("name", "status", "tmuxPane")
_REGISTRATION_NUMBERS = ("pid", "startedAt", "lastActivity")
_MESSAGE_NUMBERS = (
    "senderSequence",
    "brokerReceivedAt",
    "brokerDeliveredAt",
    "receiverReceivedAt",
    "injectedAt",
    "deadline",
)
_MESSAGE_STRINGS = ("supersedes", "retryOf", "replyTo")


def is_number(value: object) -> bool:
    """Return whether `value` is a JSON number that a double can hold; booleans are not."""
    kind = type(value)
    if kind is int:
        return -_DOUBLE_MAX < value < _DOUBLE_MAX  # type: ignore[operator]  # narrowed by `kind`
    return kind is float


def _optional(obj: Json, keys: tuple[str, ...], kind: type, what: str) -> None:
    for key in keys:
        if key in obj and type(obj[key]) is not kind:
            raise ProtocolError(f"{what}.{key} must be a {kind.__name__}")


def _optional_numbers(obj: Json, keys: tuple[str, ...], what: str) -> None:
    for key in keys:
        if key in obj and not is_number(obj[key]):
            raise ProtocolError(f"{what}.{key} must be a number")


def check_registration(value: object) -> Json:
    """Return the known keys of `register.session`; what only a broker may set is dropped."""
    if type(value) is not dict:
        raise ProtocolError("register.session must be an object")
    for key in ("cwd", "model"):
        if type(value.get(key)) is not str:
            raise ProtocolError(f"session.{key} must be a string")
    for key in _REGISTRATION_NUMBERS:
        if not is_number(value.get(key)):
            raise ProtocolError(f"session.{key} must be a number")
    _optional(value, _REGISTRATION_STRINGS, str, "session")
    _optional(value, ("runtimeFallbackAlias",), bool, "session")
    _optional(value, ("extensions",), list, "session")
    known = ("name", "runtimeFallbackAlias", "cwd", "model", *_REGISTRATION_NUMBERS, "status", "tmuxPane")
    return {key: value[key] for key in known if key in value}


def check_message(value: object) -> Json:
    """Return `value` if it is a message; unknown keys survive end to end."""
    if type(value) is not dict or type(value.get("id")) is not str or not is_number(value.get("timestamp")):
        raise ProtocolError("message needs a string id and a number timestamp")
    content = value.get("content")
    if type(content) is not dict or type(content.get("text")) is not str:
        raise ProtocolError("message.content.text must be a string")
    _optional_numbers(value, _MESSAGE_NUMBERS, "message")
    _optional(value, _MESSAGE_STRINGS, str, "message")
    _optional(value, ("expectsReply",), bool, "message")
    if "attachments" in content:
        _check_attachments(content["attachments"])
    return value


def _check_attachments(value: object) -> None:
    if type(value) is not list:
        raise ProtocolError("message.content.attachments must be an array")
    for item in value:
        if type(item) is not dict or item.get("type") not in ATTACHMENT_TYPES:
            raise ProtocolError("attachment.type must be file, snippet or context")
        if type(item.get("name")) is not str or type(item.get("content")) is not str:
            raise ProtocolError("attachment needs a string name and content")
        _optional(item, ("language",), str, "attachment")


def check_receipt(value: object) -> Json:
    """Return `value` if it is a receipt."""
    if type(value) is not dict or type(value.get("messageId")) is not str or not is_number(value.get("timestamp")):
        raise ProtocolError("receipt needs a string messageId and a number timestamp")
    status = value.get("status")
    if type(status) is not str or status not in RECEIPT_STATUSES:
        raise ProtocolError("receipt.status is unknown")
    _optional(value, ("detail",), str, "receipt")
    return value


def check_presence(value: Json) -> Json:
    """Return the changes that a `presence` frame asks for; `None` deletes a context field."""
    _optional(value, ("name", "status", "model"), str, "presence")
    _optional(value, ("runtimeFallbackAlias",), bool, "presence")
    for key in CONTEXT_FIELDS:
        if key in value and value[key] is not None and not is_number(value[key]):
            raise ProtocolError(f"presence.{key} must be a number or null")
    known = ("name", "status", "model", "runtimeFallbackAlias", *CONTEXT_FIELDS)
    return {key: value[key] for key in known if key in value}


def required_string(frame: Json, key: str) -> str:
    """Return `frame[key]`, which must be a string."""
    value = frame.get(key)
    if type(value) is not str:
        raise ProtocolError(f"{frame['type']}.{key} must be a string")
    return value
