"""The shapes of ordinary frames say what a reader of JSON says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intercom_mux.wire.frames import dump
from intercom_mux.wire.ordinary import (
    MAX_BYTES,
    is_receipt,
    is_send,
    match_receipt,
    match_related,
    match_send,
    meaning,
)


def send(to: str, message_id: str, text: str, **more: Any) -> bytes:
    message = {"id": message_id, "timestamp": 17, "content": {"text": text}, **more}
    return dump({"type": "send", "to": to, "message": message})


words = st.text(max_size=12)


@given(words, words, words)
@example("worker", "m1", 'a\n"b"\\ \u00fc')
@example("w", "", "\x7f\u2028")
def test_a_message_that_fits_means_what_json_says(to: str, message_id: str, text: str) -> None:
    """Nothing is read otherwise than by `json`; what does not fit holds a character that has no short escape."""
    payload = send(to, message_id, text)
    found = match_send(payload)
    if found is None:
        assert (
            not (to + message_id).isascii()
            or any(c < " " or c in '"\\' for c in to + message_id)
            or not _is_plain(text)
        )
        return
    assert is_send(payload)
    assert json.loads(found[2] + b"}") == json.loads(payload)["message"]
    assert (found[1].decode(), found[3].decode(), meaning(found[4])) == (to, message_id, text.encode())


def _is_plain(text: str) -> bool:
    return all(c >= " " or c in "\b\f\n\r\t" for c in text)


@given(st.binary(max_size=40))
def test_the_text_of_whatever_bytes(quoted: bytes) -> None:
    """It is what JSON says, or the frame does not fit, or it is not valid and has no meaning."""
    payload = send("w", "m", "TEXT").replace(b"TEXT", quoted)
    found = match_send(payload)
    if found is None:
        return
    text = meaning(found[4])
    try:
        said = json.loads(payload.decode())["message"]["content"]["text"]
    except ValueError:
        assert text is None
    else:
        assert text == said.encode()


@given(words, words, st.booleans(), st.booleans(), st.booleans(), st.none() | st.integers(-1, 10**16))
def test_an_ask_or_a_reply_that_fits_means_what_json_says(
    text: str, asked: str, is_ask: bool, is_first: bool, is_blocking: bool, deadline: int | None
) -> None:
    """Wherever the members that make it one stand; only an ask may say when it ends and that somebody blocks on it."""
    relation: dict[str, Any] = {"expectsReply": True} if is_ask else {"replyTo": asked}
    content: dict[str, Any] = {"content": {"text": text}}
    message: dict[str, Any] = {"id": "m", "timestamp": 17, **(relation | content if is_first else content | relation)}
    message |= {"deadline": deadline} if deadline is not None else {}
    frame: dict[str, Any] = {"type": "send", "to": "w", "message": message}
    frame |= {"blocking": True, "group": "g"} if is_blocking else {}
    found = match_related(dump(frame))
    assert match_send(dump(frame)) is None
    is_odd = not _is_plain(text) or not 0 <= (deadline or 0) < 10**15
    if is_ask:
        assert (found is None) == is_odd
    else:
        is_name = asked.isascii() and not any(c < " " or c in '"\\' for c in asked)
        assert (found is None) == (is_odd or not is_name or is_blocking or deadline is not None)
    if found is not None:
        assert json.loads(found.message + b"}") == message
        assert (found.address, found.id, meaning(found.text)) == (b"w", b"m", text.encode())
        assert (found.asked, found.deadline) == (None if is_ask else asked.encode(), deadline)
        assert (found.is_blocking, found.group) == (is_blocking, b"g" if is_blocking else b"")


@pytest.mark.parametrize(
    "payload",
    [
        send("w", "m", "hello"),
        send("w", "m", "hello", expectsReply=False),
        send("w", "m", "hello", expectsReply=True, replyTo="a"),
        send("w", "m", "hello", supersedes="a", expectsReply=True),
        send("w", "m", "x" * MAX_BYTES, expectsReply=True),
        send("w", "m", "hello", replyTo="x" * 257),
        send("w", "m", "hello", expectsReply=True) + b" ",
    ],
)
def test_what_is_no_ordinary_ask_or_reply(payload: bytes) -> None:
    assert match_related(payload) is None


@pytest.mark.parametrize(
    "payload",
    [
        send("w", "m", "hello", replyTo="a"),
        send("w", "m", "x" * MAX_BYTES),
        send("w", "x" * 257, "hello"),
        send("w", "m", "hello").replace(b"17", b"017"),
        send("w", "m", "hello").replace(b"17", b"1.7"),
        send("w", "m", "hello").replace(b"17", b"1" * 16),
        send("w", "m", "hello").replace(b"hello", b"\\u0041"),
        send("w", "m", "hello") + b" ",
        b"",
    ],
)
def test_what_does_not_fit(payload: bytes) -> None:
    assert match_send(payload) is None


def test_a_receipt() -> None:
    """Its parts; a detail is more than it may hold."""
    receipt = {"messageId": "m1", "status": "acknowledged", "timestamp": 17}
    payload = dump({"type": "message_receipt", "receipt": receipt})
    found = match_receipt(payload)
    assert found is not None
    assert found.groups() == (dump(receipt), b"m1", b"acknowledged")
    assert is_receipt(payload)
    assert match_receipt(dump({"type": "message_receipt", "receipt": {**receipt, "detail": "held"}})) is None
