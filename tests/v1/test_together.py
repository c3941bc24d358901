"""Foreign v1 clients, 0.6-era clients, our two clients and a real team of agents in one broker."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import pytest

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.client.aio import Endpoint, Registration
from intercom_mux.client.blocking import Client
from intercom_mux.client.identity import Identity
from tests.broker.live import kill_broker, start
from tests.support import SCALE, wait_until
from tests.team.stage import DEMO, Stage, end_all_teams
from tests.v1.client import AskLost, NotDelivered, V1Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Json = dict[str, Any]

RECEIPTS_IN_ORDER = ["receiver_received", "acknowledged", "injected"]
MESSAGES = 40


class Peer:
    """Our asyncio endpoint in a thread, as the peer `blue-<name>`: keeps each message once and confirms it."""

    def __init__(self, name: str) -> None:
        team = {"id": "team-blue", "name": "blue", "dir": "/src/shop"}
        registration = Registration(f"blue-{name}", name, "worker", "/src", "m", 1, team, "secret")
        self.endpoint = Endpoint(paths.broker_socket(), registration, self)
        self.inbox: dict[str, tuple[Json, Json]] = {}
        self.repeats = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_connected()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self.endpoint.close)
        self._thread.join(10)

    def wait_connected(self) -> None:
        wait_until(self.endpoint.connected.is_set, what="endpoint connected")

    def _run(self) -> None:
        self._loop.run_until_complete(self.endpoint.run())
        self._loop.close()

    def on_message(self, sender: Json, message: Json) -> None:
        if message["id"] in self.inbox:
            self.repeats += 1
        self.inbox.setdefault(message["id"], (sender, message))
        for status in RECEIPTS_IN_ORDER:
            self.endpoint.receipt(message["id"], status)

    def on_withdrawn(self, message_id: str) -> None:
        """Nothing is taken back here."""

    def texts(self) -> list[str]:
        return [message["content"]["text"] for _, message in self.inbox.values()]


def planner() -> Client:
    """Return our blocking client as the peer `planner`."""
    return Client.connect(Identity("blue-planner", "planner", paths.broker_socket(), team="team-blue", token="secret"))


def echo(question: str) -> str:
    return f"echo {question}"


@pytest.fixture
def socket(home: Path) -> Path:
    """The socket of a running broker."""
    return start()


@pytest.fixture
def stage(home: Path) -> Iterator[Stage]:
    """One team, not up yet; taken down afterwards."""
    yield Stage(home, "shop")
    end_all_teams()


def test_v1_clients_talk_as_with_the_stock_broker(socket: Path) -> None:
    """Send, receipts in order, ask, inferred reply, one ask at a time, cancel."""
    with V1Client(socket, "alice") as alice, V1Client(socket, "bob") as bob:
        answer = alice.send("BOB", "hello")
        assert answer["delivery"] == "socket_delivered"
        wait_until(lambda: len(alice.receipts) == 3, what="receipts")
        assert [status for _, status in alice.receipts] == RECEIPTS_IN_ORDER
        replies: list[str] = []
        asking = threading.Thread(target=lambda: replies.append(alice.ask("bob", "why?")))
        asking.start()
        wait_until(lambda: bob.pending, what="the question")
        with pytest.raises(NotDelivered, match="Already waiting"):
            alice.ask("bob", "and?")
        bob.send("alice", "because")
        asking.join()
        assert replies == ["because"]
        alice.send("bob", "forget it", message_id="m9")
        alice.cancel("m9")
        wait_until(lambda: bob.controls, what="the control")
        assert bob.controls[0]["action"] == "cancel"
        with pytest.raises(NotDelivered, match="not currently connected"):
            alice.ask("nobody", "?")
        with pytest.raises(NotDelivered, match="current session"):
            alice.send("alice", "me")


def test_an_exact_send_follows_a_target_that_was_replaced(socket: Path) -> None:
    """The endpoint that the sender looked up has changed; it looks again and sends under the same id."""
    with V1Client(socket, "alice") as alice, V1Client(socket, "bob", session_id="id-bob") as bob:
        stale = alice.resolve("bob")
        assert stale is not None
        bob._wire.sock.shutdown(2)  # type: ignore[union-attr]  # it is connected
        bob.wait_connected(2)
        look_up, seen = alice.resolve, [stale, stale]
        alice.resolve = lambda address: seen.pop() if seen else look_up(address)  # type: ignore[method-assign]  # late
        alice.send("bob", "x", message_id="m1")
        wait_until(lambda: bob.texts() == ["x"], what="the message")
        assert seen == []


def ask_of_each_other(clients: dict[str, Callable[[str, str], str]], targets: dict[str, str]) -> dict[str, str]:
    """Let each of `clients` ask each of `targets` but itself; return what came back, by `asker > asked`."""
    return {
        f"{asker} > {asked}": ask(address, f"from {asker}")
        for asker, ask in clients.items()
        for asked, address in targets.items()
        if asker != asked
    }


def test_asks_go_in_all_directions(socket: Path) -> None:
    """A v1 session, a 0.6-era one and a peer of ours ask each other; everybody gets the answer meant for it."""
    with ExitStack() as stack:
        new = stack.enter_context(V1Client(socket, "new"))
        old = stack.enter_context(V1Client(socket, "old", is_old=True))
        peer = stack.enter_context(Peer("planner"))
        client = stack.enter_context(planner())
        new.on_ask = old.on_ask = echo
        directions = ask_of_each_other(
            {"new": new.ask, "old": old.ask, "peer": lambda to, text: client.ask(to, text).text},
            {"new": "new", "old": "old"},
        )
        assert directions == {key: f"echo from {key.split()[0]}" for key in directions}
        assert len(directions) == 4
        for asker in (new, old):
            replies: list[str] = []
            asking = threading.Thread(target=lambda who=asker, box=replies: box.append(who.ask("blue/planner", "?")))
            asking.start()
            wait_until(client.pending, what="the question")
            client.reply(f"to {asker.name}")
            asking.join()
            assert replies == [f"to {asker.name}"]
        wait_until(lambda: len(peer.inbox) == 2, what="both questions at the endpoint")
        assert [sender["name"] for sender, _ in peer.inbox.values()] == ["new", "old"]


def test_names_are_shown_to_each_viewer_in_its_own_words(socket: Path) -> None:
    """A v1 session sees peers as `team/peer`, a peer sees its own team bare; replies carry the asked session's id."""
    with V1Client(socket, "alice") as alice, Peer("worker") as worker, Peer("planner"), planner() as client:
        assert alice.names() == {"alice", "blue/worker", "blue/planner"}
        assert {row["name"] for row in client.sessions()} == {"alice", "worker", "planner"}
        client.send("alice", "from planner")
        client.send("worker", "from planner")
        alice.send("blue/worker", "from alice")
        wait_until(lambda: len(worker.inbox) == 2 and alice.inbox, what="the messages")
        assert alice.inbox[0][0]["name"] == "blue/planner"
        assert {sender["name"] for sender, _ in worker.inbox.values()} == {"planner", "alice"}


def test_scopes_hold_foreign_clients_apart(socket: Path) -> None:
    """A full id does not cross."""
    with V1Client(socket, "alice", scope="one") as alice, V1Client(socket, "bob", scope="two") as bob:
        assert alice.names() == {"alice"}
        with pytest.raises(NotDelivered) as refusal:
            alice.send(bob.session_id, "hello")
        assert refusal.value.code == "E_TARGET_NOT_FOUND"


def test_a_v1_session_supervises_a_real_team(stage: Stage) -> None:
    """It asks a demo agent in its pane, is asked by that peer and its inferred reply arrives."""
    (stage.project / "auth.py").write_text("def refresh_token():\n    return retry(3)\n")
    stage.up({"worker": DEMO})
    with V1Client(paths.broker_socket(), "boss") as boss, V1Client(paths.broker_socket(), "old", is_old=True) as old:
        assert "shop/worker" in boss.names()
        assert "auth.py" in boss.ask("shop/worker", "Where is refresh_token?")
        assert "auth.py" in old.ask("shop/worker", "Where is refresh_token?")
        decisions: list[str] = []
        with stage.member("worker") as worker:
            asking = threading.Thread(target=lambda: decisions.append(worker.ask("boss", "A or B?").text))
            asking.start()
            wait_until(lambda: boss.pending, what="the question")
            assert boss.inbox[-1][0]["name"] == "shop/worker"
            boss.send("shop/worker", "B")
            asking.join()
        assert decisions == ["B"]


def _send_all(alice: V1Client, to: str, count: int) -> None:
    """Send numbered messages, each again under its id until the broker has answered, as a careful sender does."""
    for number in range(count):
        give_up_at = time.monotonic() + 20 * SCALE
        while True:
            assert time.monotonic() < give_up_at, f"message {number} to {to} was never answered"
            try:
                # The bare frame: the roster of the first moments lacks those who are not back yet.
                alice._deliver(alice._send_frame(to, f"{to} {number}", f"{to}-{number}"))
                break
            except (ConnectionError, OSError, TimeoutError, NotDelivered):
                time.sleep(0.02)


def test_all_survive_a_killed_broker(socket: Path) -> None:
    """All come back by themselves; what was accepted arrives once, in order; a v1 ask ends honestly, ours goes on."""
    with ExitStack() as stack:
        alice = stack.enter_context(V1Client(socket, "alice"))
        bob = stack.enter_context(V1Client(socket, "bob", session_id="id-bob"))
        peer = stack.enter_context(Peer("planner"))
        client = stack.enter_context(planner())
        old = stack.enter_context(V1Client(socket, "old", is_old=True))
        outcomes: list[Any] = []
        asking = [
            threading.Thread(target=lambda: outcomes.append(client.ask("id-bob", "ours").text)),
            threading.Thread(target=_outcome, args=(old, "id-bob", outcomes)),
        ]
        for thread in asking:
            thread.start()
        wait_until(lambda: len(bob.pending) == 2, what="both questions")
        sending = [threading.Thread(target=_send_all, args=(alice, to, MESSAGES)) for to in ("id-bob", "blue-planner")]
        for thread in sending:
            thread.start()
        wait_until(lambda: len(peer.inbox) >= 5 and len(bob.inbox) >= 7, what="traffic")
        kill_broker()
        lifecycle.ensure_running()
        for thread in sending:
            thread.join()
        for session in (alice, bob, old):
            session.wait_connected(2)
        peer.wait_connected()
        ours = next(m["id"] for _, m in bob.pending.values() if m["content"]["text"] == "ours")
        bob._deliver(bob._send_frame("blue-planner", "still here", replyTo=ours))
        for thread in asking:
            thread.join()
        assert sorted(outcomes, key=str) == [AskLost, "still here"]
        for to, texts in (("id-bob", bob.texts), ("blue-planner", peer.texts)):
            expected = [f"{to} {number}" for number in range(MESSAGES)]
            wait_until(partial(_has, texts, expected[-1]), what=f"mail of {to}")
            assert [text for text in texts() if text.startswith(to)] == expected
        assert {"alice", "bob", "blue/planner", "old"} <= alice.names()


def _has(texts: Callable[[], list[str]], wanted: str) -> bool:
    return wanted in texts()


def _outcome(asker: V1Client, to: str, outcomes: list[Any]) -> None:
    try:
        outcomes.append(asker.ask(to, "theirs"))
    except AskLost:
        outcomes.append(AskLost)
