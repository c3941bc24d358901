"""Anything may come over a socket: the core never fails, and only the sender of nonsense pays for it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.wire.frames import dump
from tests.broker.core.bench import BLUE, Bench

KEYS = [
    "type", "session", "sessionId", "scopeId", "mux", "message", "to", "targetId", "targetEpoch", "receipt",
    "messageId", "requestId", "op", "id", "content", "text", "timestamp", "expectsReply", "replyTo", "supersedes",
    "deadline", "status", "name", "team", "token", "as", "shell", "view", "events", "sessions", "task", "percent",
    "state", "peek", "group", "blocking", "attachments", "contextPct", "cwd", "model", "pid", "startedAt",
    "lastActivity", "dir", "role",
]  # fmt: skip
WORDS = [
    "register", "unregister", "list", "send", "presence", "message_receipt", "cancel_message", "cancel_ask", "mux",
    "health", "acknowledged", "injected", "blue-worker-1", "worker-1", "planner", "id-planner", "q1", "m1", "secret",
    "pending", "reply", "inbox", "result", "progress", "tasks", "name", "retire", "status",
]  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, 10**30, 1e308, -1.5])
    | st.sampled_from([*WORDS, "", " ", "\ud800", "\x00", "x" * 300])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=15,
)
SESSION = {"cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}
TEMPLATES: list[dict[str, Any]] = [
    {"type": "register", "session": SESSION, "sessionId": "id-planner"},
    {"type": "register", "session": SESSION, "mux": {"as": "blue-worker-1", "token": "secret"}},
    {"type": "register", "session": SESSION, "sessionId": "x", "mux": {"team": BLUE, "token": "t", "role": "r"}},
    {"type": "send", "to": "planner", "message": {"id": "m1", "timestamp": 1, "content": {
        "text": "x", "attachments": [{"type": "file", "name": "n", "content": "c"}]}}},
    {"type": "send", "to": "planner", "message": {"id": "m1", "timestamp": 1, "content": {"text": "x"}}},
    {"type": "send", "to": "blue-worker-1", "blocking": True, "message": {
        "id": "q1", "timestamp": 1, "expectsReply": True, "content": {"text": "x"}}},
    {"type": "message_receipt", "receipt": {"messageId": "m1", "status": "acknowledged", "timestamp": 1}},
    {"type": "presence", "status": "idle", "name": "n"},
    {"type": "mux", "requestId": "1", "op": "reply", "message": {"id": "r1", "timestamp": 1, "content": {"text": "x"}}},
    {"type": "mux", "requestId": "1", "op": "retire", "sessions": [{"id": "blue-worker-1", "token": "secret"}]},
    {"type": "mux", "requestId": "1", "op": "progress", "task": "T", "percent": 5},
    *({"type": "mux", "requestId": "1", "op": op, "id": "q"} for op in ("inbox", "result", "pending", "name", "tasks")),
    *({"type": kind, "messageId": "q1", "requestId": "1"} for kind in ("cancel_ask", "cancel_message", "list")),
    {"type": "register", "session": {**SESSION, "extensions": [{"namespace": "x/y", "ownerEligible": True}]}},
    {"type": "extension_capabilities_update", "extensions": [{"namespace": "x/y", "ownerEligible": True}]},
    {"type": "extension_publish", "namespace": "x/y", "audience": "owner", "payload": 1},
    {"type": "extension_state_commit", "namespace": "x/y", "ownerEpoch": "e", "expectedRevision": 0, "payload": [1]},
    {"type": "health", "requestId": "1"},
    {"type": "unregister"},
]  # fmt: skip


@st.composite
def bent(draw: st.DrawFn) -> dict[str, Any]:
    """Return a proper frame with some of its parts replaced, at any depth."""
    frame: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(TEMPLATES)))
    for _ in range(draw(st.integers(0, 3))):
        part: Any = frame
        while inner := [k for k, v in _items(part) if isinstance(v, dict | list) and v]:
            if draw(st.integers(0, 3)) == 0:
                break
            part = part[draw(st.sampled_from(inner))]
        keys = [k for k, _ in _items(part)]
        part[draw(st.sampled_from([*keys, *KEYS[:4]] if isinstance(part, dict) else keys))] = draw(
            st.sampled_from([None, [], {}, [[]], 1, True, "x"]) | values
        )
    return frame


def _items(part: Any) -> list[tuple[Any, Any]]:
    return list(part.items()) if isinstance(part, dict) else list(enumerate(part))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), bent() | values.map(lambda v: {"type": "send", "x": v})), max_size=12))
def test_no_frame_can_make_the_core_fail(frames: list[tuple[int, dict[str, Any]]]) -> None:
    """Well-behaved sessions live on, and everything that was accepted can be journaled and loaded again."""
    bench = Bench()
    witness, planner, worker = bench.pi("witness"), bench.pi("planner"), bench.peer("worker-1")
    wires = [planner, worker, bench.handle("worker-1"), bench.open()]
    for index, frame in frames:
        if wires[index].is_closed:
            wires[index] = bench.open()
        wires[index].post_raw(dump(frame))
    bench.wait(1000)
    assert not witness.is_closed
    assert "witness" in witness.names()
    bench.wait(8 * 24 * 3_600_000)
    bench.crash()


WRONG: list[Any] = [None, [], {}, [[]], True, -1, 1.5, "", "x" * 300, [None], {"id": []}]


def _places(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(part, dict | list):
        for key, inner in _items(part):
            found += _places(inner, (*path, key))
    return found


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: t.get("op") or t["type"])
def test_no_part_of_a_frame_can_be_of_a_wrong_type_and_do_harm(bench: Bench, template: dict[str, Any]) -> None:
    """Each part of each frame, replaced by each kind of value."""
    witness = bench.pi("witness")
    for place in _places(template):
        for value in WRONG:
            frame = copy.deepcopy(template)
            part: Any = frame
            for key in place[:-1]:
                part = part[key]
            part[place[-1]] = value
            endpoint = bench.peer("worker-1")
            wire = bench.open() if template["type"] == "register" else bench.handle("worker-1")
            wire.post_raw(dump(frame)).close()
            endpoint.close()
            witness.take()
    assert not witness.is_closed
    assert witness.names() == ["witness"]


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[]", b"{}", b'{"type":"send"', b'{"type":"presence","name":1e999}']
)
def test_what_is_no_frame_closes_only_its_connection(bench: Bench, payload: bytes) -> None:
    """The others do not notice, except that it left."""
    witness, bad = bench.pi("witness"), bench.pi("bad")
    assert bad.post_raw(payload).is_closed
    assert witness.names() == ["witness"]


def test_a_deep_message_is_refused_at_the_door(bench: Bench) -> None:
    """What one program can write another must be able to read: no poison for the receiver."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    planner.post(type="send", to="worker", message={"id": "m", "timestamp": 1, "content": {"text": "x"}, "deep": deep})
    assert planner.is_closed
    assert worker.texts() == []


@pytest.mark.parametrize("started_at", [b"1e400", b"-1e400", b"NaN", b"null", b"true", b'"1"'])
def test_a_poisoned_registration_reaches_nobody(bench: Bench, started_at: bytes) -> None:
    """A number that JSON cannot carry would make every stock client hang up."""
    witness = bench.pi("witness")
    session = b'{"cwd":"/","model":"m","pid":1,"lastActivity":1,"startedAt":' + started_at + b"}"
    assert bench.open().post_raw(b'{"type":"register","session":' + session + b"}").is_closed
    assert witness.take() == []


def test_odd_text_travels(bench: Bench) -> None:
    """NUL, half a pair, right-to-left and emoji do not disturb journal or frames."""
    planner, worker = bench.pi("planner"), bench.peer("worker-1")
    text = "a\x00b \u202e \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")
    planner.post_raw(dump({"type": "presence", "name": "pl\ud800an"}))
    planner.ask("blue-worker-1", text, id="id\x00with nul")
    worker.close()
    bench.crash()
    assert bench.peer("worker-1").texts() == [text]
    assert bench.pi("witness").names() == ["blue/worker-1", "witness"]
