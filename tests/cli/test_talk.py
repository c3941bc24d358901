"""`send`, `reply`, `cancel` against a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intercom_mux.cli.caller import BOARD_ROLE
from intercom_mux.errors import DeliveryError, TeamError
from intercom_mux.layout.model import BOARD
from tests.cli.stage import TEAM, Both, Peer, run, start
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def _ask(asker: Peer, to: str, message_id: str) -> None:
    message = {"id": message_id, "timestamp": 1, "expectsReply": True, "content": {"text": "what now?"}}
    asker.write({"type": "send", "to": to, "message": message})
    wait_until(lambda: asker.of_type("delivered"), what="delivery of the ask")


def test_send_says_what_became_of_it(planner: Peer) -> None:
    """The outcome and the id on stdout; with --json the facts."""
    said = run("send", "planner", "hello")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("delivered to planner (idle) · ")
    facts = run("send", "--json", "planner", "hello again").json
    assert (facts["to"], facts["delivery"], facts["status"]) == ("planner", "socket_delivered", "idle")
    wait_until(lambda: planner.texts() == ["hello", "hello again"], what="both messages")


def test_text_comes_from_stdin_or_a_file(planner: Peer, home: Path) -> None:
    """`-` reads stdin to its end, --file a file; both byte for byte."""
    (home / "message.md").write_text("from a file\n\n")
    assert run("send", "planner", "-", stdin="from stdin – é\n").code == 0
    assert run("send", "planner", "--file", str(home / "message.md")).code == 0
    wait_until(lambda: planner.texts() == ["from stdin – é\n", "from a file\n\n"], what="both messages")
    assert run("send", "planner", "-", stdin=b"\xff\xfe").code == 2


def test_text_that_looks_like_an_option_goes_behind_two_dashes(planner: Peer) -> None:
    """`send planner -- "- item"` works as everywhere, and without them nothing is sent."""
    assert run("send", "planner", "- item").code == 2
    assert run("send", "planner", "--", "- item").code == 0
    wait_until(lambda: planner.texts() == ["- item"], what="the message")


def test_unquoted_words_are_not_guessed(planner: Peer) -> None:
    """Three words are a usage error that says to quote."""
    result = run("send", "planner", "hello", "there")
    assert result.code == 2
    assert "put the text in quotes" in result.err


def test_an_unknown_name_lists_the_known_ones(planner: Peer) -> None:
    """Exit 6, and the names that exist in words and as data."""
    said = run("send", "plannr", "hello")
    assert said.code == 6
    assert said.err == 'error: Session not found: "plannr"\nhint: did you mean planner? known: planner\n'
    assert run("send", "plannr", "hello", "--json").json["error"]["names"] == ["planner"]


def test_the_same_message_id_delivers_once(both: Both, planner: Peer) -> None:
    """A repeated call hears the same answer; other words under that id are refused."""
    first = both.click("send", "planner", "hello", "--message-id", "a" * 32)
    assert both.click("send", "planner", "hello", "--message-id", "a" * 32) == first
    with pytest.raises(DeliveryError, match="different"):
        both.click("send", "planner", "other", "--message-id", "a" * 32)
    wait_until(planner.texts, what="the message")
    assert planner.texts() == ["hello"]


def test_several_targets_each_have_their_outcome(both: Both, planner: Peer) -> None:
    """Who was reached is on stdout, who was not on stderr, and the exit code is 6."""
    result = both.click("send", "--to", "planner", "--to", "nobody", "hello")
    assert result.code == 6
    assert result.out.startswith("delivered to planner")
    assert result.err.startswith('error: nobody: Session not found: "nobody"\n')
    rows = both.click("send", "--to", "planner", "--to", "nobody", "hello", "--json").json
    assert [row["target"] for row in rows] == ["planner", "nobody"]
    assert rows[1]["error"]["code"] == "E_TARGET_NOT_FOUND"


def test_broadcast_reaches_the_others_of_the_team(
    both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--all is every other peer but the board, --role those with that role; outsiders and oneself get nothing."""
    crew["planner"].enter_pane(monkeypatch)
    with Peer("outsider", role="worker") as outsider, Peer("board", role=BOARD_ROLE, team=TEAM) as board:
        assert both.click("send", "--all", "one").out.count("delivered to worker-") == 2
        assert both.click("send", "--role", "worker", "two").code == 0
        for name in ("worker-1", "worker-2"):
            wait_until(lambda name=name: crew[name].texts() == ["one", "two"], what=name)  # type: ignore[misc]
        assert both.click("send", "--role", "board", "three").code == 0
        wait_until(lambda: board.texts() == ["three"], what="the message to the board alone")
        assert outsider.texts() == crew["planner"].texts() == []
        assert BOARD_ROLE == BOARD


def test_broadcast_to_nobody_is_an_error(both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown role names the roles; outside of teams there is nobody to address."""
    with pytest.raises(TeamError, match="no team"):
        both.click("send", "--all", "hello")
    crew["planner"].enter_pane(monkeypatch)
    with pytest.raises(TeamError, match='role "tester"') as caught:
        both.click("send", "--role", "tester", "hello")
    assert caught.value.fields["roles"] == ["worker"]


def test_a_role_or_a_text_in_place_of_a_name_is_seen(crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint tells how all of a role are reached; a sentence alone is taken for the text."""
    crew["planner"].enter_pane(monkeypatch)
    hint = run("send", "worker", "hello").err
    assert "did you mean worker-1 or worker-2, or `--role worker`? known: " in hint
    assert "to whom? the name comes before the text ('what is this?')" in run("ask", "what is this?").err


def test_an_unknown_team_is_an_error_and_no_team_is_none(both: Both, planner: Peer) -> None:
    """--team must name a running team; without it a plain shell talks to everybody."""
    with pytest.raises(TeamError):
        both.click("send", "planner", "hello", "--team", "nowhere")
    assert both.click("send", "planner", "hello").code == 0


def test_attachments_arrive(planner: Peer, home: Path) -> None:
    """What is attached is in the message."""
    (home / "a.py").write_text("x = 1\n")
    assert run("send", "planner", "see", "--attach", str(home / "a.py"), "--context", "why").code == 0
    (frame,) = wait_until(lambda: planner.of_type("message"), what="the message")
    assert [a["type"] for a in frame["message"]["content"]["attachments"]] == ["file", "context"]


def test_reply_answers_the_only_ask(both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --to the one pending ask is meant; afterwards there is none left."""
    _ask(crew["worker-1"], "planner", "1" * 32)
    crew["planner"].enter_pane(monkeypatch)
    assert both.click("reply", "do this").out.startswith("reply delivered to worker-1 · ")
    wait_until(lambda: crew["worker-1"].texts() == ["do this"], what="the reply")
    with pytest.raises(DeliveryError, match="No active intercom context"):
        both.click("reply", "again")


def test_reply_among_several_asks_wants_a_name(
    both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two asks and no --to: refused with both named; --to takes the asker's name."""
    _ask(crew["worker-1"], "planner", "1" * 32)
    _ask(crew["worker-2"], "planner", "2" * 32)
    crew["planner"].enter_pane(monkeypatch)
    with pytest.raises(DeliveryError, match="Multiple pending asks") as caught:
        both.click("reply", "which?")
    assert len(caught.value.fields["names"]) == 2
    assert both.click("reply", "you", "--to", "worker-2", "--json").json["askId"] == "2" * 32


def test_cancel_takes_an_ask_by_its_short_id(both: Both, planner: Peer) -> None:
    """The ticket that ask printed is enough; the ask is over then."""
    planner.answer = None
    ticket = both.click("ask", "--async", "planner", "hi").out.strip()
    assert both.click("cancel", ticket).out == f"cancelled {ticket}\n"
    assert both.click("pending").out == "no pending asks\n"
    with pytest.raises(DeliveryError):
        both.click("cancel", "feed")


def test_an_ask_that_waits_ends_when_another_command_takes_it_back(planner: Peer) -> None:
    """At once and with the reason, not at its time-out; a whole id is not taken for the start of another."""
    planner.answer = None
    assert run("ask", "--async", "planner", "other", "--message-id", "q10").code == 0
    with start("ask", "planner", "hi", "--message-id", "q1", "--timeout", "60s") as asking:
        wait_until(lambda: len(planner.of_type("message")) == 2, what="both asks")
        assert run("cancel", "q1").out == "cancelled q1\n"
        _, err = asking.communicate(timeout=20)
    assert (asking.returncode, err.split("\n")[0]) == (6, 'error: the ask to "planner" ended: it was withdrawn')
    assert [row["id"] for row in run("pending", "--json").json["from_me"]] == ["q10"]
