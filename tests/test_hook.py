"""`intercom-mux hook`: whatever happens, no agent is held up, broken, or told nonsense."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.wire.frames import encode
from tests.cli.stage import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Json = dict[str, Any]
IDENTITY = {"session": "s-agent", "token": "secret"}


def hook(*words: str, payload: bytes = b"", identity: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run one hook call as an agent does."""
    environment = {**os.environ, **({paths.IDENTITY_VARIABLE: str(identity)} if identity else {})}
    return subprocess.run(command("hook", *words), input=payload, capture_output=True, env=environment, check=False)


@pytest.fixture
def identity(home: Path) -> Path:
    file = home / "agent.identity"
    file.write_text(json.dumps(IDENTITY))
    return file


@contextmanager
def daemon(identity: Path, answer: Callable[[socket.socket], None]) -> Iterator[list[Json]]:
    """Listen where the team daemon would; yield the frames that came in."""
    frames: list[Json] = []
    path = identity.with_name("control.sock")

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            frames.append(read(connection))
            answer(connection)
            if more := read(connection):
                frames.append(more)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield frames
        thread.join(10)
    path.unlink()


def read(connection: socket.socket) -> Json:
    """Return the next frame, {} at the end."""
    stream = connection.makefile("rb")
    size = int.from_bytes(stream.read(4), "big")
    value: Json = json.loads(stream.read(size)) if size else {}
    return value


def saying(text: str) -> Callable[[socket.socket], None]:
    """Answer as the daemon does."""
    frame = encode({"type": "hook_output", "wants_ack": bool(text), "stdout": text})
    return lambda connection: connection.sendall(frame)


def quiet(done: subprocess.CompletedProcess[bytes]) -> bool:
    return (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_event_and_payload_reach_the_daemon_and_its_words_the_agent(identity: Path) -> None:
    """The payload goes as it is; what is printed is told to have been printed."""
    text = '{"decision": "block", "reason": "漢字\\n\\"quoted\\""}'
    with daemon(identity, saying(text)) as frames:
        done = hook("claude", "Stop", payload=b' {"a": [1, {"b": "\xc3\xa9"}]}\n', identity=identity)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, text, b"")
    call = {"payload": {"a": [1, {"b": "é"}]}, "identity": IDENTITY, "agent": "claude", "event": "Stop", "type": "hook"}
    assert frames == [call, {"type": "printed"}]


def test_the_payload_may_be_the_last_word(identity: Path) -> None:
    """As codex runs its notify program."""
    with daemon(identity, saying("")) as frames:
        assert quiet(hook("codex", "notify", '{"type": "agent-turn-complete"}', identity=identity))
    assert [frame.get("payload") for frame in frames] == [{"type": "agent-turn-complete"}]


@pytest.mark.parametrize("payload", [b"", b"nonsense", b"[1]", b'{"a": "' + b"x" * 1_000_000 + b'"}'], ids=len)
def test_a_payload_that_is_none_or_too_large_is_left_out(payload: bytes, identity: Path) -> None:
    """The event alone still tells the state; stdin is read to its end."""
    with daemon(identity, saying("")) as frames:
        assert quiet(hook("claude", "PostToolUse", payload=payload, identity=identity))
    assert [(frame["event"], frame["payload"]) for frame in frames] == [("PostToolUse", None)]


def test_outside_a_team_nothing_happens(home: Path) -> None:
    """No identity, one that is gone, and no daemon are all the same."""
    assert quiet(hook("claude", "Stop", payload=b"{}"))
    assert quiet(hook("claude", "Stop", payload=b"{}", identity=home / "gone" / "x.identity"))
    (home / "x.identity").write_text("{}")
    assert quiet(hook("claude", "Stop", payload=b"{}", identity=home / "x.identity"))


@pytest.mark.parametrize(
    "words", [(), ("claude",), ("claude", "Stop", "{}", "more"), ('cl"aude', "Stop"), ("--x", "y")]
)
def test_strange_words_are_quiet(words: tuple[str, ...], identity: Path) -> None:
    """A hook that is written wrongly breaks no agent."""
    assert quiet(hook(*words, identity=identity))


STRANGE = {
    "hangs-up": b"",
    "noise": b"\x00\x00\x00\x03\xff\xfe\x00",
    "huge": b"\xff\xff\xff\xff",
    "cut": b"\x00\x00\x00\x40{",
    "other": encode({"type": "failed", "stdout": "do not print"}),
    "broken-text": b'\x00\x00\x00\x24{"type":"hook_output","stdout":"\\q"}',
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_daemon_is_not_repeated(name: str, identity: Path) -> None:
    """Whatever answers, nothing is printed unless it is meant to be."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(STRANGE[name])
        connection.shutdown(socket.SHUT_WR)

    with daemon(identity, answer):
        assert quiet(hook("claude", "Stop", payload=b"{}", identity=identity))


def test_a_daemon_that_hangs_holds_nobody_up_for_long(identity: Path) -> None:
    """After two seconds the agent goes on."""
    begun = time.monotonic()
    with daemon(identity, lambda _connection: None):
        assert quiet(hook("claude", "Stop", payload=b"{}", identity=identity))
    assert 1.9 < time.monotonic() - begun < 8


def test_an_agent_that_never_closes_stdin_is_not_waited_for(identity: Path) -> None:
    """A pipe that stays open costs two seconds, no more."""
    reader, writer = os.pipe()
    environment = {**os.environ, paths.IDENTITY_VARIABLE: str(identity)}
    with subprocess.Popen(command("hook", "claude", "Stop"), stdin=reader, env=environment) as process:
        assert process.wait(10) == 0
    os.close(reader)
    os.close(writer)


def test_help_is_for_people(home: Path) -> None:
    """`hook --help` explains."""
    done = hook("--help")
    assert done.returncode == 0
    assert b"Hand an agent's hook event to its team" in done.stdout
