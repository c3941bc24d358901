"""The fast path does what click would do, or leaves it to click."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import click
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from intercom_mux import _entry, _fastpath, paths
from intercom_mux._fastpath import caller, line, verbs, words
from intercom_mux.broker import lifecycle
from intercom_mux.cli.main import cli
from intercom_mux.client import identity as identities
from intercom_mux.client.link import Link
from intercom_mux.errors import AskTicket, AskTimeout, DeliveryError
from intercom_mux.wire import frames
from tests.cli.stage import TEAM, Both, Peer, echo, recorded, run, start, without_ids
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

anywhere = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

OPTIONS = ["--to", "--timeout", "--peek", "--percent", "--state", "--note", "--title", "--owner", "--json", "--", "-"]
TOKENS = st.one_of(
    st.sampled_from([*OPTIONS, "--help", "--peek=1", "--timeou", "-h", "planner", "", " ", "-x"]),
    st.sampled_from(["30", "30s", "1.5h", "0", "5_0", " 7", "٣", "100", "101", "007", "done", "DONE", "nan", "1e3"]),
    st.text(max_size=6),
)


def _click_values(arguments: list[str]) -> Json | None:
    """Return what click makes of a command line, None when it is a usage error or asks for help."""
    command = cli.commands[arguments[0]]
    try:
        context = command.make_context(arguments[0], list(arguments[1:]))
    except (click.ClickException, click.exceptions.Exit):
        return None
    return dict(context.params)


@anywhere
@given(st.sampled_from(sorted(words.PLANS)), st.lists(TOKENS, max_size=6))
@example("progress", ["t", "--percent", "0"])
@example("send", ["planner", "--", "-"])
@example("ask", ["--timeout", "--", "planner", "hi"])
def test_what_the_fast_path_accepts_click_understands_alike(verb: str, tokens: list[str]) -> None:
    """Whenever parse accepts a command line, click reads the same values and every other option has its default."""
    call = words.parse([verb, *tokens])
    if call is None:
        return
    values = _click_values([verb, *tokens])
    assert values is not None
    assert values.pop("words", ()) == tuple(call.pop("words"))
    assert {name: values.pop(name) for name in call} == call
    assert all(value in (None, (), False, verbs.ASK_TIMEOUT_S) for value in values.values())


def test_plain_forms_are_accepted() -> None:
    """The forms that agents use every day take the fast path."""
    assert words.parse(["send", "planner", "hello there"]) == {"words": ["planner", "hello there"]}
    assert words.parse(["ask", "--timeout", "90s", "p", "why?"]) == {"words": ["p", "why?"], "timeout": 90.0}
    assert words.parse(["reply", "--to", "7f3a", "--", "-1"]) == {"words": ["-1"], "to": "7f3a"}
    assert words.parse(["pending"]) == {"words": []}
    assert words.parse(["inbox", "7f3a", "--peek"]) == {"words": ["7f3a"], "peek": True}
    assert words.parse(["progress", "t", "--percent", "0"]) == {"words": ["t"], "percent": 0}


@pytest.mark.parametrize(
    "call", ["send p", "send p a b", "send p -", "send p x --json", "ask p q --timeout 0", "list", "", "inbox a b"]
)
def test_everything_else_is_left_to_click(call: str) -> None:
    """What is not entirely plain is not parsed at all."""
    assert words.parse(call.split()) is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@anywhere
@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
@example({"text": "\ud800"})
def test_frames_are_the_bytes_that_wire_writes(value: Json) -> None:
    """A frame made from the C functions equals the one of wire, lone surrogates included; and reads back."""
    value["type"] = "send"
    data = line.frame(value)
    assert data == frames.encode(value)
    assert line.decode(data[4:]) == value


def test_a_shell_registers_as_the_client_does(home: Path) -> None:
    """Outside of panes both ways register the same session with the same facts."""
    lifecycle.ensure_running()
    mine = line.registration(caller.identity())
    theirs = Link(identities.current())._registration()
    for frame in (mine, theirs):
        frame["session"].update(startedAt=0, lastActivity=0)
    assert mine == theirs


def test_the_only_team_is_the_one_a_shell_looks_at(home: Path) -> None:
    """With one running team its names are bare from a shell, and its scope is taken if it is isolated."""
    lifecycle.ensure_running()
    directory = paths.team_state_dir("crew-1")
    directory.mkdir(parents=True)
    (directory / "state.json").write_text(json.dumps({"format": 1, "id": "crew-1", "isolated": True}))
    me = caller.identity()
    assert (me["team"], me["scope"]) == ("crew-1", "crew-1")
    (directory / "state.json").unlink()
    assert caller.identity()["team"] is None


CALLS = [
    ("send", "worker-1", "hello – é\n\x07"),
    ("ask", "worker-1", "why?"),
    ("ask", "worker-1", "why?", "--timeout", "20s"),
    ("pending",),
    ("inbox",),
    ("inbox", "--peek"),
    ("progress", "parser", "--percent", "40", "--note", "lexer done"),
    ("progress", "parser", "--state", "done", "--title", "Parser", "--owner", "worker-1"),
]


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_both_ways_say_and_write_the_same(
    call: tuple[str, ...], both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pane, output, exit code and every frame to the broker are equal for fast path and click."""
    with recorded(monkeypatch, crew["planner"]) as written:
        fast, slow = both.fast(*call), both.click(*call)
        wait_until(lambda: len(written) == 2, what="the end of both connections")
        assert written[0] == written[1]
    assert (slow.code, without_ids(slow.out), slow.err) == (fast.code, without_ids(fast.out), fast.err)


def test_a_time_out_tells_the_same_both_ways(both: Both, planner: Peer) -> None:
    """The error names what the last receipt said."""
    planner.answer = lambda peer, message: peer.confirm(message, "queued", "blocked:permission")
    told = []
    for way in (both.fast, both.click):
        with pytest.raises(AskTimeout) as caught:
            way("ask", "planner", "why?", "--timeout", "1")
        told.append((caught.value.message, caught.value.hint, caught.value.fields["last"]))
    assert told[0] == told[1]
    assert told[0][0].endswith("; last heard: blocked:permission")


def test_reply_is_the_same_both_ways(both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equal asks are answered one by each way, with equal words and equal text at the asker."""
    worker, planner = crew["worker-1"], crew["planner"]
    for number in "12":
        ask = {"id": number * 32, "timestamp": 1, "expectsReply": True, "content": {"text": "?"}}
        worker.write({"type": "send", "to": "planner", "message": ask})
    wait_until(lambda: len(planner.texts()) == 2, what="two asks")
    planner.enter_pane(monkeypatch)
    fast = both.fast("reply", "forty-two", "--to", "1" * 32)
    slow = both.click("reply", "forty-two", "--to", "2" * 8)
    assert without_ids(fast.out) == without_ids(slow.out) == "reply delivered to worker-1 · ID\n"
    wait_until(lambda: worker.texts() == ["forty-two", "forty-two"], what="both replies")


def test_inbox_is_the_same_both_ways_and_reads_once(both: Both, planner: Peer, home: Path) -> None:
    """What waits is shown alike, stays after a peek, and is gone after it was read."""
    shell = identities.of_shell()
    both.click("name", "me")
    attachment = {"type": "snippet", "name": "a.py:1", "content": "x = 1", "language": "python"}
    message = {"id": "a" * 32, "timestamp": 1, "content": {"text": "news", "attachments": [attachment]}}
    planner.write({"type": "send", "to": shell.session_id, "message": message})
    wait_until(lambda: planner.of_type("delivered"), what="delivery")
    slow, fast = both.click("inbox", "--peek"), both.fast("inbox", "--peek")
    assert fast == slow
    assert "[aaaaaaaa] message from planner" in fast.out
    assert "news\n\nAttachment: a.py:1\n~~~python\nx = 1\n~~~\n" in fast.out
    assert both.fast("inbox").out == fast.out
    assert both.fast("inbox").out == "no messages are waiting\n"
    assert both.fast("inbox", "aaaa").out == both.click("inbox", "aaaa").out == fast.out


def test_a_refusal_is_handed_over_under_the_same_id(planner: Peer) -> None:
    """Click tells what was refused, and would send under the id that the fast path used."""
    with pytest.raises(_fastpath.HandOver) as handed:
        _fastpath.run(["send", "nobody", "hi"])
    verb, option, message_id, *rest = handed.value.arguments
    assert (verb, option, rest) == ("send", "--message-id", ["--", "nobody", "hi"])
    assert len(message_id) == 32


@pytest.mark.parametrize("call", [["send", "planner", "once"], ["ask", "planner", "once"]], ids=lambda call: call[0])
def test_an_answer_that_is_lost_sends_nothing_twice(
    call: list[str], planner: Peer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Click goes on under the same id, which the broker knows. Staged, because the moment cannot be met for real."""

    def lose(self: line.Line, *_: str) -> Json:
        wait_until(planner.texts, what="the message")
        raise ConnectionResetError("lost")

    monkeypatch.setattr(line.Line, "answer", lose)
    assert _entry.main(call) == 0
    assert capsys.readouterr().out.startswith({"send": "delivered to planner", "ask": "<once>"}[call[0]])
    assert planner.texts() == ["once"]


def test_without_a_broker_the_call_is_handed_over_whole(home: Path) -> None:
    """Nobody listens: nothing was written, so click starts afresh."""
    with pytest.raises(_fastpath.HandOver) as handed:
        _fastpath.run(["send", "planner", "hi"])
    assert handed.value.arguments == ["send", "planner", "hi"]


def test_an_ask_without_reply_ends_in_time(both: Both, planner: Peer) -> None:
    """After its time the ask ends with AskTimeout and nothing of it is pending."""
    planner.answer = None
    with pytest.raises(AskTimeout, match=r"within 0\.2 s"):
        _fastpath.run(["ask", "planner", "hi", "--timeout", "0.2"])
    assert both.fast("pending").out == "no pending asks\n"


def test_a_pane_gets_a_ticket_before_its_tool_limit(crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's own limit ends the wait; the ask goes on and its reply can be fetched."""
    crew["worker-1"].answer = None
    crew["planner"].enter_pane(monkeypatch, ask_wait_s=0.2)
    with pytest.raises(AskTicket, match="goes on as ticket"):
        _fastpath.run(["ask", "worker-1", "hi"])
    (frame,) = wait_until(lambda: crew["worker-1"].of_type("message"), what="the ask")
    crew["worker-1"].reply(frame["message"], "late")
    wait_until(lambda: crew["planner"].texts() == ["late"], what="the late reply at the peer")


def test_an_ask_that_ends_says_why(planner: Peer) -> None:
    """When the target exits, the asker hears it at once."""
    planner.answer = lambda peer, _message: peer.write({"type": "presence", "status": "exited:1"})
    with pytest.raises(DeliveryError, match="exited"):
        _fastpath.run(["ask", "planner", "hi"])


def test_a_reply_is_acknowledged_only_after_it_was_printed(planner: Peer, home: Path) -> None:
    """A reply that could not be printed waits in the mailbox."""
    pipe_end, closed = os.pipe()
    os.close(pipe_end)
    process = start("ask", "planner", "hi", stdout=closed)
    os.close(closed)
    assert process.wait(20) == 141
    assert process.communicate()[1] == ""
    assert "<hi>" in run("inbox").out


def test_an_ask_survives_the_death_of_the_broker(planner: Peer, home: Path) -> None:
    """The fast path hands its open ask to the client, which waits on under the same id; nothing is asked twice."""
    planner.answer = None
    process = start("ask", "planner", "hi")
    wait_until(planner.texts, what="the ask")
    os.kill(json.loads(paths.broker_file().read_text())["pid"], signal.SIGKILL)
    wait_until(lambda: lifecycle.running(), what="the next broker")
    with Peer("planner", answer=echo) as back:
        assert process.communicate(timeout=30)[0] == "<hi>\n"
        assert back.texts() == ["hi"]


def test_sigint_leaves_a_ticket(planner: Peer, home: Path) -> None:
    """Ctrl-C ends the call with 130 and names the ticket; the reply is fetched with it."""
    planner.answer = None
    process = start("ask", "planner", "hi")
    wait_until(planner.texts, what="the ask")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    ticket = err.split("intercom-mux result ")[1][:8]
    assert run("result", ticket).code == 10
    echo(planner, planner.of_type("message")[0]["message"])
    assert wait_until(lambda: run("result", ticket).out, what="the reply") == "<hi>\n"


def test_team_names_are_bare_in_a_pane(both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer addresses its team by bare names, whatever TEAM is called."""
    crew["planner"].enter_pane(monkeypatch)
    assert both.fast("ask", "worker-2", "hi").out == "<hi>\n"
    assert TEAM["name"] == "crew"
