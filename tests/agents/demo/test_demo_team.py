"""The quickstart as a whole team: real agents in pseudo-terminals, a real broker, and a small courier of our own.

The real courier has its tests in tests/team; here it is one paste and one Enter, so that only the agents are judged.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.agents import header
from intercom_mux.broker import lifecycle
from intercom_mux.client import identity
from intercom_mux.client.aio import Endpoint, Registration
from intercom_mux.client.blocking import Client
from intercom_mux.layout.find import find_layout
from intercom_mux.layout.load import load_layout
from tests.agents.demo.pseudo import AGENT, Pseudo
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intercom_mux.layout.model import Layout, PeerSpec

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"
TEAM = {"id": "quickstart-1", "name": "quickstart", "dir": str(QUICKSTART)}
QUESTION = "How does this repo structure token refresh retries?"


def quickstart() -> Layout:
    return load_layout(find_layout(str(QUICKSTART / "planner-worker.yaml"), QUICKSTART), environ={"HOME": "/"})


class PasteCourier:
    """Pastes what its peer's endpoint receives into the peer's pane, each message once."""

    def __init__(self, pane: Pseudo) -> None:
        self.pane = pane
        self.endpoint: Endpoint | None = None
        self._seen: set[str] = set()

    def on_message(self, sender: dict[str, Any], message: dict[str, Any]) -> None:
        assert self.endpoint is not None
        if message["id"] not in self._seen:
            self._seen.add(message["id"])
            kind = "reply" if "replyTo" in message else "ask" if message.get("expectsReply") else "message"
            head = header.Header(sender.get("name") or sender["id"], kind, message["id"][:8], message.get("replyTo"))
            self.pane.paste(f"{header.render(head)}\n{message['content']['text']}")
            self.pane.type(b"\r")
        self.endpoint.receipt(message["id"], "injected")

    def on_withdrawn(self, message_id: str) -> None:
        """What is typed stays typed."""


@contextmanager
def running(peers: tuple[PeerSpec, ...]) -> Iterator[dict[str, Pseudo]]:
    """Run the peers, each in a pane with an identity, an endpoint and a courier; yield name → pane."""
    socket = lifecycle.ensure_running()
    directory = paths.private_dir(paths.team_runtime_dir("quickstart-1"))
    panes: dict[str, Pseudo] = {}
    endpoints = []
    is_over = threading.Event()
    with ExitStack() as stack:
        for peer in peers:
            file = directory / f"{peer.name}.json"
            identity.write(
                file, identity.Identity(f"id-{peer.name}", peer.name, socket, team="quickstart-1", token=peer.name)
            )
            arguments = [*AGENT, "--name", peer.name, "--role", peer.role, "--prompt", peer.prompt or ""]
            pane = Pseudo(arguments, peer.cwd, {paths.IDENTITY_VARIABLE: str(file)})
            panes[peer.name] = stack.enter_context(pane)
            courier = PasteCourier(pane)
            registration = Registration(
                f"id-{peer.name}", peer.name, peer.role, str(peer.cwd), "demo", pane.process.pid, TEAM, peer.name
            )
            courier.endpoint = Endpoint(socket, registration, courier)
            endpoints.append(courier.endpoint)
        thread = threading.Thread(target=lambda: asyncio.run(_serve(endpoints, is_over)))
        thread.start()
        try:
            yield panes
        finally:
            for pane in panes.values():
                pane.process.terminate()
                pane.process.wait()
            is_over.set()
            thread.join()


async def _serve(endpoints: list[Endpoint], is_over: threading.Event) -> None:
    runs = [asyncio.create_task(endpoint.run()) for endpoint in endpoints]
    await asyncio.to_thread(is_over.wait)
    for endpoint in endpoints:
        endpoint.close()
    await asyncio.wait(runs, timeout=10)


def test_the_quickstart_is_a_valid_layout() -> None:
    """Its peers, directories and prompts are what the sample promises."""
    layout = quickstart()
    assert [(peer.name, peer.role, peer.cwd.name) for peer in layout.peers] == [
        ("planner", "planner", "app"),
        ("worker-1", "worker", "app"),
        ("worker-2", "worker", "app"),
        ("reference-auth", "scout", "auth-service"),
    ]
    assert all(peer.cwd.is_dir() for peer in layout.peers)
    assert layout.peers[3].is_reference
    assert layout.supervisor == "planner"


def test_the_quickstart_team_does_its_tasks() -> None:
    """Tasks go out, the scout is asked, results come in, the board shows all done; then an outsider is answered."""
    with running(quickstart().peers) as panes:
        panes["planner"].wait_for("All 3 tasks have ended: 3 done.")
        outsider = identity.Identity("shell-test", "tester", paths.broker_socket(), team="quickstart-1")
        with Client.connect(outsider) as me:
            tasks = {task["id"]: (task["owner"], task["state"], task["percent"]) for task in me.tasks()}
            reply = me.ask("reference-auth", QUESTION, timeout_s=20)
        assert tasks == {
            "T1": ("worker-1", "done", 100),
            "T2": ("worker-2", "done", 100),
            "T3": ("worker-1", "done", 100),
        }
        assert reply.sender.endswith("reference-auth")
        assert "docs/token-refresh.md:" in reply.text
        assert "def _refresh_with_retries" in reply.text
        assert b"reference-auth says:" in panes["worker-2"].written


@pytest.mark.parametrize("moment", ["idle", "answering"])
def test_an_answer_survives_the_death_of_the_broker(moment: str) -> None:
    """The broker is killed while the agent is idle or has just begun: the asker gets the answer all the same."""
    scout = quickstart().peers[3]
    with running((scout,)) as panes:
        pane = panes["reference-auth"]
        pane.wait_idle()
        with Client.connect(
            identity.Identity("shell-test", "tester", paths.broker_socket(), team="quickstart-1")
        ) as me:
            wait_until(lambda: [row for row in me.sessions() if row["role"] == "scout"], what="scout in the roster")
            if moment == "idle":
                _kill_broker()
            else:
                threading.Thread(target=_kill_broker_once, args=(pane, "tool:search"), daemon=True).start()
            reply = me.ask("reference-auth", QUESTION, timeout_s=30)
        assert "docs/token-refresh.md:" in reply.text


def _kill_broker_once(pane: Pseudo, shown: str) -> None:
    pane.wait_for(shown)
    _kill_broker()


def _kill_broker() -> None:
    os.kill(json.loads(paths.broker_file().read_text())["pid"], signal.SIGKILL)
