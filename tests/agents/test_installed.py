"""Which agents are installed, in which version."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from intercom_mux.agents.installed import Agent, survey

if TYPE_CHECKING:
    from pathlib import Path


def profile(home: Path, name: str, text: str) -> None:
    directory = home / "config" / "intercom-mux" / "agents"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.yaml").write_text(text)


def program(home: Path, name: str, script: str) -> Path:
    path = home / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    profile(home, name, f"binaries: ['{path}']\nargv: ['{{binary}}']\nroutes: [inbox]\n")
    return path


def surveyed(**more: float) -> dict[str, Agent]:
    return {agent.name: agent for agent in survey(which=lambda name: name if name.startswith("/") else None, **more)}


def test_versions_and_places_are_told(home: Path) -> None:
    """An installed program tells its version; one without, one not installed and the demo are told apart."""
    path = program(home, "talker", "echo 'Talker (build 7) v2.14.0-beta, of today'")
    program(home, "mute", "echo hello")
    agents = surveyed()
    talker, mute, demo, claude = (agents[name] for name in ("talker", "mute", "demo", "claude"))
    assert (talker.program, talker.version, talker.origin) == (str(path), "2.14.0-beta", "user")
    assert (mute.is_installed, mute.version) == (True, None)
    assert (demo.is_installed, demo.program, demo.origin) == (True, None, "bundled")
    assert (claude.is_installed, claude.is_auto, claude.routes) == (False, True, ("hook", "paste"))
    assert claude.status == ("hooks", "title", "screen")
    assert "command" not in agents


def test_slow_programs_are_asked_at_once_and_given_up(home: Path) -> None:
    """Several that never answer cost one time limit, not one each."""
    for name in ("one", "two", "three", "four"):
        program(home, name, "exec sleep 60")
    begun = time.monotonic()
    agents = surveyed(limit_s=2)
    assert [agents[name].version for name in ("one", "four")] == [None, None]
    assert time.monotonic() - begun < 7


def test_a_faulty_profile_is_shown_with_its_fault(home: Path) -> None:
    """One that cannot be read does not hide the others."""
    profile(home, "bad", "argv: [\n")
    agents = surveyed()
    assert "bad.yaml:1:7" in (agents["bad"].fault or "")
    assert agents["demo"].fault is None
