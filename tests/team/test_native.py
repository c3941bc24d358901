"""A peer with a client of its own, end to end: a stand-in for pi in a real pane, real daemon and broker."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from intercom_mux.broker import places
from tests.support import wait_until
from tests.team.stage import DEMO, PROGRAMS, Stage, broker_pid

Json = dict[str, Any]
PI: Json = {"agent": "pi"}


@pytest.fixture
def piped(stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage where `pi` is our stand-in."""
    programs = home / "bin"
    programs.mkdir()
    script = programs / "pi"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(PROGRAMS / "pi.py"))} "$@"\n')
    script.chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return stage


def lines(stage: Stage, name: str) -> list[Any]:
    file = stage.project / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def send(stage: Stage, text: str) -> None:
    with stage.member("demo") as demo:
        demo.send("helper", text)


def wait_joined(stage: Stage) -> None:
    wait_until(lambda: stage.statuses().get("helper") == "idle" and is_joined(stage), what="pi joined")


def is_joined(stage: Stage) -> bool:
    with stage.shell("looker") as client:
        return any(row["name"] == "helper" and row["model"] == "v1" for row in client.sessions())


def test_pi_joins_receives_asks_and_answers(piped: Stage) -> None:
    """Brought up by `up`: ready when it joins, messages come natively, asks go both ways, and nothing is typed."""
    events = piped.up({"helper": PI, "demo": DEMO}, supervisor="demo")
    assert {event["event"] for event in events if event.get("peer") == "helper"} == {"ready"}
    wait_joined(piped)
    assert places.socket_of(Path.home() / ".pi" / "agent").exists()
    send(piped, "hello pi")
    wait_until(lambda: lines(piped, "native.jsonl") == [["demo", "hello pi"]], what="the native message")
    with piped.shell() as shell:
        assert shell.ask("helper", "are you there?", timeout_s=10).text == "pi heard: are you there?"
    (piped.project / "ask").write_text("demo what is up?")
    answer = wait_until(lambda: (piped.project / "answer").exists() and (piped.project / "answer").read_text(), what="")
    assert answer
    assert lines(piped, "typed.jsonl") == []
    environment = json.loads((piped.project / "environment").read_text())
    assert environment["PI_INTERCOM_STABLE_ID"] == piped.state.peers["helper"].session_id
    assert environment["PI_SUBAGENT_ORCHESTRATOR_TARGET"] == "demo"
    assert "PI_INTERCOM_SCOPE_ID" not in environment
    piped.down()


def test_pi_that_died_gets_its_mail_when_it_is_started_again(piped: Stage) -> None:
    """Meanwhile the daemon holds the session, and `up` starts pi anew."""
    piped.up({"helper": PI, "demo": DEMO})
    wait_joined(piped)
    os.kill(piped.pid("helper"), signal.SIGKILL)
    wait_until(lambda: piped.statuses()["helper"].startswith("exited"), what="its end in the roster")
    send(piped, "for later")
    piped.up()
    wait_until(lambda: lines(piped, "native.jsonl") == [["demo", "for later"]], what="the mail")


def test_pi_in_an_isolated_team_joins_in_its_scope(piped: Stage) -> None:
    """The scope is the team's."""
    piped.up({"helper": PI, "demo": DEMO}, scope="isolated")
    environment = wait_until(lambda: (piped.project / "environment").exists() and "x", what="its environment")
    assert environment
    scope = json.loads((piped.project / "environment").read_text())["PI_INTERCOM_SCOPE_ID"]
    assert scope == piped.id
    send(piped, "hello pi")
    wait_until(lambda: lines(piped, "native.jsonl"), what="the native message")


def test_pi_without_its_client_is_typed_into_until_it_joins(piped: Stage) -> None:
    """Five seconds after it is ready; what comes after it joined comes natively, and nothing twice."""
    (piped.project / "offline").touch()
    piped.up({"helper": PI, "demo": DEMO})
    send(piped, "first")
    assert lines(piped, "typed.jsonl") == []
    typed = wait_until(lambda: lines(piped, "typed.jsonl"), timeout_s=20, what="the pasted message")
    assert "first" in typed[0]
    (piped.project / "offline").unlink()
    wait_joined(piped)
    send(piped, "second")
    wait_until(lambda: lines(piped, "native.jsonl") == [["demo", "second"]], what="the native message")
    assert len(lines(piped, "typed.jsonl")) == 1


def test_a_message_that_a_draft_holds_goes_to_the_client_when_it_joins(piped: Stage) -> None:
    """The daemon gives back what it has not begun to type, and the draft stays alone."""
    (piped.project / "offline").touch()
    piped.up({"helper": PI, "demo": DEMO})
    piped.tmux("send-keys", "-t", piped.surface("helper"), "-l", "my draft")
    send(piped, "held")
    with piped.member("demo") as demo:
        asked = demo.ask_ticket("helper", "and this?")
        assert asked
    wait_until(
        lambda: any("draft" in row["note"] for row in piped.member_pending("helper")), timeout_s=20, what="the hold"
    )
    (piped.project / "offline").unlink()
    wait_until(lambda: len(lines(piped, "native.jsonl")) == 2, what="both messages natively")
    assert lines(piped, "native.jsonl") == [["demo", "held"], ["demo", "and this?"]]
    assert lines(piped, "typed.jsonl") == []
    assert "[intercom]" not in piped.screen("helper")


def test_a_broker_that_is_killed_loses_nothing_for_pi(piped: Stage) -> None:
    """Daemon and client come back, each in its part."""
    piped.up({"helper": PI, "demo": DEMO})
    wait_joined(piped)
    os.kill(broker_pid(), signal.SIGKILL)
    with piped.member("demo") as demo:
        demo.send("helper", "after all")
    wait_until(lambda: lines(piped, "native.jsonl") == [["demo", "after all"]], timeout_s=20, what="the message")
    assert lines(piped, "typed.jsonl") == []
