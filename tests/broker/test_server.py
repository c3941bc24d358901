"""A real broker process over real sockets: access, hostile clients, slow ones, limits."""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.wire.frames import MAX_FRAME_BYTES, encode
from tests.broker.live import Line, broker_pid, start
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def broker(home: Path) -> Path:
    """A running broker; its socket."""
    return start()


def mode(path: Path) -> str:
    """Return the permission bits of a path."""
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_nobody_else_can_look_in_even_without_a_umask(home: Path) -> None:
    """Directories 0700, socket and files 0600, whatever the caller's umask is."""
    old = os.umask(0)
    try:
        path = start()
        with Line() as line:
            line.register("id-1", "planner").send("planner", "x", "m1").until("delivered")
    finally:
        os.umask(old)
    assert mode(path) == "0o600"
    assert mode(path.parent) == mode(paths.state_dir()) == "0o700"
    files = [file for file in paths.state_dir().iterdir() if file.is_file()]
    assert {file.name: mode(file) for file in files if file.name != "broker.start"} == {
        file.name: "0o600" for file in files if file.name != "broker.start"
    }
    assert {"journal.sqlite3", "broker.json", "broker.log"} <= {file.name for file in files}


def test_health_is_answered_at_any_time(broker: Path) -> None:
    """Before and after registration; the extra key tells ours from the stock broker."""
    expected = {
        "type": "health_ok",
        "requestId": "h",
        "protocol": "pi-intercom",
        "version": 1,
        "broker": "intercom-mux",
    }
    with Line() as line:
        assert line.post(type="health", requestId="h").read() == expected
        line.register("id-1", "planner")
        assert line.post(type="health", requestId="h").read() == expected


HOSTILE = [
    struct.pack(">I", MAX_FRAME_BYTES + 1),
    struct.pack(">I", 0xFFFFFFFF) + b"x" * 1000,
    struct.pack(">I", 0),
    struct.pack(">I", 3) + b"{]}",
    struct.pack(">I", 100_000) + b"[" * 100_000,
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    bytes(range(255, 0, -1)) * 20,
    encode({"type": "nonsense"}),
    encode({"type": "list"}),
    encode({"type": "message_receipt", "receipt": {"messageId": []}}),
    encode({"type": "mux", "requestId": "1", "op": "status"}),
]


def test_hostile_bytes_close_only_their_own_connection(broker: Path) -> None:
    """Registered or not, at once, while the others go on."""
    with Line() as witness:
        witness.register("id-1", "witness")
        for number, data in enumerate(HOSTILE):
            with Line() as stranger, Line() as member:
                member.register("id-2", "member")
                for line in (stranger, member):
                    line.sock.settimeout(0.9)
                    line.sock.sendall(data)
                    assert line.rest() == [], data[:40]
            witness.send("witness", "still here", f"m{number}")
            assert witness.until("delivered")["messageId"] == f"m{number}"


def test_a_refusal_can_be_read_before_the_end(broker: Path) -> None:
    """Although more input of the refused client was on its way."""
    with Line() as peer, Line() as thief:
        peer.peer("worker-1")
        session = {"name": "x", "cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}
        thief.post(type="register", sessionId="blue-worker-1", session=session)
        for _ in range(50):
            thief.send("witness", "x" * 1000, "m")
        assert [frame["type"] for frame in thief.rest()] == ["error"]


def test_frames_in_one_write_and_byte_by_byte(broker: Path) -> None:
    """How the stream is cut does not matter."""
    with Line() as line:
        session = {"cwd": "/", "model": "m", "pid": 1, "startedAt": 1, "lastActivity": 1}
        data = encode({"type": "health", "requestId": "h"}) + encode({"type": "register", "session": session})
        for byte in data + encode({"type": "list", "requestId": "1"}):
            line.sock.sendall(bytes([byte]))
        assert [line.until(kind)["type"] for kind in ("health_ok", "registered", "sessions")]


def test_only_32_may_wait_unregistered(broker: Path) -> None:
    """The oldest makes room; registered ones are not counted."""
    lines = [Line() for _ in range(33)]
    try:
        lines[0].sock.settimeout(0.8)
        assert lines[0].read() is None
        for line in lines[1:]:
            assert line.post(type="health", requestId="h").until("health_ok")
    finally:
        for line in lines:
            line.close()


def test_who_does_not_register_is_cut_after_a_second(broker: Path) -> None:
    """Silence is no way to hold a connection."""
    with Line() as line:
        assert line.rest() == []


def test_a_client_that_does_not_read_costs_the_others_nothing(broker: Path) -> None:
    """Its mail waits; when it is back and reads, all of it is there, in order."""
    count, size = 60, 500_000
    with Line() as planner:
        planner.peer("planner")
        with Line() as deaf:
            deaf.peer("worker-1")
            for number in range(count):
                planner.send("worker-1", f"{number:02d}" + "x" * size, f"m{number}")
                assert planner.until("delivered")["messageId"] == f"m{number}"
        with Line() as worker:
            worker.peer("worker-1")
            seen: list[str] = []
            while len(seen) < count:
                message = worker.until("message")["message"]
                worker.confirm(message["id"])
                seen.append(message["content"]["text"][:2])
        assert seen == [f"{number:02d}" for number in range(count)]


def test_receipts_of_a_client_that_has_hung_up_still_count(broker: Path) -> None:
    """A command confirms its reply and exits at once; the broker may be writing to it just then."""
    with Line() as planner:
        planner.peer("planner")
        for number in range(30):
            with Line() as worker:
                worker.peer("worker-1")
                planner.send("worker-1", "x", f"m{number}").until("delivered")
                worker.until("message")
                planner.send("worker-1", "y", f"n{number}")
                worker.confirm(f"m{number}").confirm(f"n{number}")
            planner.until("delivered")
        with Line() as worker:
            worker.peer("worker-1").send("planner", "end", "end")
            seen: list[str] = []
            while (frame := worker.until("message", "delivered"))["type"] == "message":
                seen.append(frame["message"]["id"])
        assert not [message_id for message_id in seen if message_id.startswith("m")]


def test_a_takeover_says_registered_first_and_farewell_to_the_old(broker: Path) -> None:
    """The old connection just ends; nothing on it says why, as in v1."""
    with Line() as old, Line() as new:
        old.register("id-1", "planner")
        new.register("id-1", "planner")
        assert old.rest() == []
        new.send("planner", "x", "m1").until("message")


def test_the_uid_of_a_client_is_known(broker: Path) -> None:
    """From the socket, not from what it says."""
    with Line() as line:
        line.register("id-1", "planner").post(type="list", requestId="1")
        (row,) = line.until("sessions")["sessions"]
        assert (row["peerUid"], row["trustedLocal"]) == (os.getuid(), True)


def test_status_adds_what_only_the_server_knows(broker: Path) -> None:
    """Process, version, journal."""
    with Line() as line:
        line.peer("planner").post(type="mux", requestId="1", op="status")
        value = line.until("mux_result")["value"]
    assert value["pid"] == broker_pid()
    assert value["sessions"] == 1
    assert value["journal_bytes"] > 0


def test_an_idle_broker_uses_no_time(broker: Path) -> None:
    """It sleeps while nothing happens, with clients connected."""

    def ticks() -> int:
        with open(f"/proc/{broker_pid()}/stat") as stat_file:
            fields = stat_file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    with Line() as line, Line() as other:
        line.register("id-1", "planner").send("planner", "x", "m1").until("delivered")
        other.peer("worker-1")
        wait_until(lambda: line.post(type="health", requestId="h").until("health_ok"))
        before = ticks()
        line.sock.settimeout(0.7)
        with pytest.raises(TimeoutError):
            line.until("nothing")
        assert ticks() - before <= 2
