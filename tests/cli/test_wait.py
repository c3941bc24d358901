"""`wait`, `send --wait` and what askers hear while they wait, as real processes against a real broker."""

from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import config
from tests.broker.live import kill_broker
from tests.cli.stage import Peer, command, run, start
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


def _status(peer: Peer, status: str) -> None:
    peer.write({"type": "presence", "status": status})
    wait_until(lambda: _row(peer)["status"] == status, what=status)


def _row(peer: Peer) -> Json:
    row: Json = next(row for row in run("list", "--json").json if row["id"] == peer.session_id)
    return row


@pytest.mark.parametrize(
    ("until", "before", "after"),
    [("idle", "thinking", "idle"), ("blocked", "idle", "blocked:permission"), ("exited", "idle", "exited:0")],
)
def test_wait_ends_when_the_peer_gets_there(planner: Peer, until: str, before: str, after: str) -> None:
    """The state is told by an event; the exit code is 0."""
    _status(planner, before)
    with start("wait", "planner", "--until", until, "--timeout", "20s") as waiting:
        _status(planner, after)
        out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out.split(), err) == (0, ["planner", after], "")


def test_wait_has_codes_of_its_own_for_the_time_and_for_an_exit(planner: Peer) -> None:
    """11: not in time; 12: the peer exited instead; 6: nobody of that name."""
    _status(planner, "thinking")
    late = run("wait", "planner", "--until", "idle", "--timeout", "0.3", "--json")
    assert (late.code, late.json["error"]["code"]) == (11, "E_WAIT_TIMEOUT")
    _status(planner, "exited:1")
    assert run("wait", "planner", "--until", "idle").code == 12
    assert run("wait", "plannr", "--until", "idle").code == 6


def _connections() -> int:
    """Return how many connections the broker has beside the one that asks; 0 while none runs."""
    return int(run("broker", "status", "--json").json.get("connections", 1)) - 1


@pytest.mark.parametrize("until", ["blocked", "exited"])
def test_wait_takes_nobody_to_have_left_with_a_broker_that_was_killed(until: str) -> None:
    """The waiting command is the first to come back; the peer follows, and what is waited for then happens."""
    with Peer("planner"), start("wait", "planner", "--until", until, "--timeout", "20s") as waiting:
        wait_until(lambda: _connections() == 2, what="the waiting command")
        kill_broker()
        wait_until(lambda: _connections() == 1, what="the waiting command at the next broker")
        with Peer("planner") as planner:
            _status(planner, {"blocked": "blocked:permission", "exited": "exited:0"}[until])
            out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, err) == (0, "")
    assert out.split()[1] == {"blocked": "blocked:permission", "exited": "exited:0"}[until]


def test_wait_any_is_content_with_one(planner: Peer) -> None:
    """Without it all must get there."""
    with Peer("scout") as scout:
        _status(scout, "blocked:permission")
        _status(planner, "thinking")
        found = run("wait", "planner", "scout", "--until", "blocked", "--any", "--json").json
        assert [(row["name"], row["reached"]) for row in found] == [("planner", False), ("scout", True)]
        assert run("wait", "planner", "scout", "--until", "blocked", "--timeout", "0.3").code == 11


def test_wait_for_the_reply_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket that is answered is the end of the wait."""
    with Peer("planner") as planner, Peer("worker") as worker:
        planner.enter_pane(monkeypatch)
        ticket = run("ask", "--async", "worker", "how?").out.strip()
        wait_until(worker.texts, what="the ask")
        assert _row(worker)["asked_by"][0]["with"] == "planner"
        assert "planner  waits for  worker  " in run("list").out
        with start("wait", "worker", "--until", "reply", "--timeout", "20s") as waiting:
            worker.reply(worker.of_type("message")[0]["message"], "so")
            out, _ = waiting.communicate(timeout=20)
        assert (waiting.returncode, out) == (0, f"worker  has replied: `intercom-mux result {ticket[:8]}`\n")


def test_wait_for_a_reply_that_has_come_says_how_to_read_it() -> None:
    """Until it is read; no wait is needed then."""
    with Peer("worker", answer=lambda peer, message: peer.reply(message, "so")):
        ticket = run("ask", "--async", "worker", "how?").out.strip()
        wait_until(lambda: "reply" in run("inbox", "--peek").out, what="the reply")
        waited = run("wait", "worker", "--until", "reply")
        assert (waited.code, waited.out) == (0, f"worker  has replied: `intercom-mux result {ticket[:8]}`\n")
        assert run("result", ticket).out == "so\n"
        assert run("wait", "worker", "--until", "reply").out == "worker  no ask of yours is open\n"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda peer, message: peer.confirm(message, detail="submitted"), 0),
        (lambda peer, message: peer.confirm(message, "acknowledged", "outcome unknown: it exited"), 13),
        (lambda peer, message: None, 11),
    ],
    ids=["submitted", "unknown", "held"],
)
def test_send_wait_follows_the_message_and_says_why_it_is_held(end: Callable[[Peer, Json], None], code: int) -> None:
    """The reason comes on stderr once, the end decides the exit code."""

    def hold(peer: Peer, message: Json) -> None:
        peer.confirm(message, "queued", "blocked:permission")
        peer.confirm(message, "queued", "blocked:permission")
        end(peer, message)

    with Peer("worker", answer=hold):
        sent = run("send", "worker", "hi", "--wait", "1s" if code == 11 else "20s")
    assert sent.code == code
    assert [line.partition(" waits: ")[2] for line in sent.err.splitlines() if line.startswith("note: ")] == [
        "blocked:permission"
    ]
    assert sent.out.startswith("submitted to worker") == (code == 0)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["fast", "click"])
def test_ask_says_on_stderr_why_it_waits(options: tuple[str, ...]) -> None:
    """Once for each change, and never on stdout."""

    def answer(peer: Peer, message: Json) -> None:
        for reason in ("thinking", "thinking", "blocked:permission"):
            peer.confirm(message, "queued", reason)
        peer.reply(message, "so")

    with Peer("worker", answer=answer):
        asked = run("ask", "worker", "how?", *options)
    assert asked.code == 0
    assert [line.partition("waits: ")[2] for line in asked.err.splitlines()] == ["thinking", "blocked:permission"]


def test_send_says_how_many_are_before_it_and_why() -> None:
    """A busy receiver's mailbox shows in the answer, in words and in JSON."""
    with Peer("worker") as worker:
        run("send", "worker", "first")
        wait_until(worker.texts, what="the first")
        worker.confirm(worker.of_type("message")[0]["message"], "queued", "a draft stands in the composer")
        wait_until(lambda: run("send", "worker", "x", "--json").json["held"] is not None or None, what="reason")


@pytest.mark.parametrize(("answer", "is_sent"), [("y\n", True), ("n\n", False)])
def test_confirm_send_asks_at_a_terminal_only(planner: Peer, answer: str, is_sent: bool) -> None:
    """With `confirm_send` a person is asked; a pipe and `--yes` are not."""
    config.config_file().parent.mkdir(parents=True)
    config.config_file().write_text("[messages]\nconfirm_send = true\n")
    assert run("send", "planner", "from a pipe").code == 0
    code, shown = _at_terminal(answer, "send", "planner", "asked")
    assert "send to planner? [y/N]" in shown
    assert (code == 0) == is_sent
    assert _at_terminal("", "send", "--yes", "planner", "sure")[0] == 0
    wait_until(lambda: "sure" in planner.texts(), what="the last one")
    assert ("asked" in planner.texts()) == is_sent


def _at_terminal(typed: str, *arguments: str) -> tuple[int, str]:
    """Run a command with a terminal of its own; return its exit code and what the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        argv = command(*arguments)
        os.execv(argv[0], argv)
    os.write(terminal, typed.encode())
    shown = b""
    try:
        while data := os.read(terminal, 4096):
            shown += data
    except OSError:
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()
