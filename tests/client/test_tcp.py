"""Our clients over TCP against a real `broker run --tcp`: the only way where there are no Unix sockets."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.broker import lifecycle, tcp
from intercom_mux.client import address
from intercom_mux.client import identity as identities
from intercom_mux.client.aio import Endpoint, Registration
from intercom_mux.client.identity import Identity
from tests.cli.stage import Peer, echo, run, start
from tests.support import SCALE, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

Json = dict[str, Any]


def serve() -> subprocess.Popen[str]:
    """Start a broker that listens on TCP too; it answers there on return."""
    process = start("broker", "run", "--tcp")
    wait_until(lambda: lifecycle.running() and tcp.endpoint_file().exists(), what="broker")
    return process


def finish(process: subprocess.Popen[str]) -> str:
    """End a broker and return what it has said."""
    process.send_signal(signal.SIGTERM)
    return "".join(process.communicate(timeout=10 * SCALE))


@pytest.fixture
def broker(home: Path) -> Iterator[Path]:
    """The endpoint file of a running broker; its secret must have come into no log and no output."""
    process = serve()
    secret = secret_of()
    yield tcp.endpoint_file()
    said = finish(process)
    assert secret not in said + (paths.state_dir() / "broker.log").read_text()


def secret_of() -> str:
    """Return the secret that stands in the endpoint file now."""
    return str(json.loads(tcp.endpoint_file().read_text())["stateId"])


def trusted(name: str) -> bool:
    """Return whether the broker calls a session trusted, as it does on Unix sockets only."""
    from tests.broker.live import Line

    with Line().register("id-looker", "looker") as line:
        rows = line.post(type="list", requestId="r").until("sessions")["sessions"]
    return any(row["trustedLocal"] for row in rows if row.get("name") == name)


def test_commands_of_a_shell(broker: Path) -> None:
    """`send`, `ask`, `list` and the rest do over TCP what they do over the socket; the secret is shown nowhere."""
    at_tcp = {address.VARIABLE: str(broker)}
    with Peer("worker", answer=echo) as worker:
        sent = run("send", "worker", "hello", env=at_tcp)
        asked = run("ask", "worker", "why?", env=at_tcp)
        listed = run("list", "--json", "--socket", str(broker))
        assert (sent.code, asked.out) == (0, "<why?>\n")
        assert worker.texts() == ["hello", "why?"]
        assert {row["name"] for row in listed.json} >= {"worker"}
        worker.write({"type": "send", "to": identities.of_shell().session_id, "message": letter("back to you")})
        inbox = wait_until(lambda: run("inbox", "--json", env=at_tcp).json, what="the message")
        assert inbox[0]["text"] == "back to you"
    status = run("broker", "status", "--json", env=at_tcp)
    assert status.json["shell"] == {"socket": str(broker), "broker": "intercom-mux"}
    assert not [ran for ran in (sent, asked, listed, status) if secret_of() in ran.out + ran.err]


def letter(text: str) -> Json:
    """Return a message."""
    return {"id": "m" * 32, "timestamp": 1, "content": {"text": text}}


def test_a_pane_whose_identity_names_an_endpoint_file(broker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast path leaves it to click, which acts as the peer."""
    with Peer("planner") as planner, Peer("worker", answer=echo) as worker:
        file = planner.enter_pane(monkeypatch)
        identities.write(file, Identity(planner.session_id, "planner", broker, token=planner.token))
        assert run("ask", "worker", "why?").out == "<why?>\n"
        assert worker.of_type("message")[0]["from"]["id"] == planner.session_id


def test_a_wrong_secret_and_a_lost_file(broker: Path) -> None:
    """Silence is told as no broker; a file that others can read is refused with the reason and without the secret."""
    secret = secret_of()
    other = broker.with_name("other.json")
    other.write_text(broker.read_text().replace(secret, "wrong"))
    other.chmod(0o600)
    assert run("list", "--socket", str(other), "--json").json["error"]["code"] == "E_NO_BROKER"
    other.write_text(broker.read_text())
    other.chmod(0o644)
    refused = run("list", "--socket", str(other), "--json")
    assert (refused.code, refused.json["error"]["code"]) == (5, "E_ENDPOINT")
    assert secret not in refused.out + refused.err
    other.unlink()


class Ear:
    """Keeps what an endpoint is sent, and confirms it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.confirm: Callable[[str, str], None] = lambda *_: None

    def on_message(self, sender: Json, message: Json) -> None:
        self.texts.append(message["content"]["text"])
        self.confirm(message["id"], "injected")

    def on_withdrawn(self, message_id: str) -> None:
        raise AssertionError(message_id)


def test_an_endpoint_returns_after_the_broker_with_its_new_secret(home: Path) -> None:
    """The file is read at every dial: each start has another port and secret."""
    asyncio.run(_endpoint_returns())


def _states() -> list[str]:
    """What has become of the messages that the journal knows of."""
    return [row["state"] for row in run("history", "--json").json]


async def _endpoint_returns() -> None:
    me = Registration("id-far", "far", "worker", "/", "m", 1, {"id": "t", "name": "t", "dir": "/"}, "token")
    ear = Ear()
    process = await asyncio.to_thread(serve)
    endpoint = Endpoint(tcp.endpoint_file(), me, ear)
    ear.confirm = endpoint.receipt
    running = asyncio.create_task(endpoint.run())
    try:
        await asyncio.wait_for(endpoint.connected.wait(), 10 * SCALE)
        assert not await asyncio.to_thread(trusted, "t/far")
        assert (await asyncio.to_thread(run, "send", "t/far", "one")).code == 0
        # Without the receipt it would rightly come again.
        await asyncio.to_thread(wait_until, lambda: _states() == ["done"], what="the receipt in the journal")
        before = secret_of()
        await asyncio.to_thread(finish, process)
        process = await asyncio.to_thread(serve)
        assert secret_of() != before
        await asyncio.wait_for(endpoint.connected.wait(), 10 * SCALE)
        assert (await asyncio.to_thread(run, "send", "t/far", "two")).code == 0
        await asyncio.to_thread(wait_until, lambda: ear.texts == ["one", "two"], what="both messages")
    finally:
        endpoint.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.to_thread(finish, process)
