"""Sessions on a real broker for the tests of the command line: peers that listen and answer, panes, ways to run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from intercom_mux import _fastpath, paths
from intercom_mux.broker.lifecycle import ensure_running
from intercom_mux.cli import main as click_path
from intercom_mux.client import identity as identities
from intercom_mux.client.identity import Identity, Supervisor
from intercom_mux.wire.frames import Splitter, decode, encode
from tests.support import SCALE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pytest

    from tests.v1.client import V1Client

Json = dict[str, Any]

TEAM = {"id": "crew-1", "name": "crew", "dir": "/srv/crew"}


class Peer:
    """An endpoint session written by hand: registers, keeps what it is sent, answers when told to."""

    def __init__(
        self,
        name: str,
        *,
        role: str | None = None,
        team: Json | None = None,
        scope: str = "",
        answer: Callable[[Peer, Json], None] | None = None,
        cwd: str | None = None,
    ) -> None:
        self.name = name
        self.session_id = f"session-{name}"
        self.token = f"token-{name}"
        self.team = team
        self.scope = scope
        self.frames: list[Json] = []
        self.answer = answer
        """Called on the listening thread with every message."""
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.connect(str(ensure_running()))
        info = {"name": name, "cwd": cwd or f"/srv/{name}", "model": "m-1", "pid": 1, "startedAt": 1, "lastActivity": 1}
        mux: Json = {"version": 1, "token": self.token}
        if role:
            mux["role"] = role
        if team:
            mux["team"] = team
        frame = {"type": "register", "sessionId": self.session_id, "session": {**info, "status": "idle"}, "mux": mux}
        self.write({**frame, "scopeId": scope} if scope else frame)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        wait_until(lambda: self.of_type("registered"), what=f"registration of {name}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._sock.close()

    def _listen(self) -> None:
        splitter = Splitter()
        with contextlib.suppress(OSError):
            while data := self._sock.recv(65_536):
                for payload in splitter.feed(data):
                    frame = decode(payload)
                    self.frames.append(frame)
                    if frame["type"] == "message" and self.answer is not None:
                        self.answer(self, frame["message"])

    def write(self, frame: Json) -> None:
        """Send one frame as this session."""
        self._sock.sendall(encode(frame))

    def of_type(self, kind: str) -> list[Json]:
        """Return the frames of one type that came."""
        return [frame for frame in self.frames if frame["type"] == kind]

    def texts(self) -> list[str]:
        """Return the texts of the messages that came, in order."""
        return [frame["message"]["content"]["text"] for frame in self.of_type("message")]

    def confirm(self, message: Json, status: str = "injected", detail: str | None = None) -> None:
        """Send a receipt."""
        receipt = _receipt(message["id"], status)
        self.write({"type": "message_receipt", "receipt": {**receipt, "detail": detail} if detail else receipt})

    def reply(self, message: Json, text: str, **content: Any) -> None:
        """Answer an ask."""
        reply = {"id": f"reply-{message['id']}", "timestamp": 1, "content": {"text": text, **content}}
        sender = next(f["from"]["id"] for f in self.of_type("message") if f["message"]["id"] == message["id"])
        self.write({"type": "send", "to": sender, "message": {**reply, "replyTo": message["id"]}})

    def enter_pane(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        ask_wait_s: float | None = None,
        supervisor: Peer | V1Client | None = None,
    ) -> Path:
        """Make this test's commands act as this peer, as in its pane."""
        team = self.team["id"] if self.team else None
        boss = Supervisor(supervisor.session_id, supervisor.name, team or "", "worker", 1) if supervisor else None
        me = Identity(self.session_id, self.name, paths.broker_socket(), self.scope, team, self.token, ask_wait_s, boss)
        file = paths.state_dir() / f"{self.name}.identity"
        identities.write(file, me)
        monkeypatch.setenv(paths.IDENTITY_VARIABLE, str(file))
        return file


def _receipt(message_id: str, status: str) -> Json:
    return {"messageId": message_id, "status": status, "timestamp": 1}


def echo(peer: Peer, message: Json) -> None:
    """Answer every ask with its own text in brackets."""
    peer.confirm(message)
    if message.get("expectsReply"):
        peer.reply(message, f"<{message['content']['text']}>")


class Ran(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON on stdout."""
        return json.loads(self.out)


def command(*arguments: str) -> list[str]:
    """Return the argv of a real process."""
    return [sys.executable, "-I", "-m", "intercom_mux", *arguments]


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a real process, its three streams piped unless `options` say otherwise."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(*arguments), **{**pipes, **options})


def shown_at(columns: int, *arguments: str) -> list[str]:
    """Run a real process whose standard output is a terminal so wide, and return the lines that it shows."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    process = start(*arguments, stdout=end)
    process.communicate(timeout=20 * SCALE)
    os.close(end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert process.returncode == 0
    return shown.splitlines()


def run(*arguments: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None) -> Ran:
    """Run a real process to its end."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(
        command(*arguments), input=data, capture_output=True, env=environment, timeout=30 * SCALE, check=False
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


class Both:
    """The same call by the fast path and by click, in this process, for comparison."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def fast(self, *arguments: str) -> Ran:
        """Run by the fast path, which must not hand over."""
        return self._run(_fastpath.run, arguments)

    def click(self, *arguments: str) -> Ran:
        """Run by click."""
        return self._run(click_path.run, arguments)

    def _run(self, entry: Callable[[list[str]], int], arguments: tuple[str, ...]) -> Ran:
        self._capsys.readouterr()
        code = entry(list(arguments))
        captured = self._capsys.readouterr()
        return Ran(code, captured.out, captured.err)


def without_ids(text: str) -> str:
    """Return `text` with message ids, short or whole, and times as one word each."""
    text = re.sub(r"\b(?:[0-9a-f]{32}|[0-9a-f]{8})\b", "ID", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", text)


def without_ages(ran: Ran) -> Ran:
    """Return `ran` with all ages in seconds as one word: the clock may go on between two calls."""
    return ran._replace(out=re.sub(r"\b\d+s +", "AGE  ", ran.out))


@contextlib.contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> Iterator[list[list[Json]]]:
    """Act as `peer` through a relay, and yield what each ended connection wrote, ids and times made equal."""
    file = peer.enter_pane(monkeypatch)
    path = paths.runtime_dir() / "relay.sock"
    identity = json.loads(file.read_text())
    file.write_text(json.dumps({**identity, "socket": str(path)}))
    written: list[list[Json]] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    thread = threading.Thread(target=_relay, args=(listener, identity["socket"], written), daemon=True)
    thread.start()
    try:
        yield written
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listener.close()
        path.unlink()


def _relay(listener: socket.socket, broker: str, written: list[list[Json]]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            upstream.connect(broker)
            back = threading.Thread(target=_pump, args=(upstream, client, None), daemon=True)
            back.start()
            frames: list[Json] = []
            _pump(client, upstream, frames)
            written.append(frames)
            back.join(5)
            client.close()
            upstream.close()


def _pump(source: socket.socket, sink: socket.socket, frames: list[Json] | None) -> None:
    splitter = Splitter()
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            if frames is not None:
                frames += [_plain(decode(payload)) for payload in splitter.feed(data)]
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _plain(value: Any) -> Any:
    """Return a frame with ids and times replaced, so that two runs compare."""
    if isinstance(value, dict):
        return {key: "R" if key == "requestId" else _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"[0-9a-f]{32}", "ID", value)
    return "T" if isinstance(value, int) and value > 10**12 else value
