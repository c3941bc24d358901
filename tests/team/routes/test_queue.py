"""The queue route with a real process as the agent and a script as its queue command."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux.agents.find import load_profiles
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.memory import MemoryMultiplexer
from intercom_mux.team.routes import queue
from intercom_mux.team.routes.base import Outcome, Parcel, Target
from intercom_mux.team.routes.hook import read
from intercom_mux.team.routes.queue import QueueRoute
from intercom_mux.team.state import PeerState
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK = Parcel("7f3a1234-0000-4000-8000-000000000001", "planner", "ask", "Where?\n$(touch ran)")
DRAFT = "• ok\n\n› half a thought\n\n  model · ~/project"
EMPTY = "• ok\n\n› Ask Codex to do anything\n\n  model · ~/project"


class Stage:
    """A peer whose environment finds a `codex` that writes down its last argument, and fails if asked to."""

    def __init__(self, directory: Path, pid: int) -> None:
        self.directory = directory
        self.mux = MemoryMultiplexer()
        self.surface = self.mux.open("stage", "tiled", [SurfaceSpec("agent", ("x",), directory)])["agent"]
        self.peer = PeerState("agent", "worker", "codex", directory, "s", "t", pid=pid)
        self.journaled: list[str] = []
        self.thread: str | None = "thread-1"

    def deliver(self, screen: str, title: str = "project") -> Outcome | None:
        surface = self.mux.surfaces[self.surface]
        surface.screen, surface.title = screen, title
        target = Target(
            self.peer,
            load_profiles()["codex"],
            self.mux,
            self.surface,
            self.journaled.append,
            thread=lambda: self.thread,
        )
        return asyncio.run(QueueRoute(target).deliver(ASK))

    @property
    def queued(self) -> str:
        file = self.directory / "queued"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """An agent that sleeps, with an environment of its own."""
    monkeypatch.setattr(queue, "SEEN_S", 0.1)
    script = tmp_path / "codex"
    script.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {tmp_path}/queued\nexit "$CODE"\n')
    script.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CODE": "0"}
    with subprocess.Popen(["sleep", "60"], env=env) as agent:
        environ = Path(f"/proc/{agent.pid}/environ")
        wait_until(lambda: b"CODE=0" in environ.read_bytes(), what="exec")
        yield Stage(tmp_path, agent.pid)
        agent.kill()


def test_beside_a_draft_it_is_queued(stage: Stage) -> None:
    """The command is run once, its words as they are; what then does not show is told as unknown, never repeated."""
    outcome = stage.deliver(DRAFT)
    assert outcome is not None
    assert (outcome.kind, stage.journaled) == ("unknown", [ASK.message_id])
    assert stage.queued.startswith("queue|--thread|thread-1|--message|[intercom] from planner · ask 7f3a1234")
    assert stage.queued.endswith("Where?\n$(touch ran)|")
    assert not (stage.directory / "ran").exists()


def test_what_shows_was_submitted(stage: Stage) -> None:
    """A queued message that stands on the screen has been taken."""
    outcome = stage.deliver("› [intercom] from planner · ask 7f3a1234\n" + DRAFT)
    assert outcome == Outcome("submitted")


@pytest.mark.parametrize(
    ("screen", "title"),
    [(EMPTY, "project"), (DRAFT, "⠋ project"), (DRAFT, "[ ! ] Action Required | project"), ("", "project")],
)
def test_all_else_is_left_to_typing(stage: Stage, screen: str, title: str) -> None:
    """Without a draft, at work, in a dialog, or not understood: the next route decides, and nothing is queued."""
    assert (stage.deliver(screen, title), stage.queued, stage.journaled) == (None, "", [])


def test_without_a_thread(stage: Stage) -> None:
    """Before the conversation's id is known, nothing is queued."""
    stage.thread = None
    assert (stage.deliver(DRAFT), stage.queued) == (None, "")


def test_a_title_is_no_answer() -> None:
    """The end of the turn in which codex finds a title for our message is no end of the message's turn."""
    rules = load_profiles()["codex"].hooks
    assert rules is not None
    header = "[intercom] from planner · ask 7f3a1234"
    end = {"type": "agent-turn-complete", "last-assistant-message": "A title"}
    assert read(rules, "notify", {**end, "input-messages": [f"Generate a title.\n\n{header}"]}) is None
    found = read(rules, "notify", {**end, "input-messages": [header]})
    assert found is not None
    assert found[1].answer == "A title"
