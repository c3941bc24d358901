"""Commands of a shell at a broker that is not ours: real processes, a stand-in broker, sessions that behave as v1."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import _fastpath, paths
from intercom_mux.broker import lifecycle, places
from intercom_mux.client import identity as identities
from intercom_mux.client.stock import StockClient
from tests.cli.stage import Peer, Ran, echo, run, start
from tests.support import SCALE, wait_until
from tests.v1.client import NotDelivered, V1Client

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = str(Path(__file__).parent.parent / "broker" / "stock_broker.py")


@pytest.fixture
def stock(home: Path) -> Iterator[Path]:
    """The socket of a stock broker in pi's place; it must have survived the commands, and holds none of them."""
    agent = home / ".pi" / "agent"
    paths.private_dir(agent / "intercom")
    process = _stock_broker(agent)
    socket = places.socket_of(agent)
    yield socket
    if process.poll() is None:
        with V1Client(socket, "counter") as counter:
            assert not [row for row in counter.roster() if row["model"] == "cli"]
        process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=10)
    assert "crashed" not in said
    assert not list((paths.runtime_dir() / "shells").glob("*.lock"))
    assert not paths.broker_file().exists(), "a broker of ours was started beside it"


def _stock_broker(agent: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, PROGRAM, str(agent / "intercom")], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Intercom broker started")
    return process


@pytest.fixture
def pi(stock: Path) -> Iterator[V1Client]:
    """A session that answers every question with its text in brackets."""
    with V1Client(stock, "pi") as client:
        client.on_ask = lambda text: f"<{text}>"
        yield client


def records(stock: Path) -> list[Path]:
    """Return the stock broker's records of open asks."""
    return list((stock.parent / "pending-asks").glob("*.json"))


def error(ran: Ran) -> dict[str, Any]:
    """Return the error that a call with --json ended with."""
    value: dict[str, Any] = ran.json["error"]
    return value


def end(process: subprocess.Popen[str]) -> Ran:
    """Wait for a started command."""
    out, err = process.communicate(timeout=20 * SCALE)
    return Ran(process.returncode, out, err)


def me() -> str:
    """Return the session id of this test's commands."""
    return identities.of_shell().session_id


def test_list_shows_its_sessions_and_leaves(pi: V1Client) -> None:
    """The terminal is a session like the others while the command runs, marked as one without a name of its own."""
    rows = {row["name"]: row for row in run("list", "--json").json}
    assert (rows.pop("pi")["id"], [row["self"] for row in rows.values()]) == (pi.session_id, [True])
    joined = wait_until(lambda: [one for one in pi.events if one["type"] == "session_joined"], what="our session")
    assert (joined[0]["session"]["id"], joined[0]["session"]["runtimeFallbackAlias"]) == (me(), True)
    assert "mux" not in joined[0]["session"]
    wait_until(lambda: [one for one in pi.events if one["type"] == "session_left"], what="our end")
    assert "pi " in run("list").out


@pytest.mark.parametrize("address", ["pi", "PI", "id", "prefix"])
def test_send_finds_the_session(pi: V1Client, address: str) -> None:
    """By its name, whatever the case, its id, or the start of it."""
    to = {"id": pi.session_id, "prefix": pi.session_id[:8]}.get(address, address)
    sent = run("send", to, "hello", "--json").json
    assert (sent["to"], sent["delivery"]) == ("pi", "socket_delivered")
    wait_until(lambda: pi.texts() == ["hello"], what="the message")
    assert pi.inbox[0][0]["id"] == me()


def test_an_unknown_or_ambiguous_target_is_refused(pi: V1Client, stock: Path) -> None:
    """With the words and codes of our own broker, and the names or ids there are."""
    unknown = run("ask", "pia", "?", "--json")
    assert (unknown.code, error(unknown)["code"], error(unknown)["names"]) == (6, "E_TARGET_NOT_FOUND", ["pi"])
    assert error(run("send", "pia", "?", "--json")) == error(unknown)
    with V1Client(stock, "pi") as twin:
        several = error(run("send", "pi", "?", "--json"))
        assert several["code"] == "E_AMBIGUOUS_TARGET"
        assert twin.session_id in several["hint"]
    assert error(run("send", me(), "?", "--json"))["code"] == "E_SELF_TARGET"


def test_ask_prints_the_reply_and_acknowledges_it(pi: V1Client, stock: Path) -> None:
    """The receipts of the reply come in v1's order, and nothing of the ask is left."""
    assert run("ask", "pi", "why?").out == "<why?>\n"
    statuses = wait_until(lambda: len(pi.receipts) == 2 and [status for _, status in pi.receipts], what="receipts")
    assert statuses == ["receiver_received", "acknowledged"]
    assert records(stock) == []


def test_several_are_asked_at_once(pi: V1Client, stock: Path) -> None:
    """Each under its own name; who is away fails alone."""
    with V1Client(stock, "atomic") as other:
        other.on_ask = lambda text: text.upper()
        ran = run("ask", "--to", "pi", "--to", "atomic", "--to", "nobody", "why?", "--json")
    rows = {row["target"]: row.get("text") or row["error"]["code"] for row in ran.json}
    assert rows == {"pi": "<why?>", "atomic": "WHY?", "nobody": "E_TARGET_NOT_FOUND"}
    assert ran.code == 6


def test_no_reply_in_time_withdraws_the_ask(stock: Path) -> None:
    """The broker hears cancel_ask: its record is gone, and the asked may ask us in turn."""
    with V1Client(stock, "quiet"):
        process = start("ask", "quiet", "why?", "--timeout", "1s", "--json")
        wait_until(lambda: records(stock), what="the record of the ask")
        ran = end(process)
        assert (ran.code, error(ran)["code"], error(ran)["last"]) == (7, "E_ASK_TIMEOUT", "taken up")
        wait_until(lambda: not records(stock), what="cancel_ask")


def test_an_interrupted_ask_is_withdrawn(stock: Path) -> None:
    """After Ctrl-C nothing waits at the broker, and the caller is told so."""
    with V1Client(stock, "quiet"):
        process = start("ask", "quiet", "why?")
        wait_until(lambda: records(stock), what="the record of the ask")
        process.send_signal(signal.SIGINT)
        ran = end(process)
        assert (ran.code, ran.err.strip()) == (130, "the ask is withdrawn")
        wait_until(lambda: not records(stock), what="cancel_ask")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_ask_is_withdrawn(stock: Path, number: signal.Signals) -> None:
    """As an agent's tool does when its time is over, or a terminal that is closed."""
    with V1Client(stock, "quiet"):
        process = start("ask", "quiet", "why?")
        wait_until(lambda: records(stock), what="the record of the ask")
        process.send_signal(number)
        assert end(process).code == 128 + number
        wait_until(lambda: not records(stock), what="cancel_ask")


def test_a_target_that_reconnects_meanwhile_gets_it_once(pi: V1Client, stock: Path) -> None:
    """The endpoint that was looked up is gone: it is looked up once more, and the message keeps its id."""

    class Slow(StockClient):
        def _roster(self) -> list[dict[str, Any]]:
            rows = super()._roster()
            if pi.connections == 1:
                assert pi._wire is not None
                pi._wire.sock.shutdown(2)
                pi.wait_connected(2)
            return rows

    at_stock = dataclasses.replace(identities.of_shell(), socket=stock, is_foreign=True)
    with Slow.connect(at_stock) as client:
        answer = client.send("pi", "hello", message_id="m" * 32)
    assert (answer["to"], answer["messageId"]) == ("pi", "m" * 32)
    wait_until(lambda: pi.texts() == ["hello"], what="the message")


def test_the_fast_path_leaves_it_to_click(stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it has connected to anything: no broker of ours has said where it is, or another one was named."""
    with pytest.raises(_fastpath.HandOver):
        _fastpath.run(["pending"])
    with Peer("worker"):
        assert _fastpath.run(["pending"]) == 0
        monkeypatch.setenv("INTERCOM_MUX_SOCKET", str(stock))
        with pytest.raises(_fastpath.HandOver):
            _fastpath.run(["pending"])
    run("broker", "stop")


def test_a_lost_broker_ends_the_ask(home: Path) -> None:
    """It keeps no asks, so waiting on would be in vain."""
    agent = home / ".pi" / "agent"
    paths.private_dir(agent / "intercom")
    broker = _stock_broker(agent)
    socket = places.socket_of(agent)
    with V1Client(socket, "quiet") as quiet:
        process = start("ask", "quiet", "why?", "--json")
        wait_until(lambda: quiet.pending, what="the ask")
        quiet.roster()  # the asker has heard `delivered` before this is answered
        broker.kill()
        broker.communicate()
        ran = end(process)
    assert (ran.code, error(ran)["code"]) == (6, "E_ASK_ENDED")
    assert "lost" in error(ran)["message"]
    socket.unlink()


REFUSED = [
    ["ask", "pi", "?", "--async"],
    ["result", "7f3a"],
    ["inbox"],
    ["tasks"],
    ["history"],
    ["progress", "parser", "--percent", "40"],
    ["list", "--team", "crew"],
]


@pytest.mark.parametrize("call", REFUSED, ids=lambda call: call[0])
def test_what_needs_our_broker_names_the_step(pi: V1Client, stock: Path, call: list[str]) -> None:
    """One error with its own code, never a traceback, and the session is left cleanly."""
    ran = run(*call, "--json")
    assert (ran.code, error(ran)["code"], error(ran)["path"]) == (5, "E_STOCK_BROKER", str(stock))
    assert f"`intercom-mux broker replace --pi {stock.parent.parent}`" in error(ran)["hint"]
    assert "Traceback" not in run(*call).err


def test_a_question_to_the_terminal_is_shown_and_answered_later(stock: Path) -> None:
    """It comes while a command is connected; `pending` and `reply` go by the broker's own record of it."""
    answers: list[str] = []
    with V1Client(stock, "quiet") as quiet, V1Client(stock, "carol") as carol:
        waiting = start("ask", "quiet", "why?")
        ask_id = wait_until(lambda: list(quiet.pending), what="our ask")[0]
        asking = threading.Thread(target=lambda: answers.append(carol.ask(me(), "may I?")))
        asking.start()
        wait_until(lambda: len(records(stock)) == 2, what="carol's ask")
        busy = run("reply", "yes", "--json")
        assert error(busy)["code"] == "E_BUSY"
        quiet.send(me(), "because", replyTo=ask_id)
        ran = end(waiting)
        assert ran.out == "because\n"
        assert "ask from carol" in ran.err
        assert "may I?" in ran.err
        assert [(row["with"], row["text"]) for row in run("pending", "--json").json["to_me"]] == [("carol", "may I?")]
        assert "may I?" in run("pending").out
        assert error(run("reply", "no", "--to", "dave", "--json"))["code"] == "E_NO_PENDING_ASK"
        assert run("reply", "yes").out.startswith("reply delivered to carol")
        asking.join(10)
    assert answers == ["yes"]
    assert run("pending").out == "no pending asks\n"


def test_a_name_is_kept_and_brings_its_mail(pi: V1Client) -> None:
    """Later commands bear it; what was sent to it meanwhile is shown by the next one, whichever that is."""
    assert run("name").out == f"{identities.of_shell().name}\n"
    assert run("name", "ada").out == "ada\n"
    assert run("name", "--json").json == {"name": "ada", "id": me()}
    assert error(run("name", "pi", "--json"))["code"] == "E_NAME_TAKEN"
    assert error(run("name", "a/b", "--json"))["code"] == "E_INVALID_NAME"
    assert pi.send("ada", "while you were away")["delivery"] == "queued"
    shown = run("list").err
    assert "message from pi" in shown
    assert "while you were away" in shown
    wait_until(lambda: [status for _, status in pi.receipts][-1:] == ["injected"], what="the last receipt")
    assert run("list").err == ""


def test_commands_of_one_terminal_do_not_displace_each_other(stock: Path) -> None:
    """A second one at the same time is a session of its own, so that the first gets its reply."""
    with V1Client(stock, "quiet") as quiet:
        waiting = start("ask", "quiet", "why?")
        ask_id = wait_until(lambda: list(quiet.pending), what="our ask")[0]
        rows = [row for row in run("list", "--json").json if row["model"] == "cli"]
        assert [row["self"] for row in rows] == [False, True]
        quiet.send(me(), "because", replyTo=ask_id)
        assert end(waiting).out == "because\n"
        wait_until(lambda: [event["type"] for event in quiet.events].count("session_left") == 2, what="both ends")


def test_a_stranger_cannot_answer(pi: V1Client, stock: Path) -> None:
    """The broker refuses it, and the ask goes on."""
    with V1Client(stock, "quiet") as quiet:
        waiting = start("ask", "quiet", "why?")
        ask_id = wait_until(lambda: list(quiet.pending), what="our ask")[0]
        with pytest.raises(NotDelivered):
            pi.send(me(), "I know", replyTo=ask_id)
        quiet.send(me(), "because", replyTo=ask_id)
        assert end(waiting).out == "because\n"


# -- which broker ----------------------------------------------------------------------------------------------------


def test_ours_comes_first_unless_another_is_named(home: Path) -> None:
    """While ours runs a shell talks to it, fast path and click alike; option and variable lead to the other one."""
    agent = home / ".pi" / "agent"
    paths.private_dir(agent / "intercom")
    process = _stock_broker(agent)
    socket = str(places.socket_of(agent))
    with Peer("worker", answer=echo), V1Client(Path(socket), "pi") as pi:
        assert {row["name"] for row in run("list", "--json").json} >= {"worker"}
        assert run("send", "worker", "hi").code == 0
        assert "pi" in {row["name"] for row in run("list", "--json", "--socket", socket).json}
        assert run("send", "pi", "by variable", env={"INTERCOM_MUX_SOCKET": socket}).code == 0
        wait_until(lambda: pi.texts() == ["by variable"], what="the message")
        facts = run("broker", "status", "--json").json
        assert facts["places"] == [{"path": socket, "state": "foreign", "pid": process.pid}]
        assert facts["shell"] == {"socket": str(paths.broker_socket()), "broker": "intercom-mux"}
        named = run("broker", "status", "--json", env={"INTERCOM_MUX_SOCKET": socket}).json
        assert named["shell"] == {"socket": socket, "broker": "stock"}
    run("broker", "stop")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)


def test_a_pane_keeps_its_own_broker(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that its shell inherited changes nothing, and the option is refused."""
    with Peer("planner") as planner, Peer("worker"):
        planner.enter_pane(monkeypatch)
        assert run("send", "worker", "hi", env={"INTERCOM_MUX_SOCKET": "/nowhere.sock"}).code == 0
        refused = run("list", "--socket", "/nowhere.sock")
        assert (refused.code, "a pane talks to the broker of its team" in refused.err) == (2, True)


def test_a_named_broker_that_is_not_there_is_not_started(home: Path) -> None:
    """The error says which, at once."""
    ran = run("list", "--socket", str(home / "none.sock"), "--json")
    assert (ran.code, error(ran)["code"]) == (5, "E_NO_BROKER")
    assert str(home / "none.sock") in error(ran)["message"]
    assert lifecycle.running() is None


def test_status_tells_where_a_shell_is(stock: Path) -> None:
    """Without a broker of ours its commands are at the stock one; a killed broker of ours is brought back instead."""
    facts = run("broker", "status", "--json").json
    assert facts["shell"] == {"socket": str(stock), "broker": "stock"}
    assert f"commands of a shell talk to the broker at {stock}" in run("broker", "status").out


def test_a_killed_broker_of_ours_is_not_given_up(stock: Path) -> None:
    """Its journal holds mail, so the next command starts it again rather than look elsewhere."""
    lifecycle.ensure_running()
    os.kill(json.loads(paths.broker_file().read_text())["pid"], signal.SIGKILL)
    assert [row["self"] for row in run("list", "--json").json] == [True]
    assert lifecycle.running() is not None
    run("broker", "stop")


def test_the_mcp_server_needs_ours(stock: Path) -> None:
    """Its tools say so, with the way out, and the server goes on."""
    from tests.bridges.mcp_client import RawClient

    with RawClient("--name", "desk") as client:
        client.initialize()
        answer = client.request("tools/call", {"name": "intercom_list", "arguments": {}})["result"]
    assert answer["structuredContent"]["error"]["code"] == "E_STOCK_BROKER"
    assert "broker replace" in answer["content"][0]["text"]
