"""A broker that is killed again and again under load, and the account of every message and ask that was in flight.

Senders and receivers are our own clients and foreign v1 clients; all of them survive and come back as their kind does.
`Trial` is the whole of it: the suite runs a short one, `python -m tests.bench.crash` long ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from intercom_mux import paths
from intercom_mux.client.aio import Endpoint, Registration
from intercom_mux.client.blocking import Client
from intercom_mux.client.identity import Identity
from intercom_mux.errors import BrokerError, DeliveryError, IntercomError
from tests.broker.account import Account
from tests.broker.live import BLUE, Line, broker_pid, is_gone, start
from tests.support import SCALE, wait_until
from tests.v1.client import AskLost, NotDelivered, V1Client

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

BURST = 20
RECEIVERS = ("blue-worker", "id-bob", "id-alice")
ANSWERERS = ("blue-worker", "id-bob")
TRUE_REASONS = {"E_TARGET_DISCONNECTED"}
"""Why an ask may be refused here: a foreign answerer is not back yet."""

LOST = (OSError, TimeoutError)


class OurSession:
    """A peer of ours as its daemon holds it: an endpoint that confirms what it takes, commands as handles."""

    def __init__(self, name: str, account: Account, stop: threading.Event) -> None:
        self.id = f"blue-{name}"
        self.account = account
        self.questions: dict[str, str] = {}
        registration = Registration(self.id, name, "worker", "/src", "m", 1, BLUE, "secret")
        self.endpoint = Endpoint(paths.broker_socket(), registration, self)
        self._identity = Identity(self.id, name, paths.broker_socket(), team=BLUE["id"], token="secret")
        self._stop = stop
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(self.endpoint.connected.is_set, what=f"{self.id} connected")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self.endpoint.close)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self.endpoint.run())
        self._loop.close()

    def on_message(self, sender: Json, message: Json) -> None:
        if sender["id"] == "intercom-mux":
            self.account.problems.append(f"{self.id} was told: {message['content']['text']}")
        self.account.show(self.id, sender["id"], message["id"])
        if message.get("expectsReply"):
            self.questions[message["id"]] = sender["id"]
        self.endpoint.receipt(message["id"], "receiver_received")
        self.endpoint.receipt(message["id"], "injected")

    def on_withdrawn(self, message_id: str) -> None:
        self.questions.pop(message_id, None)

    def client(self) -> Client:
        return Client.connect(self._identity)

    def send_for_ever(self, dice: random.Random) -> None:
        """Send one message after the other, as commands in the pane do."""
        with self.client() as client:
            for number in _numbers(self._stop):
                to, key = dice.choice(RECEIVERS), f"{self.id}-{number:06d}"
                if to != self.id:
                    self.account.told(self.id, to, key, "unknown")
                    outcome = _outcome(functools.partial(client.send, to, key, message_id=key))
                    self.account.told(self.id, to, key, outcome)
                time.sleep(dice.uniform(0, 0.02))

    def ask_for_ever(self, dice: random.Random) -> None:
        """Ask one question after the other; only an answer or a true reason will do."""
        with self.client() as client:
            for number in _numbers(self._stop):
                to, key = dice.choice(ANSWERERS), f"q-{self.id}-{number:06d}"
                self.account.told(self.id, to, key, "unknown", "asks")
                try:
                    reply = client.ask(to, key, timeout_s=20 * SCALE, message_id=key)
                except IntercomError as error:
                    self.account.told(self.id, to, key, error.code, "asks")
                    self._ended(key, error)
                    time.sleep(0.02)
                    continue
                self.account.told(self.id, to, key, "accepted", "asks")
                self.account.show(self.id, to, reply.message_id)
                self.account.asks["ours answered"] += 1
                if reply.text != f"echo {key}":
                    self.account.problems.append(f"{key} got the reply {reply.text!r}")

    def _ended(self, key: str, error: IntercomError) -> None:
        self.account.asks[f"ours {error.code}"] += 1
        if error.code not in TRUE_REASONS:
            self.account.problems.append(f"{key} ended with {error.code}: {error}")

    def answer_until(self, is_over: threading.Event) -> None:
        """Answer each question until the broker has taken the reply, or says that nobody waits any more."""
        with self.client() as client:
            while not is_over.is_set():
                for key, asker in list(self.questions.items()):
                    reply = f"r-{key}"
                    self.account.told(self.id, asker, reply, "unknown", "replies")
                    answer = functools.partial(client.reply, f"echo {key}", to=key, message_id=reply)
                    self.account.told(self.id, asker, reply, _outcome(answer), "replies")
                    self.questions.pop(key, None)
                time.sleep(0.005)


def flood_for_ever(account: Account, stop: threading.Event, me: str = "flood", to: str = "blue-worker") -> None:
    """Send bursts without waiting; after a lost connection send what was not answered again, in order."""
    waiting: list[str] = []
    number = 0
    while not stop.is_set() or waiting:
        with contextlib.suppress(*LOST), Line() as line:
            line.sock.settimeout(2 * SCALE)
            line.peer(me)
            while not stop.is_set() or waiting:
                if not waiting:
                    waiting = [f"{me}-{number + index:06d}" for index in range(BURST)]
                    number += BURST
                for key in waiting:
                    account.sent[f"blue-{me}", to, "sends"].setdefault(key, "unknown")
                    line.send(to, key, key)
                while waiting:
                    answer = line.until("delivered", "delivery_failed")
                    account.told(f"blue-{me}", to, answer["messageId"], answer.get("code", "accepted"))
                    waiting.remove(answer["messageId"])
                time.sleep(0.02)
        time.sleep(0.01)


class Foreign(V1Client):
    """A v1 session that keeps the account of what it is shown, whether it waits for that or not."""

    def __init__(self, name: str, account: Account, stop: threading.Event) -> None:
        super().__init__(paths.broker_socket(), name, session_id=f"id-{name}")
        self.account = account
        self.stop = stop

    def _take(self, frame: Json) -> None:
        if frame["type"] == "error":
            self.account.cuts[frame["error"]] += 1
        super()._take(frame)

    def _take_message(self, sender: Json, message: Json) -> None:
        self.account.show(self.session_id, sender["id"], message["id"])
        super()._take_message(sender, message)

    def send_for_ever(self, dice: random.Random) -> None:
        """Send as the original's tool does; what was not answered is now and then sent again, else left open."""
        for number in _numbers(self.stop):
            to, key = dice.choice(RECEIVERS), f"{self.session_id}-{number:06d}"
            if to != self.session_id:
                self._send_counted(to, key, key, "sends", is_stubborn=dice.random() < 0.5)
            time.sleep(dice.uniform(0.02, 0.06))

    def ask_for_ever(self, dice: random.Random) -> None:
        """Ask; the original gives up when its connection goes, and then the reply is an ordinary message."""
        while not self.stop.is_set():
            to = dice.choice(ANSWERERS)
            if to == self.session_id:
                continue
            try:
                self.ask(to, "why?", timeout_s=60)
                self.account.asks["v1 answered"] += 1
            except AskLost:
                self.account.asks["v1 lost its connection"] += 1
            except NotDelivered as refusal:
                self._ended(refusal)
            except TimeoutError as error:
                self.account.problems.append(f"{self.name}: {error}")
            except OSError:
                self.account.asks["v1 could not ask"] += 1
            time.sleep(0.05)

    def _ended(self, refusal: NotDelivered) -> None:
        self.account.asks[f"v1 {refusal.code or 'away'}"] += 1
        if refusal.code not in TRUE_REASONS and "not currently connected" not in str(refusal):
            self.account.problems.append(f"ask of {self.name} ended with {refusal.code}: {refusal}")

    def _send_frame(self, to: str, words: str, message_id: str | None = None, **keys: Any) -> Json:
        frame = super()._send_frame(to, words, message_id, **keys)
        if keys.get("expectsReply"):
            self.account.told(self.session_id, to, frame["message"]["id"], "unknown", "asks")
        return frame

    def answer_until(self, is_over: threading.Event) -> None:
        """Answer each question until the broker has taken the reply, or says that nobody waits any more."""
        while not is_over.is_set():
            for key, (sender, message) in list(self.pending.items()):
                words = f"echo {message['content']['text']}"
                self._send_counted(sender["id"], f"r-{key}", words, "replies", is_stubborn=True, replyTo=key)
                self.pending.pop(key, None)
            time.sleep(0.01)

    def _send_counted(self, to: str, key: str, words: str, lane: str, *, is_stubborn: bool, **keys: Any) -> None:
        self.account.told(self.session_id, to, key, "unknown", lane)
        while True:
            outcome = _outcome(lambda: self.send(to, words, message_id=key, **keys))
            self.account.told(self.session_id, to, key, outcome, lane)
            if outcome != "unknown" or not is_stubborn:
                return
            time.sleep(0.02)


def _outcome(send: Callable[[], Any]) -> str:
    try:
        send()
    except DeliveryError as error:
        return "unknown" if error.code == "E_OUTCOME_UNKNOWN" else error.code
    except NotDelivered as refusal:
        return refusal.code or "E_REFUSED"
    except (*LOST, BrokerError):
        return "unknown"
    return "accepted"


def _numbers(stop: threading.Event) -> Any:
    number = 0
    while not stop.is_set():
        yield number
        number += 1


class Killer:
    """Ends brokers by SIGKILL: while they serve, while they start, while they stop."""

    def __init__(self, dice: random.Random, longest_s: float) -> None:
        self._dice = dice
        self._longest_s = longest_s
        self.kills: Counter[str] = Counter()

    def strike(self) -> None:
        """Let a broker serve for a while and kill it; one answers again on return."""
        is_short = self._dice.random() < 0.7
        time.sleep(self._dice.uniform(0, self._longest_s / 5 if is_short else self._longest_s))
        pid = broker_pid()
        is_stopping = self._dice.random() < 0.15
        if is_stopping:
            os.kill(pid, signal.SIGTERM)
            time.sleep(self._dice.uniform(0, 0.03))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_gone(pid), what="end of the killed broker")
        self.kills["stopping" if is_stopping else "serving"] += 1
        while self._dice.random() < 0.25:
            self._kill_a_starting_one()
        start()

    def _kill_a_starting_one(self) -> None:
        command = [sys.executable, "-I", "-m", "intercom_mux.broker"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            time.sleep(self._dice.uniform(0, 0.4))
            child.kill()
        self.kills["starting"] += 1


class Trial:
    """One run; `faults` after it is empty when every promise was kept."""

    def __init__(self, seed: int, *, longest_s: float = 2.0) -> None:
        """Between two kills a broker serves for at most `longest_s`."""
        self.seed = seed
        self.account = Account()
        self._stop = threading.Event()
        self._is_settled = threading.Event()
        self._dice = random.Random(seed)
        self.killer = Killer(self._dice, longest_s)

    def run(self, is_enough: Callable[[Counter[str]], bool]) -> None:
        """Kill brokers until `is_enough` of the kills so far; everything has settled on return."""
        start()
        with contextlib.ExitStack() as stack:
            ours = {name: OurSession(name, self.account, self._stop) for name in ("planner", "worker")}
            theirs = {name: Foreign(name, self.account, self._stop) for name in ("alice", "bob")}
            for peer in ours.values():
                stack.enter_context(peer)
            for session in theirs.values():
                stack.enter_context(session)
            workers = [
                *(functools.partial(peer.send_for_ever, self._another()) for peer in ours.values()),
                *(functools.partial(session.send_for_ever, self._another()) for session in theirs.values()),
                functools.partial(ours["planner"].ask_for_ever, self._another()),
                functools.partial(theirs["alice"].ask_for_ever, self._another()),
                functools.partial(flood_for_ever, self.account, self._stop),
            ]
            answerers = [
                functools.partial(ours["worker"].answer_until, self._is_settled),
                functools.partial(theirs["bob"].answer_until, self._is_settled),
            ]
            threads = [self._start(work) for work in workers]
            answering = [self._start(work) for work in answerers]
            try:
                while not is_enough(self.killer.kills) and not self.account.problems:
                    self.killer.strike()
                self._stop.set()
                for thread in threads:
                    thread.join(60 * SCALE)
                self._settle()
            finally:
                self._stop.set()
                self._is_settled.set()
                for thread in [*threads, *answering]:
                    thread.join(60 * SCALE)

    def _another(self) -> random.Random:
        return random.Random(self._dice.random())

    def _start(self, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except Exception as error:
                self.account.problems.append(f"a client failed: {error!r}")

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    def _settle(self) -> None:
        """Wait until nothing is under way; what does not come shows in the account."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.account.has_all() and self._is_quiet(), timeout_s=20)
        status = self._status()
        if status["open_asks"] or status["waiting_messages"]:
            self.account.problems.append(
                f"left open: {status['open_asks']} asks, {status['waiting_messages']} messages"
            )

    def _is_quiet(self) -> bool:
        status = self._status()
        return not status["open_asks"] and not status["waiting_messages"]

    def _status(self) -> Json:
        with Line() as line:
            line.peer("watcher").post(type="mux", requestId="1", op="status")
            value: Json = line.until("mux_result")["value"]
            return value
