"""Agents with a client of their own, and who holds the place where that client looks for a broker."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.agents.profile import Profile
from intercom_mux.broker import lifecycle, places
from intercom_mux.host.unix import listening_pid
from intercom_mux.team import native_place
from tests.cli.stage import run

if TYPE_CHECKING:
    from collections.abc import Iterator

STOCK_BROKER = str(Path(__file__).parent.parent / "broker" / "stock_broker.py")


def native(name: str = "pi", *routes: str) -> Profile:
    """Return a profile with a native route."""
    return Profile(name=name, path=Path("x.yaml"), binaries=(), argv=(), routes=routes or ("native", "paste"))


@pytest.fixture
def foreign(home: Path) -> Iterator[int]:
    """The pid of a stock broker in pi's usual place."""
    runtime = paths.private_dir(home / ".pi" / "agent" / "intercom")
    process = subprocess.Popen([sys.executable, STOCK_BROKER, str(runtime)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)


def test_another_broker_in_the_place_is_named_with_the_step(home: Path, foreign: int) -> None:
    """Only for agents that have such a client, and only where theirs looks."""
    told = native_place.problem(native(), {}) or ""
    assert f"another broker (pid {foreign}) serves" in told
    assert f"intercom-mux broker replace --pi {home / '.pi' / 'agent'}" in told
    assert native_place.problem(native("pi", "paste"), {}) is None
    assert native_place.problem(native("atomic"), {}) is None
    assert native_place.problem(native(), {"PI_CODING_AGENT_DIR": str(home / "elsewhere")}) is None


def test_ours_in_the_place_is_right(home: Path) -> None:
    """And so is a free one: our broker will take it."""
    agent = home / ".pi" / "agent"
    assert native_place.problem(native(), {}) is None
    lifecycle.start_at([agent])
    assert native_place.problem(native(), {}) is None


def test_each_agent_looks_in_its_own_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Atomic has one; pi's is moved by the peer's environment, else by that of `up`."""
    assert native_place.agent_dir("atomic", {"PI_CODING_AGENT_DIR": "/x"}) == home / ".atomic" / "agent"
    monkeypatch.setenv("PI_CODING_AGENT_DIR", "/ours")
    assert native_place.agent_dir("pi", {"PI_CODING_AGENT_DIR": " /theirs "}) == Path("/theirs")
    assert native_place.agent_dir("pi", {}) == Path("/ours")


def test_up_stops_before_anything_starts(home: Path, foreign: int) -> None:
    """The peer is named with its line; no broker, no team, and the other broker is untouched."""
    agents = home / "config" / "intercom-mux" / "agents"
    agents.mkdir(parents=True)
    profile = ["binaries: [cat]", 'argv: ["{binary}"]', 'env: {PI_INTERCOM_STABLE_ID: "{session}"}', "routes: [native]"]
    (agents / "pi.yaml").write_text("\n".join(profile))
    layout = home / "team.yaml"
    layout.write_text("version: 1\nname: crew\npeers:\n  worker: {agent: pi}\n  helper: {command: [cat]}\n")
    ran = run("up", str(layout), "--json")
    error = ran.json["error"]
    assert (ran.code, error["code"], [problem["key"] for problem in error["problems"]]) == (
        3,
        "E_LAYOUT",
        ["peers.worker"],
    )
    assert "intercom-mux broker replace" in error["message"]
    assert lifecycle.running() is None
    assert not list(paths.team_state_dir("*").parent.glob("*/state.json"))
    assert listening_pid(places.socket_of(home / ".pi" / "agent")) == foreign
