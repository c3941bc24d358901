"""The HTTP route against a stand-in for opencode's server; the screen is a text that the test sets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from intercom_mux.agents.find import load_profiles
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.memory import MemoryMultiplexer
from intercom_mux.team.routes import http, opencode
from intercom_mux.team.routes.base import Outcome, Parcel, Target
from intercom_mux.team.routes.http import HttpRoute
from intercom_mux.team.state import PeerState
from tests.team.routes.opencode_server import PASSWORD, OpencodeStandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ASK = Parcel("7f3a1234-0000-4000-8000-000000000001", "planner", "ask", "Where is it?\n/clear")
NEXT = Parcel("8f3a1234-0000-4000-8000-000000000002", "planner", "message", "And then?")
IDLE_SCREEN = "  ┃\n  ┃  half a thought\n  ┃\n  ┃  Build · model\n  ctrl+p commands"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OpencodeStandIn]:
    """A server that runs."""
    with OpencodeStandIn(str(tmp_path)) as stand_in:
        yield stand_in


class Stage:
    """One peer whose server is the stand-in."""

    def __init__(self, directory: Path, port: int | None, secret: str = PASSWORD) -> None:
        self.mux = MemoryMultiplexer()
        self.surface = self.mux.open("stage", "tiled", [SurfaceSpec("agent", ("x",), directory)])["agent"]
        self.show(IDLE_SCREEN)
        self.peer = PeerState("agent", "worker", "opencode", directory, "s", "t", port=port, secret=secret)
        self.journaled: list[str] = []
        self.reports: list[str] = []
        self.turns: list[tuple[str, str]] = []

    def show(self, screen: str) -> None:
        surface = self.mux.surfaces[self.surface]
        surface.screen, surface.title = screen, "OpenCode"

    def deliver(self, *parcels: Parcel) -> list[Outcome | None]:
        async def run() -> list[Outcome | None]:
            route = self.route()
            outcomes = [await route.deliver(parcel) for parcel in parcels]
            route.close()
            return outcomes

        return asyncio.run(run())

    def route(self) -> HttpRoute:
        return HttpRoute(
            Target(
                self.peer,
                load_profiles()["opencode"],
                self.mux,
                self.surface,
                self.journaled.append,
                report=self.reports.append,
                ended=lambda prompt, words: self.turns.append((prompt, words)),
            )
        )


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what the route does on the same loop."""
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)


def test_an_idle_agent_gets_the_message(server: OpencodeStandIn, tmp_path: Path) -> None:
    """It is journaled, a session is begun and shown, and the prompt is submitted once, header line first."""
    stage = Stage(tmp_path, server.port)
    assert stage.deliver(ASK) == [Outcome("submitted")]
    assert (stage.journaled, server.shown, len(server.prompts)) == ([ASK.message_id], ["ses_1"], 1)
    assert server.prompts[0].startswith("[intercom] from planner · ask 7f3a1234")
    assert server.prompts[0].endswith("Where is it?\n/clear")


def test_a_message_behind_a_turn_waits(server: OpencodeStandIn, tmp_path: Path) -> None:
    """What comes while the turn of the one before has not ended is held."""
    outcomes = Stage(tmp_path, server.port).deliver(ASK, NEXT)
    assert outcomes == [Outcome("submitted"), Outcome("held", "thinking")]
    assert len(server.prompts) == 1


@pytest.mark.parametrize("screen", ["", "△ Permission required\nctrl+p commands"])
def test_the_screen_forbids(server: OpencodeStandIn, tmp_path: Path, screen: str) -> None:
    """A screen that is not understood, or shows a dialog, holds whatever the server says."""
    stage = Stage(tmp_path, server.port)
    stage.show(screen)
    outcome = stage.deliver(ASK)[0]
    assert outcome is not None
    assert (outcome.kind, server.prompts, stage.journaled) == ("held", [], [])


def test_an_open_dialog_holds(server: OpencodeStandIn, tmp_path: Path) -> None:
    """While the server lists a permission, nothing is queued behind it."""
    server.dialogs = [{"id": "per_1"}]
    assert Stage(tmp_path, server.port).deliver(ASK) == [Outcome("held", "blocked:permission")]
    assert server.prompts == []


@pytest.mark.parametrize("fault", ["huge", "nonsense", "drip"])
def test_a_hostile_server(server: OpencodeStandIn, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers too much, nonsense or for ever leaves the message to the next route, nothing sent."""
    monkeypatch.setattr(opencode, "CALL_S", 0.5)
    server.fault = fault
    stage = Stage(tmp_path, server.port)
    assert stage.deliver(ASK) == [None]
    assert stage.journaled == []


def test_no_server_or_no_password(server: OpencodeStandIn, tmp_path: Path) -> None:
    """Without a server, or with one that refuses us, the next route has the message."""
    assert Stage(tmp_path, None).deliver(ASK) == [None]
    assert Stage(tmp_path, 1).deliver(ASK) == [None]
    assert Stage(tmp_path, server.port, "wrong").deliver(ASK) == [None]


def test_an_answer_that_was_lost(server: OpencodeStandIn, tmp_path: Path) -> None:
    """When the answer to a prompt is lost, the session tells that it arrived; it is not sent again."""
    server.fault = "lost"
    outcome = Stage(tmp_path, server.port).deliver(ASK)[0]
    assert outcome is not None
    assert (outcome.kind, len(server.prompts)) == ("submitted", 1)


def test_the_end_of_a_turn(server: OpencodeStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The route tells status, a running tool's name and, when the turn is over, its prompt and last words, once."""
    monkeypatch.setattr(http, "LOOK_S", 0.02)
    stage = Stage(tmp_path, server.port)

    async def run() -> None:
        route = stage.route()
        await route.deliver(ASK)
        server.busy = True
        await until(lambda: stage.reports[-3:] == ["thinking"] * 3)
        server.tool = "my bash"
        await until(lambda: stage.reports[-3:] == ["tool:my-bash"] * 3)
        server.tool = ""
        await until(lambda: stage.reports[-3:] == ["thinking"] * 3)
        assert stage.turns == []
        server.answers, server.busy = ["In retry.py."], False
        await until(lambda: bool(stage.turns) and stage.reports[-3:] == ["idle"] * 3)
        route.close()

    asyncio.run(run())
    assert stage.turns == [(server.prompts[0], "In retry.py.")]
