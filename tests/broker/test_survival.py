"""`kill -9` of the broker at random instants under load, with an account of every message."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.client.blocking import Client
from intercom_mux.client.identity import Identity
from tests.broker.live import Line, kill_broker, start
from tests.support import SCALE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KILLS = 8
BURST = 25
SECONDS = 20 * SCALE


class Peer(threading.Thread):
    """A peer that keeps its connection up, as a daemon does, until it is done; its own errors fail the test.

    `live` returns soon after `stop` is set, but not in the middle of something: on a lost connection it begins again.
    """

    def __init__(self, name: str, live: Callable[[Peer, Line], None]) -> None:
        super().__init__(name=name)
        self.live = live
        self.stop = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        deadline = time.monotonic() + SECONDS
        try:
            while True:
                assert time.monotonic() < deadline, f"{self.name} is not done in time"
                try:
                    with Line() as line:
                        line.sock.settimeout(0.3)
                        return self.live(self, line.peer(self.name))
                except OSError:
                    time.sleep(0.01)
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self.stop.set()
        self.join()
        if self.error is not None:
            raise self.error


class Account:
    """What was accepted, in order, and what arrived for the first time, in order."""

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.arrived: list[str] = []
        self.repeats = 0

    def send_for_ever(self, peer: Peer, line: Line) -> None:
        """Send bursts; after a lost connection send again whatever was not answered, under the same ids, in order."""
        while not peer.stop.is_set() or len(self.accepted) % BURST:
            first = len(self.accepted) - len(self.accepted) % BURST
            burst = [f"m{number:05d}" for number in range(first, first + BURST)]
            for message_id in burst:
                line.send("worker", message_id, message_id)
            answers = [line.until("delivered", "delivery_failed") for _ in burst]
            assert {answer["type"] for answer in answers} == {"delivered"}
            self.accepted += [message_id for message_id in burst if message_id not in self.accepted[first:]]

    def receive_for_ever(self, peer: Peer, line: Line) -> None:
        """Take each id once and confirm it each time."""
        known = set(self.arrived)
        while not peer.stop.is_set():
            try:
                message = line.until("message")["message"]
            except TimeoutError:
                continue
            if message["id"] in known:
                self.repeats += 1
            else:
                known.add(message["id"])
                self.arrived.append(message["id"])
            line.confirm(message["id"])


def answer_for_ever(peer: Peer, line: Line) -> None:
    """Answer each question with itself; a question that comes again gets the same reply under the same id."""
    while not peer.stop.is_set():
        try:
            frame = line.until("message")
        except TimeoutError:
            continue
        message = frame["message"]
        line.send(
            frame["from"]["id"], f"echo {message['content']['text']}", f"r-{message['id']}", replyTo=message["id"]
        )
        line.confirm(message["id"])


def ask_for_ever(stop: threading.Event, replies: list[tuple[str, str]], problems: list[Any]) -> None:
    """Ask one question after the other as a command in the planner's pane."""
    me = Identity("blue-planner", "planner", paths.broker_socket(), team="team-blue", token="secret")
    number = 0
    try:
        with Client.connect(me) as client:
            while not stop.is_set():
                number += 1
                reply = client.ask("scout", f"question {number}", timeout_s=SECONDS)
                replies.append((f"echo question {number}", reply.text))
    except BaseException as error:
        problems.append(error)


def test_no_accepted_message_is_lost_and_every_ask_is_answered(home: Path) -> None:
    """Accepted means received, once by id, in order; asks in flight are answered although the broker dies."""
    dice = random.Random(7)
    start()
    account = Account()
    replies: list[tuple[str, str]] = []
    problems: list[Any] = []
    for name in ("planner", "worker", "scout"):
        with Line() as line:
            line.peer(name)
    sender = Peer("planner", account.send_for_ever)
    receiver = Peer("worker", account.receive_for_ever)
    answerer = Peer("scout", answer_for_ever)
    peers = [receiver, answerer, sender]
    for peer in peers:
        peer.start()
    stop_asking = threading.Event()
    asker = threading.Thread(target=ask_for_ever, args=(stop_asking, replies, problems))
    asker.start()
    for _ in range(KILLS):
        stop_asking.wait(dice.uniform(0.0, 0.35))
        kill_broker()
        start()
    stop_asking.set()
    asker.join()
    sender.end()
    give_up_at = time.monotonic() + SECONDS
    while set(account.arrived) < set(account.accepted) and time.monotonic() < give_up_at and receiver.is_alive():
        time.sleep(0.01)
    for peer in peers[:2]:
        peer.end()

    assert problems == []
    assert len(account.accepted) > 50
    assert account.arrived[: len(account.accepted)] == account.accepted
    assert set(account.arrived) == set(account.accepted)
    assert replies
    assert [expected for expected, _ in replies] == [got for _, got in replies]

    with Line() as worker:
        worker.peer("worker").post(type="mux", requestId="1", op="status")
        status = worker.until("mux_result")["value"]
        assert status["open_asks"] == 0


def test_a_confirmed_message_never_comes_again_after_a_kill(home: Path) -> None:
    """Once the broker has the receipt, which a later answer on the same connection proves."""
    start()
    for round_number in range(4):
        with Line() as planner, Line() as worker:
            planner.peer("planner"), worker.peer("worker")
            for number in range(10):
                message_id = f"m{round_number}-{number}"
                planner.send("worker", "x", message_id).until("delivered")
                assert worker.until("message")["message"]["id"] == message_id
                worker.confirm(message_id)
            worker.post(type="health", requestId="h").until("health_ok")
            kill_broker()
        start()
