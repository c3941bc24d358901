"""Framing: any chunking, both bounds, and everything hostile that JSON can carry."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.errors import ProtocolError
from intercom_mux.wire.frames import (
    MAX_FRAME_BYTES,
    MAX_NESTING,
    Splitter,
    decode,
    decode_to_pass_on,
    dump,
    encode,
    frame,
)

fast = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(text, values, max_size=4).map(lambda value: {**value, "type": "send"})


@st.composite
def loose(draw: st.DrawFn, value: Any) -> str:
    """Write a value as some other program might: blanks anywhere, escapes, members said twice."""
    blank = draw(st.sampled_from(["", "", " ", "\t\n"]))
    if isinstance(value, dict):
        members = [(key, item) for key, item in value.items() for _ in range(draw(st.sampled_from([1, 1, 1, 2])))]
        rows = [draw(loose(key)) + blank + ":" + blank + draw(loose(item)) for key, item in members]
        return "{" + blank + ("," + blank).join(rows) + blank + "}"
    if isinstance(value, list):
        return "[" + blank + ",".join(draw(loose(item)) for item in value) + blank + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


tricky = st.sampled_from(["message", "type", "to", '"message":{', '","message":{"id":"x"}', "\\", "}", "é", "😀"])
sends = st.fixed_dictionaries(
    {"to": text | tricky, "message": st.dictionaries(text | tricky, values, max_size=3)},
    optional={"blocking": st.booleans(), "group": text | tricky, "x": st.dictionaries(tricky, values, max_size=2)},
)


@fast
@given(sends, st.data())
def test_what_is_passed_on_says_what_was_read(members: dict[str, Any], data: st.DataObject) -> None:
    """However a frame is written, it reads as by `decode`, and bytes that are passed on read as its message."""
    order = data.draw(st.permutations(list(members)))
    rows = [json.dumps(key) + ":" + data.draw(loose(members[key])) for key in order]
    for _ in range(data.draw(st.integers(0, 2))):
        key = data.draw(st.sampled_from(["type", "message", "\\u006dessage", "to"]))
        rows.insert(data.draw(st.integers(0, len(rows))), f'"{key}":' + data.draw(loose(data.draw(values))))
    payload = (
        '{"type":"send",' + ",".join(rows) + data.draw(st.sampled_from(["}", "}", "}", " }", "}x", ""]))
    ).encode()
    try:
        expected = decode(payload, max_nesting=MAX_NESTING)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            decode_to_pass_on(payload, max_nesting=MAX_NESTING)
        return
    found = decode_to_pass_on(payload, max_nesting=MAX_NESTING)
    known = {key: found.get(key) for key in ("type", "to", "message", "blocking", "group", "x")}
    assert known == {key: expected.get(key) for key in known}
    if found.raw is not None:
        assert json.loads(found.raw) == expected["message"]
        assert found.raw in payload


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"send","to":"a","message":{"id":"1"},"message":{"id":"2"}}',
        b'{"type":"send","to":"a","message":{"id":"1"},"\\u006dessage":{"id":"2"}}',
        b'{"type":"send","x":{"message":{"id":"1"}},"message":{"id":"2"}}',
        b'{"type":"send","to":"a","message":{"id":"\\ud800"}}',
        b'{"type":"send","to":"a","message":{"id":"\xff"}}',
    ],
)
def test_what_only_looks_like_the_message_is_not_passed_on(payload: bytes) -> None:
    """A second member, one inside another, a lone surrogate, broken UTF-8."""
    found = decode_to_pass_on(payload, max_nesting=MAX_NESTING)
    assert found == decode(payload)
    assert found.raw is None


@pytest.mark.parametrize("name", ["", ',"blocking":true', ',"group":"g","é":[1]'])
def test_a_plain_send_is_passed_on_as_it_came(name: str) -> None:
    """The message's own bytes, wherever it stands and whatever alphabet it is in."""
    raw = '{"id":"1", "content":{"text":"\\u00e9é 😀"},"message":{}}'.encode()
    found = decode_to_pass_on(b'{"type":"send","to":"\xc3\xa9","message":' + raw + name.encode() + b"}", max_nesting=64)
    assert found.raw == raw
    assert found["to"] == "é"


def nested(depth: int) -> bytes:
    """Return a frame whose containers are `depth` deep."""
    return b'{"type":"x","v":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@fast
@given(st.lists(st.binary(max_size=40), max_size=8), st.data())
def test_any_chunking_gives_the_same_payloads(payloads: list[bytes], data: st.DataObject) -> None:
    """However the stream is cut, the payloads come out whole and in order."""
    stream = b"".join(frame(payload) for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    splitter = Splitter()
    seen = [p for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for p in splitter.feed(stream[a:b])]
    assert seen == payloads
    assert splitter.pending_bytes == 0


def test_byte_by_byte_gives_the_same_payloads() -> None:
    """The smallest chunks possible do not matter."""
    stream = encode({"type": "list", "requestId": "1"}) + encode({"type": "unregister"})
    splitter = Splitter()
    seen = [decode(p)["type"] for byte in stream for p in splitter.feed(bytes([byte]))]
    assert seen == ["list", "unregister"]


@fast
@given(objects)
def test_decode_undoes_encode(value: dict[str, Any]) -> None:
    """What is encoded is decoded to the same value."""
    (payload,) = Splitter().feed(encode(value))
    assert decode(payload) == value


@fast
@given(objects)
def test_dump_writes_the_shortest_json(value: dict[str, Any]) -> None:
    """Text is raw UTF-8, so that a message does not grow on its way."""
    assert dump(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def test_an_oversize_length_is_refused_before_any_of_it_is_buffered() -> None:
    """Four bytes are enough to refuse a frame."""
    with pytest.raises(ProtocolError) as caught:
        Splitter().feed(struct.pack(">I", MAX_FRAME_BYTES + 1))
    assert caught.value.code == "E_FRAME_TOO_LARGE"


def test_the_largest_frame_passes_both_ways() -> None:
    """The bound itself is allowed."""
    payload = b"x" * MAX_FRAME_BYTES
    assert Splitter().feed(frame(payload)) == [payload]


def test_a_too_large_frame_is_never_written() -> None:
    """Writing is bounded as reading is: a v1 reader would hang up."""
    with pytest.raises(ProtocolError) as caught:
        encode({"type": "send", "text": "x" * MAX_FRAME_BYTES})
    assert caught.value.fields["size_bytes"] > MAX_FRAME_BYTES


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b'"send"',
        b"null",
        b"{}",
        b'{"type":1}',
        b'{"type":null}',
        b'{"type":"send","n":NaN}',
        b'{"type":"send","n":Infinity}',
        b'{"type":"send","n":-Infinity}',
        b'{"type":"send","n":1e400}',
        b'{"type":"send","n":-1e400}',
        b'{"type":"send"} {"type":"send"}',
        b'{"type":"send","n":' + b"9" * 5000 + b"}",
        nested(200_000),
    ],
    ids=lambda payload: payload[:32].decode(),
)
def test_what_is_not_a_frame_is_refused(payload: bytes) -> None:
    """Everything but an object with a string type, in JSON proper, is a protocol error and no other."""
    with pytest.raises(ProtocolError):
        decode(payload)


def test_nesting_is_bounded_where_asked() -> None:
    """What the broker takes can be read by whoever gets it, in any frame; flat frames with many parts are fine."""
    assert decode(nested(MAX_NESTING), max_nesting=MAX_NESTING)
    assert decode(nested(MAX_NESTING + 1))
    with pytest.raises(ProtocolError, match="nested deeper"):
        decode(nested(MAX_NESTING + 1), max_nesting=MAX_NESTING)
    flat = {"type": "x", "v": [{} for _ in range(10 * MAX_NESTING)]}
    assert decode(dump(flat), max_nesting=MAX_NESTING) == flat


def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    """No string of a decoded frame is without a UTF-8 form; pairs and look-alikes stay as they are."""
    payload = rb'{"type":"x","lone":"a\ud800b","pair":"\ud83d\ude00","odd\uDC00":["\\ud800"]}'
    assert decode(payload) == {"type": "x", "lone": "a\ufffdb", "pair": "😀", "odd\ufffd": ["\\ud800"]}


def test_a_lone_surrogate_can_be_sent() -> None:
    """Undecodable bytes of a command line reach us as lone surrogates; they must not stop a message."""
    assert decode(dump({"type": "x", "text": "caf\udce9"}))["text"] == "caf\ufffd"


def test_invalid_utf8_is_replaced() -> None:
    """Broken bytes inside a string are replaced, as the stock broker does."""
    assert decode(b'{"type":"x","text":"a\xffb"}')["text"] == "a\ufffdb"


def test_non_finite_numbers_are_never_written() -> None:
    """`dump` writes no NaN and no Infinity: a v1 client would hang up."""
    with pytest.raises(ValueError, match="Out of range"):
        dump({"n": float("nan")})
