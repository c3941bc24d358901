"""The daemon's side of hook calls, against callers of every kind."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.team import control
from intercom_mux.wire.frames import Splitter, decode, encode
from tests.support import wait_until
from tests.team.stage import HOOKED, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
SILENCE = {"type": "hook_output", "wants_ack": False, "stdout": ""}


@pytest.fixture
def busy(stage: Stage) -> Iterator[Stage]:
    """An agent in a turn, for which a message waits."""
    stage.install_hooked()
    stage.up({"agent": HOOKED})
    (stage.project / "work").touch()
    stage.type("agent", "my own words")
    wait_until(lambda: stage.statuses()["agent"] == "thinking", what="thinking")
    with stage.shell() as shell:
        shell.ask_ticket("agent", "hello", timeout_s=60)
        wait_until(lambda: shell.request("pending")["from_me"][0]["note"] == "thinking", what="held for a hook")
        yield stage


def identity(stage: Stage) -> Json:
    value: Json = json.loads((stage.runtime / "agent.identity").read_text())
    return value


def call(stage: Stage, **changes: Any) -> Json:
    """The frame of a hook call, as it is when nothing is wrong with it, but for `changes`."""
    frame = {"payload": {}, "identity": identity(stage), "agent": "claude", "event": "PostToolUse", "type": "hook"}
    return {**frame, **changes}


def connected(stage: Stage) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(control.control_socket(stage.id)))
    return sock


def answer(sock: socket.socket) -> Json:
    """The next frame, {} when the other side hangs up."""
    splitter = Splitter()
    while data := sock.recv(65_536):
        for payload in splitter.feed(data):
            return decode(payload)
    return {}


def asked(stage: Stage, frame: Json) -> Json:
    with connected(stage) as sock:
        sock.sendall(encode(frame))
        return answer(sock)


def given(stage: Stage) -> str:
    """Make one good call, confirm it, and return what it was given."""
    with connected(stage) as sock:
        sock.sendall(encode(call(stage)))
        got = answer(sock)
        sock.sendall(encode({"type": "printed"}))
        return str(got["stdout"])


def test_strangers_get_nothing(busy: Stage) -> None:
    """Without the peer's token nothing is given, whatever else is right; the message is still there afterwards."""
    mine = identity(busy)
    for wrong in (None, {}, "x", {**mine, "token": "x"}, {**mine, "token": None}, {**mine, "session": "x"}, [mine]):
        assert asked(busy, call(busy, identity=wrong)) == SILENCE
    assert "hello" in given(busy)


@pytest.mark.parametrize(
    "changes",
    [{"event": None}, {"event": "Nonsense"}, {"event": ["Stop"]}, {"event": "x" * 100_000}, {"agent": 7}],
    ids=str,
)
def test_strange_calls_are_answered_with_silence(busy: Stage, changes: Json) -> None:
    """Unknown events and wrong types change nothing; the agent named in the call means nothing."""
    got = asked(busy, call(busy, **changes))
    assert got == SILENCE or "agent" in changes
    assert busy.statuses()["agent"] == "thinking"


STRANGE_PAYLOADS: list[Any] = [None, [], "x", {"tool_name": {"a": [1] * 1000}}, {"tool_name": "a b\n\x1b[31m" * 999}]


@pytest.mark.parametrize("payload", STRANGE_PAYLOADS, ids=range(5))
def test_strange_payloads_do_no_harm(busy: Stage, payload: object) -> None:
    """The state is told all the same, on one short line."""
    assert asked(busy, call(busy, event="PreToolUse", payload=payload)) == SILENCE
    status = wait_until(lambda: next((s for s in [busy.statuses()["agent"]] if s.startswith("tool")), ""), what="tool")
    assert len(status) < 60
    assert "\n" not in status
    assert "\x1b" not in status


def test_what_is_not_confirmed_is_given_again(busy: Stage) -> None:
    """A caller that hangs up or says nonsense has not printed; while it is asked, nobody else gets the message."""
    with connected(busy) as slow:
        slow.sendall(encode(call(busy)))
        assert "hello" in answer(slow)["stdout"]
        assert asked(busy, call(busy)) == SILENCE
    wait_until(lambda: "hello" in str(asked(busy, call(busy))["stdout"]), what="given again")
    with connected(busy) as strange:
        strange.sendall(encode(call(busy)) + struct.pack(">I", 3) + b"\xff\xfe\x00")
        assert "stdout" in answer(strange)
        assert answer(strange) == {}
    wait_until(lambda: "hello" in given(busy), what="given again")
    assert asked(busy, call(busy)) == SILENCE


def test_callers_that_hang_do_not_hold_up_others(busy: Stage) -> None:
    """Half a frame, a huge one, and silence on many connections: the next call is answered at once."""
    hanging = [connected(busy) for _ in range(50)]
    for number, sock in enumerate(hanging):
        sock.sendall([b"", b"\x00\x00\x10\x00{", struct.pack(">I", 1_000_000) + b"x" * 1000][number % 3])
    begun = time.monotonic()
    assert "hello" in given(busy)
    assert time.monotonic() - begun < 2
    for sock in hanging:
        sock.close()
