"""The shapes: what is taken, what is dropped, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from intercom_mux.errors import ProtocolError
from intercom_mux.wire.messages import (
    ATTACHMENT_TYPES,
    MAX_ID_CHARS,
    MAX_SHOWN_CHARS,
    RECEIPT_STATUSES,
    check_message,
    check_mux,
    check_presence,
    check_receipt,
    check_registration,
    is_number,
    required_id,
    required_string,
)

SESSION: dict[str, Any] = {"cwd": "/repo", "model": "opus", "pid": 42, "startedAt": 1, "lastActivity": 2.5}
MESSAGE: dict[str, Any] = {"id": "m1", "timestamp": 1, "content": {"text": "hello"}}
RECEIPT: dict[str, Any] = {"messageId": "m1", "status": "acknowledged", "timestamp": 1}
ATTACHMENT: dict[str, Any] = {"type": "file", "name": "a.py", "content": "pass"}
TOO_LONG = "x" * (MAX_ID_CHARS + 1)


@pytest.mark.parametrize("value", [0, -1, 1.5, 2**63, -(2**80)])
def test_numbers(value: object) -> None:
    """Integers and floats of any ordinary size are numbers."""
    assert is_number(value)


@pytest.mark.parametrize("value", [True, False, None, "1", [], 10**400])
def test_what_is_no_number(value: object) -> None:
    """Booleans are not numbers, nor is what no double can hold."""
    assert not is_number(value)


def test_a_registration_keeps_only_what_a_client_may_say() -> None:
    """What only a broker sets is dropped, unknown keys too."""
    extra = {"id": "x", "peerUid": 0, "trustedLocal": True, "endpointEpoch": "e", "contextPct": 3, "extensions": []}
    named = {"name": "planner", "status": "idle", "tmuxPane": "%3", "runtimeFallbackAlias": True}
    assert check_registration({**SESSION, **extra, **named}) == {**SESSION, **named}


def test_a_registration_is_cut_to_what_can_be_shown() -> None:
    """No session can make a roster too large for a frame."""
    kept = check_registration({**SESSION, "name": "n" * 5000, "cwd": "/" * 5000})
    assert len(kept["name"]) == len(kept["cwd"]) == MAX_SHOWN_CHARS


@pytest.mark.parametrize("key", SESSION)
@pytest.mark.parametrize("wrong", [None, True, [], "absent"])
def test_a_registration_needs_its_keys(key: str, wrong: object) -> None:
    """Each required key must be there with its type."""
    value = {k: v for k, v in SESSION.items() if k != key}
    if wrong != "absent":
        value[key] = wrong
    with pytest.raises(ProtocolError, match=f"session.{key}"):
        check_registration(value)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [("name", None), ("name", 1), ("status", True), ("tmuxPane", []), ("runtimeFallbackAlias", 1), ("extensions", {})],
)
def test_optional_keys_of_a_registration_have_their_types(key: str, wrong: object) -> None:
    """Absent is fine, `null` and other types are not."""
    with pytest.raises(ProtocolError, match=key):
        check_registration({**SESSION, key: wrong})


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_a_registration_is_an_object(value: object) -> None:
    """Anything else is refused."""
    with pytest.raises(ProtocolError):
        check_registration(value)


def test_a_message_keeps_unknown_keys() -> None:
    """Extra keys travel from end to end."""
    message = {**MESSAGE, "mood": {"a": [1]}, "expectsReply": True, "replyTo": "q", "deadline": 9.5}
    assert check_message(message) is message


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": 1},
        {"id": TOO_LONG},
        {"timestamp": "now"},
        {"timestamp": True},
        {"content": None},
        {"content": {}},
        {"content": {"text": None}},
        {"expectsReply": None},
        {"expectsReply": 1},
        {"replyTo": None},
        {"replyTo": TOO_LONG},
        {"supersedes": 1},
        {"retryOf": []},
        {"deadline": None},
        {"deadline": "soon"},
        {"deadline": 10**400},
        {"senderSequence": True},
        {"content": {"text": "", "attachments": None}},
        {"content": {"text": "", "attachments": {}}},
        {"content": {"text": "", "attachments": [None]}},
        {"content": {"text": "", "attachments": [{**ATTACHMENT, "type": "image"}]}},
        {"content": {"text": "", "attachments": [{**ATTACHMENT, "type": []}]}},
        {"content": {"text": "", "attachments": [{**ATTACHMENT, "name": None}]}},
        {"content": {"text": "", "attachments": [{**ATTACHMENT, "content": 1}]}},
        {"content": {"text": "", "attachments": [{**ATTACHMENT, "language": None}]}},
    ],
    ids=repr,
)
def test_a_malformed_message_is_refused(changes: dict[str, Any]) -> None:
    """Every key has its type; `null` is not absence."""
    with pytest.raises(ProtocolError):
        check_message({**MESSAGE, **changes})


@pytest.mark.parametrize("kind", sorted(ATTACHMENT_TYPES))
def test_attachments(kind: str) -> None:
    """The three kinds of attachment pass."""
    attachment = {**ATTACHMENT, "type": kind, "language": "python"}
    assert check_message({**MESSAGE, "content": {"text": "", "attachments": [attachment]}})


@pytest.mark.parametrize("status", sorted(RECEIPT_STATUSES))
def test_receipts(status: str) -> None:
    """Every known status passes."""
    assert check_receipt({**RECEIPT, "status": status, "detail": "why"})["status"] == status


@pytest.mark.parametrize(
    "changes",
    [{"messageId": 1}, {"messageId": TOO_LONG}, {"status": "seen"}, {"status": []}, {"timestamp": None}, {"detail": 1}],
    ids=repr,
)
def test_a_malformed_receipt_is_refused(changes: dict[str, Any]) -> None:
    """A receipt has an id, a known status and a time."""
    with pytest.raises(ProtocolError):
        check_receipt({**RECEIPT, **changes})


def test_presence_takes_changes_and_deletions() -> None:
    """`null` deletes a context field; unknown keys are dropped."""
    frame = {"type": "presence", "name": "w", "contextPct": None, "contextTokens": 5, "cwd": "/elsewhere"}
    assert check_presence(frame) == {"name": "w", "contextPct": None, "contextTokens": 5}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"status": 1},
        {"model": []},
        {"contextPct": "9"},
        {"contextPct": True},
        {"runtimeFallbackAlias": 0},
    ],
    ids=repr,
)
def test_malformed_presence_is_refused(changes: dict[str, Any]) -> None:
    """Only the context fields may be `null`."""
    with pytest.raises(ProtocolError):
        check_presence({"type": "presence", **changes})


def test_our_addition_to_a_registration() -> None:
    """`null` is as good as absent there: it is our own."""
    team = {"id": "t", "name": "blue", "dir": "/src"}
    given = {"version": 1, "team": team, "role": "worker", "token": None, "as": None, "events": True}
    assert check_mux(given) == {"version": 1, "team": team, "role": "worker", "events": True}


@pytest.mark.parametrize(
    "mux",
    [
        {"as": 1},
        {"as": TOO_LONG},
        {"token": []},
        {"role": TOO_LONG},
        {"view": []},
        {"shell": 1},
        {"events": "yes"},
        {"team": "blue"},
        {"team": {}},
        {"team": {"id": "t", "name": "blue"}},
        {"team": {"id": "t", "name": None, "dir": "/"}},
        {"team": {"id": TOO_LONG, "name": "blue", "dir": "/"}},
    ],
    ids=repr,
)
def test_a_malformed_addition_is_refused(mux: dict[str, Any]) -> None:
    """Nothing of a wrong type gets past the check."""
    with pytest.raises(ProtocolError):
        check_mux(mux)


def test_required_strings_and_ids() -> None:
    """A string must be one; an id must be short too."""
    assert required_string({"type": "list", "k": TOO_LONG}, "k") == TOO_LONG
    assert required_id({"type": "list", "k": "short"}, "k") == "short"
    with pytest.raises(ProtocolError, match=r"list\.k"):
        required_string({"type": "list"}, "k")
    with pytest.raises(ProtocolError, match="longer"):
        required_id({"type": "list", "k": TOO_LONG}, "k")
