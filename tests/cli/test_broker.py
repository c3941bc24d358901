"""`broker run | start | stop | status | replace`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from tests.cli.stage import run, start
from tests.support import wait_until


def test_status_starts_nothing(home: Path) -> None:
    """Without a broker it says so, and names the socket that one would have."""
    facts = run("broker", "status", "--json")
    own = str(paths.broker_socket())
    shell = {"socket": own, "broker": "intercom-mux"}
    assert (facts.code, facts.json) == (0, {"running": False, "socket": own, "places": [], "shell": shell})
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


def test_start_at_further_places(home: Path) -> None:
    """They are made, served on return, and listed with who holds them."""
    pi, atomic = home / "pi", home / "atomic"
    assert run("broker", "start", "--pi", str(pi), "--atomic", str(atomic)).code == 0
    facts = run("broker", "status", "--json").json
    expected = [
        {"path": str(agent / "intercom" / "broker.sock"), "state": "ours", "pid": facts["pid"]}
        for agent in (pi, atomic)
    ]
    assert facts["places"] == expected
    assert f"{expected[0]['path']}: served by this broker" in run("broker", "status").out
    run("broker", "stop")
    assert f"{expected[0]['path']}: nobody listens" in run("broker", "status").out


def test_run_takes_places_and_pis_setting(home: Path) -> None:
    """Before the arguments that pi appends."""
    arguments = ("broker", "run", "--pi", str(home / "asked"), "/x/broker.ts")
    process = start(*arguments, env={**os.environ, "PI_CODING_AGENT_DIR": str(home / "set")})
    assert process.stdout is not None
    process.stdout.readline()
    states = {place["path"]: place["state"] for place in run("broker", "status", "--json").json["places"]}
    assert states == {str(home / name / "intercom" / "broker.sock"): "ours" for name in ("asked", "set")}
    process.send_signal(signal.SIGTERM)
    process.communicate()


def test_replace_makes_no_directory_of_pis(home: Path) -> None:
    """Where pi is not there is nothing to replace; a directory that is named is meant."""
    refused = run("broker", "replace", "--yes")
    assert (refused.code, f"there is no {home / '.pi' / 'agent'}" in refused.err) == (5, True)
    assert not (home / ".pi").exists()
    assert run("broker", "replace", "--yes", "--pi", str(home / "agent")).code == 0


def test_replace_asks_and_says_what_is_lost(home: Path) -> None:
    """Nothing happens without a yes; status names the other broker and the way."""
    agent = home / ".pi" / "agent"
    paths.private_dir(agent / "intercom")
    program = Path(__file__).parent.parent / "broker" / "stock_broker.py"
    stock = subprocess.Popen([sys.executable, str(program), str(agent / "intercom")], stdout=subprocess.PIPE)
    assert stock.stdout is not None
    stock.stdout.readline()
    refused = run("broker", "replace", stdin="n\n")
    assert refused.code != 0
    assert f"(pid {stock.pid})" in refused.err
    assert "are lost" in refused.err
    assert stock.poll() is None
    assert f"another broker (pid {stock.pid}); `intercom-mux broker replace`" in run("broker", "status").out
    socket = str(agent / "intercom" / "broker.sock")
    assert run("broker", "replace", "--json", stdin="y\n").json == {"socket": socket, "retired": stock.pid}
    assert stock.wait(10) == 0
    stock.communicate()
    assert run("broker", "replace", "--yes").out == f"the broker listens on {socket}\n"
