"""A broker whose disk is full: honest to the senders at once, and nothing accepted is lost or made up afterwards."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.wire.frames import encode
from tests.broker.live import Line, broker_pid, is_gone, start
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = "x" * 200_000


@pytest.fixture
def lines(home: Path) -> Iterator[tuple[Line, Line]]:
    """A planner, and a scout of pi's kind."""
    start()
    with Line() as planner, Line() as scout:
        yield planner.peer("planner"), scout.register("id-scout", "scout")


def fill_the_disk(room: int = len(BIG) // 2) -> int:
    """Let the broker's files grow no more than a little; return its pid."""
    pid = broker_pid()
    size = paths.journal_file().with_suffix(".redo").stat().st_size + room
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
    return pid


def test_the_sender_hears_it_and_the_message_is_not_there_later(lines: tuple[Line, Line]) -> None:
    """`E_JOURNAL`, never `delivered`; its receiver sees nothing of it until it is sent again and accepted."""
    planner, scout = lines
    planner.send("scout", "small", "m1").until("delivered")
    scout.until("message")
    pid = fill_the_disk()
    answer = planner.send("scout", BIG, "m2").until("delivered", "delivery_failed")
    assert (answer["type"], answer["code"], answer["messageId"]) == ("delivery_failed", "E_JOURNAL", "m2")
    assert "Message could not be stored" in answer["reason"]
    assert [frame for frame in scout.rest() if frame["type"] == "message"] == []
    wait_until(lambda: is_gone(pid), what="end of the broker")
    start()
    with Line() as planner, Line() as scout:
        planner.peer("planner"), scout.register("id-scout", "scout")
        assert scout.until("message")["message"]["id"] == "m1"
        planner.send("scout", BIG, "m2").until("delivered")
        assert scout.until("message")["message"]["id"] == "m2"


def test_a_run_of_messages_is_refused_one_by_one(lines: tuple[Line, Line]) -> None:
    """What the broker takes at once is answered message by message."""
    planner, scout = lines
    ids = [f"m{number}" for number in range(5)]
    fill_the_disk(room=1_000)
    content = {"text": BIG[:1_000]}
    frames = [{"type": "send", "to": "scout", "message": {"id": i, "timestamp": 1, "content": content}} for i in ids]
    planner.sock.sendall(b"".join(map(encode, frames)))
    told = [(frame["messageId"], frame["code"]) for frame in planner.rest() if frame["type"] == "delivery_failed"]
    assert told == [(message_id, "E_JOURNAL") for message_id in ids]
    assert [frame for frame in scout.rest() if frame["type"] == "message"] == []


def test_an_ask_whose_reply_was_refused_is_still_open(lines: tuple[Line, Line]) -> None:
    """The question comes again and the reply can be sent again: nothing says that it was answered."""
    planner, scout = lines
    planner.send("scout", "how?", "q1", expectsReply=True).until("delivered")
    scout.until("message")
    pid = fill_the_disk()
    answer = scout.send("blue-planner", BIG, "r1", replyTo="q1").until("delivered", "delivery_failed")
    assert answer.get("code") == "E_JOURNAL"
    wait_until(lambda: is_gone(pid), what="end of the broker")
    start()
    with Line() as planner, Line() as scout:
        planner.peer("planner"), scout.register("id-scout", "scout")
        assert scout.until("message")["message"]["id"] == "q1"
        scout.send("blue-planner", BIG, "r1", replyTo="q1").until("delivered")
        assert planner.until("message")["message"]["replyTo"] == "q1"


def test_a_reply_by_request_is_refused_alike(lines: tuple[Line, Line]) -> None:
    """As the answer to the request."""
    planner, scout = lines
    scout.send("blue-planner", "how?", "q1", expectsReply=True).until("delivered")
    planner.until("message")
    fill_the_disk()
    message = {"id": "r1", "timestamp": 1, "content": {"text": BIG}}
    planner.post(type="mux", requestId="1", op="reply", to="q1", message=message)
    answer = planner.until("mux_result")
    assert (answer["ok"], answer["error"]["code"]) == (False, "E_JOURNAL")
    assert os.path.exists(paths.journal_file())
