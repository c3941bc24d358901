"""Back-pressure over real sockets: with small limits, a fast sender of ours is slowed and loses nothing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from intercom_mux.config import config_file
from intercom_mux.wire.frames import encode
from tests.broker.live import Line, start
from tests.cli.stage import Peer, run
from tests.cli.stage import start as start_command
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def broker_with(limits: str) -> None:
    """Start a broker with these limits in its configuration."""
    config_file().parent.mkdir(parents=True)
    config_file().write_text(f"[broker.limits]\n{limits}\n")
    start()


def letter(message_id: str, text: str = "x") -> bytes:
    """Return the frame of a message to `worker-1`."""
    message = {"id": message_id, "timestamp": 1, "content": {"text": text}}
    return encode({"type": "send", "to": "worker-1", "message": message})


def answers(line: Line, count: int) -> list[tuple[str, str]]:
    """Return the next answers to `send`, as message id and `delivered` or the code."""
    frames = [line.until("delivered", "delivery_failed") for _ in range(count)]
    return [(frame["messageId"], frame.get("code") or frame["type"]) for frame in frames]


def test_a_full_mailbox_makes_its_sender_wait(home: Path) -> None:
    """The connection answers everything else meanwhile; a receipt lets the message in."""
    broker_with("mailbox_messages = 2\nmailbox_wait_s = 8")
    with Line() as planner, Line() as worker:
        planner.peer("planner")
        worker.peer("worker-1")
        planner.sock.sendall(b"".join(letter(message_id) for message_id in "abc"))
        assert answers(planner, 2) == [("a", "delivered"), ("b", "delivered")]
        assert planner.post(type="health", requestId="h").read() == {
            "type": "health_ok",
            "requestId": "h",
            "protocol": "pi-intercom",
            "version": 1,
            "broker": "intercom-mux",
        }
        worker.confirm("a")
        assert answers(planner, 1) == [("c", "delivered")]


def test_who_has_waited_long_enough_is_refused(home: Path) -> None:
    """The broker wakes up for it by itself; and a mailbox that is full for one is open for others elsewhere."""
    broker_with("mailbox_messages = 1\nmailbox_wait_s = 0.2")
    with Line() as planner, Line() as worker:
        planner.peer("planner")
        worker.peer("worker-1")
        planner.sock.sendall(b"".join(letter(message_id) for message_id in "abc"))
        assert answers(planner, 3) == [("a", "delivered"), ("b", "E_MAILBOX_FULL"), ("c", "E_MAILBOX_FULL")]
        worker.send("planner", "still here", "w").until("delivered")
        assert planner.until("message")["message"]["id"] == "w"


def test_a_sender_that_never_stops_is_slowed_to_its_receiver(home: Path) -> None:
    """Through a mailbox of ten messages pass thousands, each once and in order, and none is refused."""
    broker_with("mailbox_messages = 10\nmailbox_wait_s = 8")
    count = 3_000
    ids = [f"m{number:04d}" for number in range(count)]
    heard: list[tuple[str, str]] = []
    with Line() as planner, Line() as worker:
        planner.peer("planner")
        worker.peer("worker-1")
        data = b"".join(letter(message_id, "x" * 200) for message_id in ids)
        writer = threading.Thread(target=planner.sock.sendall, args=(data,))
        listener = threading.Thread(target=lambda: heard.extend(answers(planner, count)))
        writer.start()
        listener.start()
        seen = []
        for _ in ids:
            message_id = worker.until("message")["message"]["id"]
            seen.append(message_id)
            worker.confirm(message_id)
        writer.join(10)
        listener.join(10)
    assert seen == ids
    assert heard == [(message_id, "delivered") for message_id in ids]


def test_a_client_that_hangs_up_while_it_is_not_read_from_is_let_go(home: Path) -> None:
    """What it left unread is worked off, and the broker sleeps again."""
    broker_with("mailbox_messages = 1\nmailbox_wait_s = 0.2")
    with Line() as watcher, Line() as worker:
        worker.peer("worker-1")
        watcher.peer("watcher")
        with Line() as planner:
            planner.peer("planner")
            planner.sock.sendall(b"".join(letter(f"m{number}", "x" * 2_000) for number in range(60)))
            planner.until("delivered")

        def connections() -> int:
            watcher.post(type="mux", requestId="s", op="status")
            return int(watcher.until("mux_result")["value"]["connections"])

        wait_until(lambda: connections() == 2, what="end of the connection")
        worker.send("watcher", "x", "w").until("delivered")


def test_more_frames_than_the_rate_allows_take_their_time(home: Path) -> None:
    """All are answered in order and nobody is cut; after the burst, the next is read when its time has come."""
    broker_with("read_burst = 50\nread_per_second = 1000")
    with Line() as busy, Line() as other:
        busy.peer("planner")
        other.peer("worker-1")
        began = time.monotonic()
        busy.sock.sendall(b"".join(encode({"type": "health", "requestId": str(number)}) for number in range(300)))
        assert [busy.until("health_ok")["requestId"] for _ in range(300)] == [str(number) for number in range(300)]
        busy.post(type="health", requestId="last")
        other.post(type="health", requestId="h").until("health_ok")
        assert busy.until("health_ok")["requestId"] == "last"
        assert time.monotonic() - began >= (300 - 50) / 1000


def test_a_command_waits_and_succeeds(home: Path) -> None:
    """It is slow and then says what it always says."""
    broker_with("mailbox_messages = 1\nmailbox_wait_s = 8")
    with Peer("planner") as planner:
        assert run("send", "planner", "first").code == 0
        command = start_command("send", "planner", "second")
        wait_until(lambda: run("broker", "status", "--json").json["held_senders"] == 1, what="held sender")
        assert command.poll() is None
        wait_until(planner.texts, what="the first")
        planner.confirm(planner.of_type("message")[0]["message"])
        out, err = command.communicate(timeout=10)
        assert (command.returncode, err) == (0, "")
        assert out.startswith("delivered to planner")
        wait_until(lambda: len(planner.texts()) == 2, what="the second")
        assert planner.texts() == ["first", "second"]


def test_a_command_that_waits_in_vain_says_why(home: Path) -> None:
    """Its exit code is that of a message that was not accepted."""
    broker_with("mailbox_messages = 1\nmailbox_wait_s = 0.2")
    with Peer("planner"):
        assert run("send", "planner", "first").code == 0
        refused = run("send", "planner", "second")
        assert refused.code == run("send", "nobody", "x").code
        assert "Mailbox of the target is full: 1 messages are waiting" in refused.err
