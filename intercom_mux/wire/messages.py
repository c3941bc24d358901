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

MAX_ID_CHARS = 256
"""Longest id of a message, a session, a scope or a request; longer ones break the protocol."""

MAX_SHOWN_CHARS = 1_024
"""What is only shown (name, status, cwd, model, pane) is cut at this length, so that a roster stays a frame."""

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
_MESSAGE_OPTIONAL = frozenset({*_MESSAGE_NUMBERS, *_MESSAGE_STRINGS, "expectsReply"})


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


def is_id(value: object) -> bool:
    """Return whether `value` may name something: a string of at most `MAX_ID_CHARS`."""
    return type(value) is str and len(value) <= MAX_ID_CHARS


def _shown(value: Any) -> Any:
    return value[:MAX_SHOWN_CHARS] if type(value) is str else value


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
    return {key: _shown(value[key]) for key in known if key in value}


def check_mux(value: Json) -> Json:
    """Return what `register.mux`, our addition to a registration, says; here `null` is as good as absent."""
    mux = {key: item for key, item in value.items() if item is not None}
    if not all(is_id(mux[key]) for key in ("as", "token", "role", "view") if key in mux):
        raise ProtocolError(f"mux.as, token, role and view must be strings of at most {MAX_ID_CHARS}")
    _optional(mux, ("shell", "events", "native"), bool, "mux")
    check_ids(mux.get("keeps", []), "mux.keeps")
    _optional_numbers(mux, ("statusSince",), "mux")
    _optional(mux, ("team",), dict, "mux")
    if "team" in mux and not (is_id(mux["team"].get("id")) and is_id(mux["team"].get("name"))):
        raise ProtocolError("mux.team needs an id and a name")
    if "team" in mux and type(mux["team"].get("dir")) is not str:
        raise ProtocolError("mux.team.dir must be a string")
    return mux


def check_ids(value: object, what: str) -> list[str]:
    """Return `value` if it is an array of ids."""
    if type(value) is not list or not all(is_id(item) for item in value):
        raise ProtocolError(f"{what} must be an array of strings of at most {MAX_ID_CHARS}")
    return value


def check_message(value: object) -> Json:
    """Return `value` if it is a message; unknown keys survive end to end."""
    if type(value) is not dict or not is_id(value.get("id")) or not is_number(value.get("timestamp")):
        raise ProtocolError("message needs a string id and a number timestamp")
    content = value.get("content")
    if type(content) is not dict or type(content.get("text")) is not str:
        raise ProtocolError("message.content.text must be a string")
    if not _MESSAGE_OPTIONAL.isdisjoint(value):
        _check_optional(value)
    if "attachments" in content:
        _check_attachments(content["attachments"])
    return value


def _check_optional(value: Json) -> None:
    _optional_numbers(value, _MESSAGE_NUMBERS, "message")
    if not all(is_id(value[key]) for key in _MESSAGE_STRINGS if key in value):
        raise ProtocolError(f"message.{', '.join(_MESSAGE_STRINGS)} must be ids")
    _optional(value, ("expectsReply",), bool, "message")


def _check_attachments(value: object) -> None:
    if type(value) is not list:
        raise ProtocolError("message.content.attachments must be an array")
    for item in value:
        if type(item) is not dict or type(item.get("type")) is not str or item["type"] not in ATTACHMENT_TYPES:
            raise ProtocolError("attachment.type must be file, snippet or context")
        if type(item.get("name")) is not str or type(item.get("content")) is not str:
            raise ProtocolError("attachment needs a string name and content")
        _optional(item, ("language",), str, "attachment")


def check_receipt(value: object) -> Json:
    """Return `value` if it is a receipt."""
    if type(value) is not dict or not is_id(value.get("messageId")) or not is_number(value.get("timestamp")):
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
    return {key: _shown(value[key]) for key in known if key in value}


def required_string(frame: Json, key: str) -> str:
    """Return `frame[key]`, which must be a string."""
    value = frame.get(key)
    if type(value) is not str:
        raise ProtocolError(f"{frame['type']}.{key} must be a string")
    return value


def required_id(frame: Json, key: str) -> str:
    """Return `frame[key]`, which must be an id."""
    value = required_string(frame, key)
    if not is_id(value):
        raise ProtocolError(f"{frame['type']}.{key} is longer than {MAX_ID_CHARS}")
    return value
