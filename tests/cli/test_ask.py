"""`ask` and `result` against a real broker."""

from __future__ import annotations

import json
import os
import pty
from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import AskTicket, AskTimeout, DeliveryError
from tests.cli.stage import Both, Peer, echo, run, start
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_only_the_reply_is_on_stdout(planner: Peer) -> None:
    """A script reads the reply and nothing else; no spinner in a pipe."""
    assert run("ask", "planner", "why?") == (0, "<why?>\n", "")
    assert run("ask", "planner", "-", stdin="from stdin") == (0, "<from stdin>\n", "")


def test_json_has_the_facts_of_the_reply(both: Both, planner: Peer) -> None:
    """Who replied, the text, and both ids."""
    facts = both.click("ask", "planner", "why?", "--json").json
    assert (facts["from"], facts["text"], facts["attachments"]) == ("planner", "<why?>", [])
    assert facts["message_id"] == f"reply-{facts['ask_id']}"


def test_attachments_of_the_reply_are_printed(both: Both, planner: Peer) -> None:
    """Behind the text, fenced, the same both ways."""
    attachment = {"type": "file", "name": "a.py", "content": "x = 1\n", "language": "python"}
    planner.answer = lambda peer, message: peer.reply(message, "see", attachments=[attachment])
    fast, slow = both.fast("ask", "planner", "why?"), both.click("ask", "planner", "why?")
    assert fast == slow == (0, "see\n\nAttachment: a.py\n~~~python\nx = 1\n~~~\n", "")


def test_a_reply_is_not_in_the_mailbox_too(both: Both, planner: Peer) -> None:
    """What was printed was acknowledged."""
    both.click("ask", "planner", "why?")
    assert both.click("inbox").out == "no messages are waiting\n"


def test_no_reply_in_time_ends_with_7(both: Both, planner: Peer) -> None:
    """The ask is withdrawn, and the error says how long was waited."""
    planner.answer = None
    with pytest.raises(AskTimeout, match=r"within 0\.2 s"):
        both.click("ask", "planner", "why?", "--timeout", "0.2s")
    assert both.click("pending").out == "no pending asks\n"
    assert run("ask", "planner", "why?", "--timeout", "0.2s").code == 7


@pytest.mark.parametrize("wrong", ["soon", "0", "1000h", "-5"])
def test_a_wrong_time_is_a_usage_error(wrong: str, planner: Peer) -> None:
    """Nothing is asked then."""
    assert run("ask", "planner", "why?", "--timeout", wrong).code == 2
    assert planner.texts() == []


def test_a_ticket_is_fetched_with_result(planner: Peer) -> None:
    """--async prints a ticket; result ends with 10 while it is open, and later prints the reply, again and again."""
    planner.answer = None
    ticket = run("ask", "--async", "planner", "why?").out.strip()
    assert len(ticket) == 8
    waiting = run("result", ticket)
    assert (waiting.code, waiting.out) == (10, "")
    assert f"ask {ticket} to planner is still open" in waiting.err
    assert run("result", ticket, "--json").json["error"]["state"] == "open"
    echo(planner, planner.of_type("message")[0]["message"])
    wait_until(lambda: run("result", ticket).code == 0, what="the reply")
    assert run("result", ticket) == (0, "<why?>\n", "")
    assert run("result", ticket, "--json").json["reply"]["from"] == "planner"


def test_a_ticket_that_ended_without_reply_ends_with_6(both: Both, planner: Peer) -> None:
    """A cancelled one says so; an unknown one is refused."""
    planner.answer = None
    ticket = both.click("ask", "--async", "planner", "why?").out.strip()
    both.click("cancel", ticket)
    with pytest.raises(DeliveryError, match="ended without a reply: cancelled"):
        both.click("result", ticket)
    with pytest.raises(DeliveryError, match="No ask"):
        both.click("result", "feed")


def test_several_are_asked_at_once(both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reply stands under its name; --json is one array."""
    crew["planner"].enter_pane(monkeypatch)
    result = both.click("ask", "--role", "worker", "ready?")
    assert (result.code, result.err) == (0, "")
    assert sorted(result.out.split("\n\n")) == ["", "worker-1:\n<ready?>", "worker-2:\n<ready?>"]
    rows = both.click("ask", "--all", "ready?", "--json").json
    assert sorted((row["target"], row["text"]) for row in rows) == [("worker-1", "<ready?>"), ("worker-2", "<ready?>")]


def test_who_does_not_answer_does_not_hide_the_others(
    both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is 6, silence is 7, and the gravest decides the exit code."""
    crew["planner"].enter_pane(monkeypatch)
    crew["worker-2"].answer = None
    targets = ("--to", "worker-1", "--to", "worker-2", "--timeout", "0.5")
    silent = both.click("ask", *targets, "ready?")
    assert (silent.code, silent.out) == (7, "worker-1:\n<ready?>\n\n")
    assert "error: worker-2: no reply" in silent.err
    assert both.click("ask", *targets, "--to", "nobody", "ready?").code == 6
    by_role = both.click("ask", "--role", "worker", "ready?", "--timeout", "0.5")
    assert 'error: worker-2: no reply from "worker-2" within' in by_role.err


def test_several_tickets_have_their_names(both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each: ticket and name."""
    crew["planner"].enter_pane(monkeypatch)
    crew["worker-1"].answer = crew["worker-2"].answer = None
    lines = both.click("ask", "--all", "--async", "ready?").out.splitlines()
    assert [line.split()[1] for line in lines] == ["worker-1", "worker-2"]
    partly = both.click("ask", "--to", "nobody", "--to", "worker-1", "--async", "again?", "--json")
    assert partly.code == 6
    assert [("error" in row) for row in partly.json] == [True, False]


def test_the_wait_ends_before_the_tool_limit_of_the_pane(
    both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Click hands out the same ticket as the fast path does, for all asked in one limit."""
    crew["planner"].enter_pane(monkeypatch, ask_wait_s=0.3)
    crew["worker-1"].answer = crew["worker-2"].answer = None
    with pytest.raises(AskTicket):
        both.click("ask", "worker-1", "ready?")
    assert both.click("ask", "--all", "and now?").code == 10


def test_a_terminal_sees_that_it_waits(planner: Peer, home: Path) -> None:
    """On a terminal's stderr a line says who is asked and the last receipt; stdout stays clean, and the line goes."""
    planner.answer = lambda peer, message: peer.confirm(message)
    terminal, end = pty.openpty()
    process = start("ask", "planner", "why?", stderr=end)
    os.close(end)
    seen = b""
    while b"taken up" not in seen:
        seen += os.read(terminal, 4096)
    assert b"asking planner" in seen
    echo(planner, planner.of_type("message")[0]["message"])
    out, _ = process.communicate(timeout=20)
    os.close(terminal)
    assert (process.returncode, out) == (0, "<why?>\n")


def test_several_asked_into_a_pipe_have_no_line_on_the_terminal(crew: dict[str, Peer]) -> None:
    """Their replies are printed as they come, and what reads the pipe may write to that terminal too."""
    terminal, end = pty.openpty()
    process = start("ask", "--to", "crew/worker-1", "--to", "crew/worker-2", "why?", stderr=end)
    out, _ = process.communicate(timeout=20)
    os.set_blocking(terminal, False)
    with pytest.raises(BlockingIOError):
        os.read(terminal, 4096)
    os.close(end)
    os.close(terminal)
    assert (process.returncode, out.count("<why?>")) == (0, 2)


def test_refusals_name_the_words_people_search_for(both: Both, planner: Peer) -> None:
    """Nobody of that name, oneself, and a target that waits for us."""
    both.click("name", "me")
    for target, words in (
        ("nobody", 'not found: "nobody"'),
        ("", 'not found: ""'),
        ("me", "Cannot message the current session"),
    ):
        with pytest.raises(DeliveryError, match=words):
            both.click("ask", target, "why?")
    error = run("ask", "nobody", "why?", "--json")
    assert (error.code, json.loads(error.out)["error"]["code"]) == (6, "E_TARGET_NOT_FOUND")
