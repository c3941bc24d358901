"""`broker run | start | stop | status`."""

from __future__ import annotations

import signal
from pathlib import Path

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from tests.cli.stage import run, start
from tests.support import wait_until


def test_status_starts_nothing(home: Path) -> None:
    """Without a broker it says so, and names the socket that one would have."""
    facts = run("broker", "status", "--json")
    assert (facts.code, facts.json) == (0, {"running": False, "socket": str(paths.broker_socket())})
    assert run("broker", "status").out.startswith("no broker is running")
    assert not paths.broker_file().exists()


def test_start_status_stop(home: Path) -> None:
    """Started once however often, counted while it runs, gone after stop."""
    socket = run("broker", "start", "--json").json["socket"]
    assert run("broker", "start").out == f"the broker listens on {socket}\n"
    facts = run("broker", "status", "--json").json
    assert (facts["running"], facts["socket"]) == (True, socket)
    assert {"pid", "version", "uptime_s", "sessions", "waiting_messages", "open_asks"} <= facts.keys()
    assert "running " in run("broker", "status").out
    assert run("broker", "stop", "--json").json == {"running": False, "stopped": True}
    assert run("broker", "stop").out == "no broker is running\n"
    assert not Path(socket).exists()


def test_run_announces_and_ignores_what_follows(home: Path) -> None:
    """In the foreground, as pi's brokerCommand: further arguments are pi's own, and the line it waits for comes."""
    process = start("broker", "run", "--no-install", "/x/broker.ts")
    assert process.stdout is not None
    assert process.stdout.readline() == f"Intercom broker started (pid: {process.pid})\n"
    assert (wait_until(lifecycle.running, what="broker") or {})["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.communicate()
