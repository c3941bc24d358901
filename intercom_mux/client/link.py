"""The blocking connection under `Client`: dial, register as a handle, write and read frames."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self

from intercom_mux.broker import lifecycle
from intercom_mux.errors import BrokerError
from intercom_mux.host import endpoint, process
from intercom_mux.wire.frames import Splitter, decode, encode

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from intercom_mux.client.identity import Identity

Json = dict[str, Any]

ANSWER_TIMEOUT_S = 10.0
RECONNECT_S = 10.0


def now_ms() -> int:
    """Return the wall clock in Unix milliseconds, as messages carry it."""
    return time.time_ns() // 1_000_000


class Link:
    """A registered connection that acts as `identity`. Use as a context manager; `close` is idempotent."""

    wants_events = False
    """Whether to hear of sessions that come, change or leave, and of asks of ours that end."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.name = identity.name or ""
        self.waiting = 0
        """Messages in the session's mailbox when we connected."""
        self.dials = 0
        """How often we have connected."""
        self._sock: socket.socket | None = None
        self._splitter = Splitter()
        self._frames: list[Json] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. An ask that still waits becomes a ticket."""
        self._hang_up()

    def _hang_up(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _open(self, give_up_at: float) -> None:
        while True:
            try:
                self._dial()
                return
            except OSError as error:
                self.close()
                if time.monotonic() >= give_up_at:
                    raise BrokerError(
                        f"the broker does not answer on {self.identity.socket}: {error.strerror or error}",
                        hint="see `intercom-mux broker status`",
                    ) from error
            if self.identity.is_shell and not self.identity.is_explicit:
                lifecycle.ensure_running()
            else:
                # A pane's broker is brought back by its team daemon, one that was named by its owner.
                time.sleep(0.05)

    def _dial(self) -> None:
        self._hang_up()
        self.dials += 1
        self._splitter = Splitter()
        self._frames.clear()
        self._sock, keys = endpoint.dial(self.identity.socket, ANSWER_TIMEOUT_S)
        self._sock.sendall(encode({**self._registration(), **keys}))
        answer = self._next(time.monotonic() + ANSWER_TIMEOUT_S)
        if answer["type"] == "error":
            self.close()
            raise BrokerError(f"the broker refused this session: {answer.get('error')}", code="E_REFUSED")
        self._registered(answer)

    def _registered(self, answer: Json) -> None:
        self.name = answer.get("name") or self.name
        self.waiting = answer.get("waiting", 0)

    def _registration(self) -> Json:
        me = self.identity
        now = now_ms()
        session = {"cwd": _cwd(), "model": "cli", "pid": os.getpid(), "startedAt": now, "lastActivity": now}
        if me.name:
            session["name"] = me.name
        mux: Json = {"version": 1, "as": me.session_id}
        if me.is_shell:
            mux["shell"] = True
            mux["view"] = me.team
            session["pid"] = process.shell_pid()
        else:
            mux["token"] = me.token
        if self.wants_events:
            mux["events"] = True
        frame: Json = {"type": "register", "session": session, "mux": mux}
        if me.scope:
            frame["scopeId"] = me.scope
        return frame

    def _post(self, frame: Json) -> None:
        if self._sock is None:
            raise ConnectionError("not connected")
        self._sock.settimeout(ANSWER_TIMEOUT_S)
        self._sock.sendall(encode(frame))

    def _await(self, is_wanted: Callable[[Json], bool]) -> Json:
        """Return the first frame that `is_wanted`; others stay for later."""
        give_up_at = time.monotonic() + ANSWER_TIMEOUT_S
        seen = 0
        while True:
            for index in range(seen, len(self._frames)):
                if is_wanted(self._frames[index]):
                    return self._frames.pop(index)
            seen = len(self._frames)
            self._read(give_up_at)

    def _next(self, give_up_at: float) -> Json:
        """Return the oldest frame that nobody has taken yet; raises as `_read`."""
        while not self._frames:
            self._read(give_up_at)
        return self._frames.pop(0)

    def _read(self, give_up_at: float) -> None:
        """Append what the socket has to the frames.

        Raises:
            TimeoutError: Nothing came until `give_up_at` (monotonic seconds).
            ConnectionError: The broker hung up.
        """
        if self._sock is None:
            raise ConnectionError("not connected")
        left = give_up_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self._sock.settimeout(left)
        data = self._sock.recv(65_536)
        if not data:
            raise ConnectionResetError("the broker hung up")
        self._frames += [decode(payload) for payload in self._splitter.feed(data)]


def _cwd() -> str:
    """Return the working directory; one that was removed is still known by its name."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return os.environ.get("PWD", "/")
