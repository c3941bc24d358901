"""Ask → reply by command-line processes: ours against hcom's send → listen → send → listen, in one run.

    python -m tests.bench.ask_reply [--hcom PATH] [--repeats N]

Ours: one `ask` process, and one `reply` process started when the question has reached its receiver. Prints medians and
their ratio. Byte code is compiled first, as an installed tool has it.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUESTION = "How does this repo structure token refresh retries?"


class Receiver:
    """The endpoint of one peer, as its team daemon would hold it."""

    def __init__(self, path: Path, name: str, root: Path) -> None:
        from intercom_mux.client.identity import Identity, write

        self.token = os.urandom(8).hex()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(path))
        session = {"name": name, "cwd": "/", "model": "bench", "pid": 1, "startedAt": 1, "lastActivity": 1}
        team = {"id": "bench-1", "name": "bench", "dir": "/"}
        mux = {"version": 1, "team": team, "role": name, "token": self.token}
        payload = json.dumps({"type": "register", "sessionId": f"{name}-id", "session": session, "mux": mux}).encode()
        self.sock.sendall(struct.pack(">I", len(payload)) + payload)
        self.identity = root / f"{name}.identity"
        write(self.identity, Identity(f"{name}-id", name, path, team="bench-1", token=self.token))

    def wait(self) -> None:
        """Return when something has arrived, and forget it."""
        self.sock.recv(65_536)
        self.sock.setblocking(False)
        try:
            while self.sock.recv(65_536):
                pass
        except BlockingIOError:
            self.sock.setblocking(True)


def ours_s(script: str, planner: Receiver, worker: Receiver) -> float:
    """Return the seconds from starting `ask` to its end."""
    environment = {**os.environ, "INTERCOM_MUX_IDENTITY": str(planner.identity)}
    begun = time.perf_counter()
    ask = subprocess.Popen([script, "ask", "worker", QUESTION], env=environment, stdout=subprocess.DEVNULL)
    worker.wait()
    environment["INTERCOM_MUX_IDENTITY"] = str(worker.identity)
    subprocess.run([script, "reply", "In refresh.py."], env=environment, check=True, stdout=subprocess.DEVNULL)
    ask.wait()
    spent = time.perf_counter() - begun
    assert ask.returncode == 0
    return spent


def hcom_s(hcom: str, planner: str, worker: str) -> float:
    """Return the seconds of send, listen, send, listen."""
    begun = time.perf_counter()
    for sender, receiver in ((planner, worker), (worker, planner)):
        for words in (("send", f"@{receiver}", "--name", sender, "--", QUESTION), ("listen", "5", "--name", receiver)):
            subprocess.run([hcom, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    """Measure, interleaved, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hcom", default=shutil.which("hcom"))
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    import intercom_mux
    from intercom_mux.broker import lifecycle

    compileall.compile_dir(str(Path(intercom_mux.__file__).parent), quiet=1)
    root = Path(tempfile.mkdtemp(prefix="imt-", dir="/tmp"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(HOME=str(root), HCOM_DIR=str(root / "hcom"), XDG_STATE_HOME=str(root / "state"))
    script = str(Path(sys.executable).with_name("intercom-mux"))
    ours, theirs = [], []
    names = []
    if options.hcom:
        for _ in range(2):
            said = subprocess.run([options.hcom, "start"], check=True, capture_output=True, text=True).stdout
            names += re.findall(r"\[hcom:(\w+)\]", said)[:1]
    try:
        path = lifecycle.ensure_running()
        planner, worker = (Receiver(path, name, root) for name in ("planner", "worker"))
        for receiver in (planner, worker):
            receiver.wait()
        for _ in range(options.repeats):
            ours.append(ours_s(script, planner, worker))
            if options.hcom:
                theirs.append(hcom_s(options.hcom, *names))
    finally:
        lifecycle.stop()
        shutil.rmtree(root)
    print(f"ours  {statistics.median(ours) * 1000:.0f} ms")
    if theirs:
        print(f"hcom  {statistics.median(theirs) * 1000:.0f} ms")
        print(f"ours / hcom = {statistics.median(ours) / statistics.median(theirs):.2f} (budget < 1)")


if __name__ == "__main__":
    main()
