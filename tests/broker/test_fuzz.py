"""Hostile connections of every kind against a real broker, while two good clients talk and must not notice.

What single bad frames do to the core is in core/test_hostile.py; here it is bytes, sockets and numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from intercom_mux import paths
from tests.broker.core.test_hostile import TEMPLATES
from tests.broker.live import broker_pid, start
from tests.support import SCALE, wait_until
from tests.v1.client import V1Client

if TYPE_CHECKING:
    from collections.abc import Iterator

REGISTER = {
    "type": "register",
    "sessionId": "id-fuzz",
    "session": {"name": "fuzz", "cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1},
}
GROWTH_MB = 24
"""What the broker may keep of all that: its own buffers and the allocator's slack."""


def framed(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


def dial() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5 * SCALE)
    sock.connect(str(paths.broker_socket()))
    return sock


def throw(data: bytes, *, registered: bool) -> None:
    """Open a connection, send, and leave without reading; the broker may have hung up before."""
    with dial() as sock, contextlib.suppress(ConnectionError):
        if registered:
            sock.sendall(framed(json.dumps(REGISTER).encode()))
        sock.sendall(data)


class Broker:
    """The running broker as its machine sees it, and two good clients that talk all the time."""

    def __init__(self, alice: V1Client, bob: V1Client) -> None:
        self.alice = alice
        self.bob = bob
        self.slowest_s = 0.0
        self.sent = 0
        self._pid = broker_pid()
        self._is_over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._talk)
        self._fds = self.fds()
        self._rss_mb = self.rss_mb()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(20)

    def _talk(self) -> None:
        try:
            while not self._is_over.wait(0.04):
                begun = time.monotonic()
                self.alice.send("bob", str(self.sent), message_id=f"good-{self.sent}")
                self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
                self.sent += 1
        except BaseException as error:
            self._error = error

    def pause(self, seconds: float) -> None:
        """Let the good ones talk for a while."""
        self._is_over.wait(seconds)

    def fds(self) -> int:
        return len(os.listdir(f"/proc/{self._pid}/fd"))

    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def check_undisturbed(self) -> None:
        """Fail if the good ones noticed anything, or if the broker keeps what it should have let go."""
        before = self.sent
        wait_until(lambda: self.sent > before + 2 or self._error, what="further traffic")
        assert self._error is None
        wait_until(lambda: self.bob.texts() == [str(n) for n in range(len(self.bob.inbox))], what="order")
        wait_until(lambda: len(self.bob.inbox) >= before, what="all mail")
        assert self.alice.connections == self.bob.connections == 1
        assert self.bob.repeats == 0
        assert self.slowest_s < 1.0 * SCALE
        wait_until(lambda: self.fds() <= self._fds + 1, what="file descriptors given back")
        assert self.rss_mb() < self._rss_mb + GROWTH_MB
        assert broker_pid() == self._pid


@pytest.fixture
def broker(home: Path) -> Iterator[Broker]:
    """A broker with its good clients; it is still the same and well after the test."""
    path = start()
    with V1Client(path, "alice") as alice, V1Client(path, "bob") as bob, Broker(alice, bob) as broker:
        yield broker
        broker.check_undisturbed()


def test_random_bytes(broker: Broker) -> None:
    """Registered or not."""
    dice = random.Random(1)
    for number in range(200):
        throw(dice.randbytes(dice.choice((1, 3, 5, 100, 10_000))), registered=number % 2 == 0)


def test_mutated_frames(broker: Broker) -> None:
    """Valid frames with bytes flipped, cut, doubled or inserted; the length right or not."""
    dice = random.Random(2)
    for _ in range(300):
        payload = bytearray(json.dumps(dice.choice(TEMPLATES)).encode())
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(payload))
            match dice.randrange(4):
                case 0:
                    payload[at] = dice.randrange(256)
                case 1:
                    del payload[at : at + dice.randint(1, 8)]
                    payload = payload or bytearray(b"{")
                case 2:
                    payload[at:at] = payload[:at]
                case _:
                    payload[at:at] = dice.choice((b"null", b"[" * 70, b"1e400", b"NaN", b"\xff", b"\\ud800", b"\0"))
        data = framed(bytes(payload))
        if dice.random() < 0.2:
            data = struct.pack(">I", dice.choice((0, 1, len(payload) + 9, 2**31))) + payload
        throw(data * dice.randint(1, 3), registered=dice.random() < 0.8)


def test_truncated_frames(broker: Broker) -> None:
    """Cut after every kind of beginning, then gone."""
    whole = framed(json.dumps(TEMPLATES[3]).encode())
    for cut in range(0, len(whole), 3):
        throw(whole[:cut], registered=cut % 2 == 0)


def test_many_that_promise_a_large_frame(broker: Broker) -> None:
    """A declared megabyte costs nothing before it comes; most of one that never ends is let go with its connection."""
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(dial())
            sock.sendall(struct.pack(">I", 1_048_576) + b" " * 500_000)
        before = broker.sent
        wait_until(lambda: broker.sent > before + 5, what="traffic beside them")


def test_200_that_never_register(broker: Broker) -> None:
    """At most 32 are kept, and those for a second."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(dial())
        wait_until(lambda: broker.fds() <= 8 + 32 + 20, what="most of them cut")
        before = broker.sent
        wait_until(lambda: broker.sent > before + 5, what="traffic beside them")
        wait_until(lambda: broker.fds() <= 8 + 20, what="all of them cut")


def test_slow_loris(broker: Broker) -> None:
    """A byte now and then does not keep an unregistered connection; a registered one may be slow and harms nobody."""
    hello = framed(json.dumps(REGISTER).encode())
    with contextlib.ExitStack() as stack:
        member = stack.enter_context(dial())
        member.sendall(hello + hello[:3])
        slow = [stack.enter_context(dial()) for _ in range(20)]
        begun = time.monotonic()
        drip = iter(hello[:-1])
        while slow:
            byte = bytes([next(drip)])
            slow = [sock for sock in slow if _takes(sock, byte)]
            broker.pause(0.03)
        assert time.monotonic() - begun < 5 * SCALE
        assert member.recv(65_536)


def _takes(sock: socket.socket, data: bytes) -> bool:
    try:
        sock.sendall(data)
    except ConnectionError:
        return False
    return True


def test_half_closed_connections(broker: Broker) -> None:
    """One that has said its last word is let go; one that cannot hear any more, too, once it goes."""
    for how in (socket.SHUT_WR, socket.SHUT_RD, socket.SHUT_RDWR):
        for registered in (False, True):
            for _ in range(20):
                with dial() as sock, contextlib.suppress(OSError):
                    if registered:
                        sock.sendall(framed(json.dumps(REGISTER).encode()))
                    sock.shutdown(how)
                    sock.sendall(framed(b'{"type":"list","requestId":"1"}'))
