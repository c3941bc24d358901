"""The blocking client against a real broker: what commands and the demo agent rely on."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.client import identity as identities
from intercom_mux.client.blocking import Client, Reply
from intercom_mux.client.identity import Identity
from intercom_mux.errors import AskTicket, AskTimeout, BrokerError, DeliveryError
from tests.broker.live import Line, kill_broker, start
from tests.support import SCALE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def pane(name: str, **changes: Any) -> Identity:
    """Return the identity of a command in a peer's pane."""
    values = {"team": "team-blue", "token": "secret", **changes}
    return Identity(f"blue-{name}", name, paths.broker_socket(), **values)


@pytest.fixture
def planner(home: Path) -> Iterator[Client]:
    """A client acting as the peer `planner`, whose endpoint is away."""
    start()
    with Line() as endpoint:
        endpoint.peer("planner")
    with Client.connect(pane("planner")) as client:
        yield client


@pytest.fixture
def worker(planner: Client) -> Iterator[Line]:
    """The connected endpoint of `worker-1`."""
    with Line() as line:
        yield line.peer("worker-1")


class Answering:
    """Answers questions in the background, after whatever `before` does with each."""

    def __init__(self, line: Line, before: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
        self.thread = threading.Thread(target=self._run)
        self.line, self.before = line, before
        self.thread.start()

    def _run(self) -> None:
        message = self.line.until("message")["message"]
        self.before(message)
        self.line.send("blue-planner", f"re: {message['content']['text']}", "r-" + message["id"], replyTo=message["id"])

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join()


def test_a_shell_starts_the_broker_by_itself(home: Path) -> None:
    """The first command in a terminal needs no preparation, and is known by its terminal."""
    with Client.connect() as client:
        (me,) = client.sessions()
    assert (me["self"], me["kind"]) == (True, "shell")
    assert me["id"] == identities.of_shell().session_id
    with Client.connect() as client:
        assert len(client.sessions()) == 1


def test_a_pane_does_not_start_a_broker(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its team's daemon does; the command says so when its patience is over."""
    monkeypatch.setattr("intercom_mux.client.blocking.RECONNECT_S", 0.1)
    with pytest.raises(BrokerError, match="does not answer"):
        Client.connect(pane("planner"))
    assert not paths.broker_socket().exists()


def test_a_refused_identity_is_an_error_with_the_reason(planner: Client) -> None:
    """Wrong token, unknown peer."""
    for wrong, words in ((pane("planner", token="x"), "Wrong token"), (pane("ghost"), "not registered")):
        with pytest.raises(BrokerError, match=words) as caught:
            Client.connect(wrong)
        assert caught.value.code == "E_REFUSED"


def test_send_says_to_whom_and_how(planner: Client, worker: Line) -> None:
    """Delivered to a connected endpoint, queued for an absent one."""
    attachment = {"type": "file", "name": "a.py", "content": "pass"}
    answer = planner.send("worker-1", "hello", attachments=[attachment])
    assert (answer["to"], answer["delivery"]) == ("worker-1", "socket_delivered")
    assert worker.until("message")["message"]["content"] == {"text": "hello", "attachments": [attachment]}
    worker.close()
    wait_until(lambda: planner.send("worker-1", "hello")["delivery"] == "queued")


def test_an_unknown_name_is_answered_with_the_known_ones(planner: Client, worker: Line) -> None:
    """The hint is what a user types next."""
    with pytest.raises(DeliveryError) as caught:
        planner.send("wroker", "hello")
    assert (caught.value.code, caught.value.message) == ("E_TARGET_NOT_FOUND", 'Session not found: "wroker"')
    assert caught.value.hint == "did you mean worker-1? known: worker-1"
    assert caught.value.fields["names"] == ["worker-1"]


def test_with_nobody_else_the_hint_is_to_start_a_team(home: Path) -> None:
    """A first message goes nowhere, but says how to go on."""
    with Client.connect() as client, pytest.raises(DeliveryError) as caught:
        client.send("worker", "hello")
    assert caught.value.hint is not None


def test_a_message_sent_twice_under_one_id_arrives_once(planner: Client, worker: Line) -> None:
    """What a command may do after a lost answer."""
    assert planner.send("worker-1", "x", message_id="m1") == planner.send("worker-1", "x", message_id="m1")
    worker.until("message")
    planner.send("worker-1", "y")
    assert worker.until("message")["message"]["content"]["text"] == "y"


def test_ask_returns_the_reply_and_keeps_it_out_of_the_mailbox(planner: Client, worker: Line) -> None:
    """The reply names its sender as we see it."""
    with Answering(worker):
        reply = planner.ask("worker-1", "how?")
    assert (reply.text, reply.sender) == ("re: how?", "worker-1")
    assert reply.message_id == f"r-{reply.ask_id}"
    assert planner.inbox() == []
    assert planner.result(reply.ask_id)["reply"]["text"] == "re: how?"


def test_an_unacknowledged_reply_stays_in_the_mailbox(planner: Client, worker: Line) -> None:
    """A caller that prints first and confirms then loses nothing if it dies between."""
    with Answering(worker):
        reply = planner.ask("worker-1", "how?", acknowledge=False)
    planner.close()
    with Client.connect(pane("planner")) as again:
        assert [row["id"] for row in again.inbox(peek=True)] == [reply.message_id]
        again.acknowledge(reply)
        assert again.inbox() == []


def test_receipts_are_told_while_waiting(planner: Client, worker: Line) -> None:
    """A human sees that the question was taken up."""
    seen: list[str] = []
    with Answering(worker, lambda message: worker.confirm(message["id"])):
        planner.ask("worker-1", "how?", on_receipt=lambda receipt: seen.append(receipt["status"]))
    assert seen == ["acknowledged"]


def test_ask_times_out_and_withdraws(planner: Client, worker: Line) -> None:
    """The receiver is told to drop the question."""
    with pytest.raises(AskTimeout, match=r"within 0\.2 s"):
        planner.ask("worker-1", "how?", timeout_s=0.2)
    assert worker.until("message_control")["control"]["action"] == "cancel"
    assert planner.request("pending")["from_me"] == []


def test_a_time_out_tells_what_was_last_heard_of_the_ask(planner: Client, worker: Line) -> None:
    """The detail of the last receipt says why there was no reply."""

    def hold() -> None:
        ask_id = worker.until("message")["message"]["id"]
        receipt = {"messageId": ask_id, "status": "queued", "timestamp": 1, "detail": "blocked:permission"}
        worker.post(type="message_receipt", receipt=receipt)

    thread = threading.Thread(target=hold)
    thread.start()
    with pytest.raises(AskTimeout, match="; last heard: blocked:permission") as caught:
        planner.ask("worker-1", "how?", timeout_s=1)
    thread.join()
    assert caught.value.fields["last"] == "blocked:permission"


def test_ask_in_a_pane_turns_into_a_ticket_before_the_agents_tool_gives_up(planner: Client, worker: Line) -> None:
    """The ask goes on; the reply is fetched by its id, by its start, again and again."""
    with Client.connect(pane("planner", ask_wait_s=0.2)) as hurried:
        with pytest.raises(AskTicket) as caught:
            hurried.ask("worker-1", "how?")
        ticket = caught.value.fields["ask_id"]
        assert hurried.result(ticket)["state"] == "open"
    assert ticket[:8] in str(caught.value.hint)
    with Answering(worker):
        pass
    value = wait_until(lambda: (v := planner.result(ticket[:8]))["state"] == "answered" and v)
    assert value["reply"]["text"] == "re: how?"
    assert planner.result(ticket)["reply"] == value["reply"]


def test_an_ask_can_go_on_where_a_ticket_was_left(planner: Client, worker: Line) -> None:
    """The same id again waits for the same answer; the question is not asked twice."""
    with Client.connect(pane("planner", ask_wait_s=0.1)) as hurried, pytest.raises(AskTicket):
        hurried.ask("worker-1", "how?", message_id="q1")
    with Answering(worker):
        assert planner.ask("worker-1", "how?", message_id="q1").text == "re: how?"


def test_tickets_do_not_wait(planner: Client, worker: Line) -> None:
    """Several at once, each with its answer."""
    for ask_id in ("q1", "q2"):
        assert planner.ask_ticket("worker-1", "how?", message_id=ask_id)["messageId"] == ask_id
        worker.send("blue-planner", f"re: {ask_id}", f"r-{ask_id}", replyTo=ask_id)
    wait_until(lambda: planner.result("q2")["state"] == "answered")
    assert planner.result("q1")["reply"]["text"] == "re: q1"


def test_ask_many_yields_every_outcome_once(planner: Client, worker: Line) -> None:
    """Replies as they come, a refusal at once, a time-out last."""
    with Line() as silent, Answering(worker):
        silent.peer("worker-2")
        outcomes = dict(planner.ask_many(["worker-1", "worker-9", "worker-2"], "how?", timeout_s=2))
    assert isinstance(outcomes["worker-1"], Reply)
    assert isinstance(outcomes["worker-9"], DeliveryError)
    assert isinstance(outcomes["worker-2"], AskTimeout)


def test_the_limit_of_a_pane_holds_for_all_asks_together(planner: Client, worker: Line) -> None:
    """Three silent peers cost the limit once, not three times."""
    names = ["worker-1", "worker-2", "worker-3"]
    with Line() as two, Line() as three, Client.connect(pane("planner", ask_wait_s=1)) as hurried:
        two.peer("worker-2"), three.peer("worker-3")
        began = time.monotonic()
        outcomes = list(hurried.ask_many(names, "how?"))
        assert time.monotonic() - began < 2.5 * SCALE
    assert [type(outcome) for _, outcome in outcomes] == [AskTicket] * 3


def test_closing_the_iterator_withdraws_what_is_open(planner: Client, worker: Line) -> None:
    """The first answer was enough."""
    with Line() as silent, Answering(worker):
        silent.peer("worker-2")
        replies = planner.ask_many(["worker-1", "worker-2"], "how?")
        assert next(replies)[0] == "worker-1"
        replies.close()
        assert silent.until("message_control")["control"]["action"] == "cancel"


def test_only_one_command_of_a_session_may_wait(planner: Client, worker: Line) -> None:
    """The second is refused in the words that users search for."""
    with Client.connect(pane("planner")) as other:
        replies = other.ask_many(["worker-1"], "how?")
        waiting = threading.Thread(target=lambda: list(replies))
        waiting.start()
        worker.until("message")
        with pytest.raises(DeliveryError, match="Already waiting for a reply"):
            planner.ask("worker-1", "and me?")
        (ask,) = planner.request("pending")["from_me"]
        worker.send("blue-planner", "so", "r1", replyTo=ask["id"])
        waiting.join()


ASKER = """
import signal, sys
from intercom_mux.client.blocking import Client
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    Client.connect().ask("worker-1", "how?")
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_an_asker_that_is_stopped_leaves_a_ticket(
    planner: Client, worker: Line, home: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Ctrl-C or worse: the reply goes to the session's mailbox."""
    file = home / "identity"
    identities.write(file, pane("planner"))
    monkeypatch.setenv(paths.IDENTITY_VARIABLE, str(file))
    asker = subprocess.Popen([sys.executable, "-c", ASKER])
    ask_id = worker.until("message")["message"]["id"]
    asker.send_signal(number)
    asker.wait(10)
    wait_until(lambda: not planner.request("pending")["from_me"][0]["is_blocking"])
    worker.send("blue-planner", "so", "r1", replyTo=ask_id).until("delivered")
    assert [row["text"] for row in planner.inbox()] == ["so"]


def test_an_ask_survives_a_killed_broker(planner: Client, worker: Line) -> None:
    """Both sides come back and the reply arrives, exactly once."""

    def back_again(message: dict[str, Any]) -> None:
        kill_broker()
        start()
        answering.line.close()
        answering.line = Line().peer("worker-1")
        assert answering.line.until("message")["message"]["id"] == message["id"]

    answering = Answering(worker, back_again)
    with answering:
        reply = planner.ask("worker-1", "how?", timeout_s=20)
    answering.line.close()
    assert reply.text == "re: how?"
    assert planner.inbox() == []


def test_an_ask_hears_of_a_refusal_after_the_broker_was_killed(planner: Client, worker: Line) -> None:
    """Its target was retired meanwhile: no waiting for nothing."""

    def retire(message: dict[str, Any]) -> None:
        kill_broker()
        start()
        with Line() as daemon:
            daemon.peer("worker-1").post(
                type="mux", requestId="1", op="retire", sessions=[{"id": "blue-worker-1", "token": "secret"}]
            ).until("mux_result")

    thread = threading.Thread(target=lambda: retire(worker.until("message")["message"]))
    thread.start()
    with pytest.raises((DeliveryError, AskTimeout)) as caught:
        planner.ask("worker-1", "how?", timeout_s=8)
    thread.join()
    assert caught.value.code in {"E_TARGET_NOT_FOUND", "E_ASK_ENDED", "E_DELIVERY_FAILED"}


def test_the_end_of_an_ask_is_told_with_its_reason(planner: Client, worker: Line) -> None:
    """The agent has exited: nobody waits ten minutes for it."""
    thread = threading.Thread(
        target=lambda: worker.until("message") and worker.post(type="presence", status="exited:1")
    )
    thread.start()
    with pytest.raises(DeliveryError, match="worker-1 has exited with status 1") as caught:
        planner.ask("worker-1", "how?")
    thread.join()
    assert caught.value.code == "E_ASK_ENDED"


@pytest.mark.parametrize("what", ["send", "request", "sessions"])
def test_every_call_survives_a_killed_broker(planner: Client, worker: Line, what: str) -> None:
    """It connects again and says the same once more."""
    kill_broker()
    start()
    if what == "send":
        assert planner.send("worker-1", "x")["delivery"] == "queued"
    elif what == "request":
        assert planner.pending() == []
    else:
        assert planner.sessions() != []


def test_pending_and_reply(planner: Client, worker: Line) -> None:
    """The other side of an ask, with what a human needs to know."""
    worker.send("blue-planner", "which branch?", "q1", expectsReply=True).until("delivered")
    (row,) = planner.pending()
    assert (row["id"], row["from"], row["text"]) == ("q1", "worker-1", "which branch?")
    answer = planner.reply("main", message_id="r1")
    assert (answer["askId"], answer["to"]) == ("q1", "worker-1")
    assert planner.reply("main", message_id="r1") == answer
    assert worker.until("message")["message"]["replyTo"] == "q1"
    with pytest.raises(DeliveryError, match="No active intercom context to reply to"):
        planner.reply("main")


def test_inbox_reads_once_and_by_id_again(planner: Client, worker: Line) -> None:
    """Kinds tell asks, replies and messages apart."""
    worker.send("blue-planner", "note", "m1").send("blue-planner", "why?", "q1", expectsReply=True)
    wait_until(lambda: len(planner.inbox(peek=True)) == 2)
    rows = planner.inbox()
    assert [(row["id"], row["kind"], row["text"]) for row in rows] == [("m1", "message", "note"), ("q1", "ask", "why?")]
    assert planner.inbox() == []
    assert planner.inbox("m1")[0]["text"] == "note"
    assert planner.reply("because")["askId"] == "q1"
    with pytest.raises(DeliveryError, match="No message"):
        planner.inbox("zzz")


def test_cancel(planner: Client, worker: Line) -> None:
    """Ours may be taken back, twice even; others' not."""
    planner.send("worker-1", "x", message_id="m1")
    planner.cancel("m1")
    planner.cancel("m1")
    assert worker.until("message_control")["control"]["messageId"] == "m1"
    with pytest.raises(DeliveryError, match="cannot be cancelled"):
        planner.cancel("m2")


def test_tasks(planner: Client, worker: Line) -> None:
    """What is not named stays as it is."""
    planner.progress("T1", title="Retries", owner="worker-1")
    planner.progress("T1", percent=50, note=None)
    (task,) = planner.tasks()
    assert (task["title"], task["percent"], task["state"]) == ("Retries", 50, "started")


def test_answers_in_one_piece_are_all_seen(planner: Client, worker: Line) -> None:
    """The broker may write several frames at once; none is skipped and their order is kept."""
    for number in range(200):
        worker.send("blue-planner", str(number), f"m{number}")
    planner._post({"type": "list", "requestId": "a"})
    planner._post({"type": "list", "requestId": "b"})
    assert planner._await(lambda f: f.get("requestId") == "b")["type"] == "sessions"
    assert planner._await(lambda f: f.get("requestId") == "a")["type"] == "sessions"


def test_waiting_mail_is_counted_at_the_start(planner: Client, worker: Line) -> None:
    """A command may say so in passing."""
    worker.send("blue-planner", "x", "m1").until("delivered")
    with Client.connect(pane("planner")) as client:
        assert client.waiting == 1
        assert client.name == "planner"
