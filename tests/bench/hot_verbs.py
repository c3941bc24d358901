"""What hot verbs cost against a bare interpreter: `python -m tests.bench.hot_verbs`; needs valgrind.

Counts user instructions, which repeat to a tenth of a percent and do not depend on load. The installed script counts
too: pip before 26 writes one that imports `re`, 0.65 of a bare start. `entry` is without the script, `script` with it.
Run it with the interpreter whose installation is to be judged.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.client import identity as identities
from intercom_mux.wire.frames import encode
from tests.cli.stage import TEAM, Peer, echo

BUDGET = 1.5
ENTRY = "import sys; from intercom_mux._entry import main; sys.exit(main(sys.argv[1:]))"
CALLS = {
    "send": ["planner", "hello there"],
    "ask": ["planner", "why?"],
    "pending": [],
    "inbox": [],
    "progress": ["parser", "--percent", "40"],
    "hook": ["claude", "PostToolUse", '{"tool_name": "Bash"}'],
}


def instructions(*argv: str) -> int:
    """Return the user instructions of one run, which must succeed."""
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run([*tool, *argv], capture_output=True, text=True, check=True)
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found, done.stderr
    return int(found[1].replace(",", ""))


def listen_to_hooks(path: Path) -> None:
    """Answer hook calls as a team daemon does for which nothing waits, in a thread that ends with us."""
    answer = encode({"type": "hook_output", "wants_ack": False, "stdout": ""})
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            with listener.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()


def main() -> None:
    """Print one line per verb: instructions, ratio with a plain entry, ratio with the installed script."""
    python = sys.executable
    script = Path(python).with_name("intercom-mux")
    bare = instructions(python, "-c", "pass")
    print(f"bare: {bare / 1e6:.1f} M instructions; budget {BUDGET} x")
    print(f"{'verb':10} {'entry':>8} {'script':>8}")
    with Peer("planner", team=TEAM, answer=echo), Peer("worker", team=TEAM, answer=echo) as worker:
        me = identities.Identity(
            worker.session_id, "worker", paths.broker_socket(), "", TEAM["id"], worker.token, ask_wait_s=100
        )
        file = paths.state_dir() / "worker.identity"
        identities.write(file, me)
        listen_to_hooks(file.with_name("control.sock"))
        os.environ[paths.IDENTITY_VARIABLE] = str(file)
        for verb, words in CALLS.items():
            subprocess.run([python, "-c", ENTRY, verb, *words], capture_output=True, check=True)
            plain = instructions(python, "-c", ENTRY, verb, *words) / bare
            installed = instructions(python, str(script), verb, *words) / bare
            mark = "" if installed <= BUDGET else "  over: the script imports `re`" if plain <= BUDGET else "  OVER"
            print(f"{verb:10} {plain:8.2f} {installed:8.2f}{mark}")


if __name__ == "__main__":
    # Byte code must be kept, or every start compiles.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    state = tempfile.mkdtemp(prefix="imb-", dir="/tmp")
    os.environ["XDG_STATE_HOME"] = state
    try:
        main()
    finally:
        lifecycle.stop()
        shutil.rmtree(state)
