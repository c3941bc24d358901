"""Round trip and burst of a broker against a bare C relay, in one run: `python -m tests.bench.broker`.

The same two connections and the same bytes drive both; ours journals every message. Needs a C compiler. Prints ratios,
which is all that means anything across machines.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROUND_TRIPS = 3_000
BURST = 8_000
"""Below the bound of one mailbox: a burst beyond what its receiver has confirmed is refused, not lost."""

REPEATS = 5
READ_BYTES = 65_536
"""Below what the C library maps and unmaps for every read, which would be measured instead of the broker."""

TEXT = "How does this repo structure token refresh retries? " * 4


class Peer:
    """One raw connection: frames out, frames in, no client code in between."""

    def __init__(self, path: str, name: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.buffer = b""
        self.receipts = b""
        session = {"name": name, "cwd": "/", "model": "bench", "pid": 1, "startedAt": 1, "lastActivity": 1}
        mux = {"version": 1, "events": False}
        self.put(json.dumps({"type": "register", "sessionId": name, "session": session, "mux": mux}).encode())

    def put(self, payload: bytes) -> None:
        self.sock.sendall(struct.pack(">I", len(payload)) + payload)

    def get(self) -> bytes:
        while True:
            if len(self.buffer) >= 4:
                size = 4 + struct.unpack_from(">I", self.buffer)[0]
                if len(self.buffer) >= size:
                    frame, self.buffer = self.buffer[4:size], self.buffer[size:]
                    return frame
            data = self.sock.recv(READ_BYTES)
            if not data:
                raise ConnectionError("the broker hung up")
            self.buffer += data

    def acknowledge(self, frame: bytes) -> None:
        """Confirm a message, in batches as a client that reads a burst would; the id stands first in its message."""
        payload = receipt_frame(message_id(frame))
        self.receipts += struct.pack(">I", len(payload)) + payload
        if len(self.receipts) > 8_192:
            self.sock.sendall(self.receipts)
            self.receipts = b""

    def get_message(self) -> bytes:
        """Return the next message frame: `message` from a broker, `send` as passed on by the relay."""
        while True:
            frame = self.get()
            if frame.startswith((b'{"type":"message",', b'{"type":"send"')):
                return frame


def answers(path: str) -> bool:
    """Return whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


def message_id(frame: bytes) -> bytes:
    """Return the id of the message in a frame, which stands first in it."""
    start = frame.index(b'"message":{"id":"') + 17
    return frame[start : frame.index(b'"', start)]


def send_frame(to: str, id_: str, *, ask: bool = False, reply_to: str = "") -> bytes:
    """Return a `send` frame's payload as a client writes it."""
    extra = ',"expectsReply":true' if ask else f',"replyTo":"{reply_to}"' if reply_to else ""
    head = f'{{"type":"send","to":"{to}","message":{{"id":"{id_}","timestamp":1{extra},'
    return (head + f'"content":{{"text":"{TEXT}"}}}}}}').encode()


def receipt_frame(id_: bytes) -> bytes:
    """Return the payload of a receipt as a client writes it."""
    return b'{"type":"message_receipt","receipt":{"messageId":"%b","status":"acknowledged","timestamp":1}}' % id_


def round_trip_s(path: str) -> float:
    """Return the median seconds of ask → reply between two processes with a connection each."""
    child = os.fork()
    if child == 0:
        try:
            _answer(Peer(path, "answerer"))
        finally:
            os._exit(0)
    asker = Peer(path, "asker")
    time.sleep(0.1)
    spent = []
    for number in range(ROUND_TRIPS):
        ask_id = f"{os.getpid()}-{time.monotonic_ns()}-{number}"
        begun = time.perf_counter()
        asker.put(send_frame("answerer", ask_id, ask=True))
        asker.get_message()
        spent.append(time.perf_counter() - begun)
        asker.put(receipt_frame(b"%b-r" % ask_id.encode()))
    asker.sock.close()
    os.waitpid(child, 0)
    return statistics.median(spent)


def _answer(answerer: Peer) -> None:
    for _ in range(ROUND_TRIPS):
        ask_id = message_id(answerer.get_message())
        answerer.put(send_frame("asker", f"{ask_id.decode()}-r", reply_to=ask_id.decode()))
        answerer.put(receipt_frame(ask_id))
    answerer.sock.close()


def _send_burst(path: str) -> None:
    """Send the burst in batches, reading the answers beside it: neither side may wait for the other to read."""
    sender = Peer(path, "sender")

    def drain() -> None:
        while sender.sock.recv(READ_BYTES):
            pass

    reader = threading.Thread(target=drain)
    reader.start()
    for start in range(0, BURST, 100):
        batch = b""
        for number in range(start, start + 100):
            payload = send_frame("receiver", f"b{os.getpid()}-{time.monotonic_ns()}-{number:06d}")
            batch += struct.pack(">I", len(payload)) + payload
        sender.sock.sendall(batch)
    sender.sock.shutdown(socket.SHUT_WR)
    reader.join()


def burst_per_s(path: str, *, confirm: bool) -> float:
    """Return messages per second from one sender to one receiver, every one received and in order.

    Receipts go to ours alone: the relay blocks on its writes and could not take them meanwhile.
    """
    receiver = Peer(path, "receiver")
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        try:
            _send_burst(path)
        finally:
            os._exit(0)
    first = receiver.get_message()
    begun = time.perf_counter()
    for number in range(1, BURST):
        frame = receiver.get_message()
        assert f"-{number:06d}".encode() in frame
        if confirm:
            receiver.acknowledge(frame)
    spent = time.perf_counter() - begun
    if confirm:
        receiver.acknowledge(first)
        receiver.sock.sendall(receiver.receipts)
    receiver.sock.close()
    os.waitpid(child, 0)
    return (BURST - 1) / spent


def main() -> None:
    """Measure the relay and ours alternately and print the ratios of the medians."""
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("a C compiler (cc) is needed for the relay")
    root = Path(tempfile.mkdtemp(prefix="imt-bench-", dir="/tmp"))
    relay_binary = root / "relay"
    subprocess.run([compiler, "-O2", "-o", relay_binary, Path(__file__).with_name("relay.c")], check=True)
    os.environ["XDG_STATE_HOME"] = str(root / "state")
    from intercom_mux.broker import lifecycle

    trips: dict[str, list[float]] = {"relay": [], "ours": []}
    bursts: dict[str, list[float]] = {"relay": [], "ours": []}
    try:
        ours = str(lifecycle.ensure_running())
        for turn in range(REPEATS):
            relay_path = str(root / f"relay{turn}.sock")
            relay = subprocess.Popen([relay_binary, relay_path])
            while not answers(relay_path):
                time.sleep(0.01)
            for name, path in (("relay", relay_path), ("ours", ours)):
                trips[name].append(round_trip_s(path))
                bursts[name].append(burst_per_s(path, confirm=name == "ours"))
            relay.kill()
            relay.wait()
    finally:
        lifecycle.stop()
        shutil.rmtree(root)
    trip = {name: statistics.median(values) for name, values in trips.items()}
    burst = {name: statistics.median(values) for name, values in bursts.items()}
    print(f"ask → reply: relay {trip['relay'] * 1e6:.0f} µs, ours {trip['ours'] * 1e6:.0f} µs")
    print(f"  ratio {trip['ours'] / trip['relay']:.2f} (budget ≤ 3)")
    print(f"burst: relay {burst['relay']:.0f}/s, ours {burst['ours']:.0f}/s")
    print(f"  ratio {burst['ours'] / burst['relay']:.2f} (budget ≥ 0.3)")


if __name__ == "__main__":
    main()
