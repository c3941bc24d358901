"""contact_supervisor: the texts on the wire, who gets them, and what comes back."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from intercom_mux.client.blocking import Client
from intercom_mux.client.identity import Identity, Supervisor, of_pane
from intercom_mux.errors import AskTicket, DeliveryError, TeamError
from intercom_mux.supervise import contact
from intercom_mux.supervise.interview import Answers, read_request
from tests.broker.live import start
from tests.cli.stage import TEAM, Peer, run
from tests.cli.stage import start as start_process
from tests.support import wait_until
from tests.v1.client import V1Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    Json = dict[str, Any]

INTERVIEW = {"questions": [{"id": "db", "type": "single", "question": "Which?", "options": ["sqlite", "postgres"]}]}


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """The supervisor; the test acts as its worker, which also mails in vain if it is ended."""
    with Peer("planner", team=TEAM) as planner, Peer("worker-1", role="worker", team=TEAM) as worker:
        worker.enter_pane(monkeypatch, supervisor=planner)
        yield planner


def answering(text: str) -> Any:
    """Answer every ask with `text`."""

    def answer(peer: Peer, message: Json) -> None:
        peer.confirm(message)
        if message.get("expectsReply"):
            peer.reply(message, text)

    return answer


def child(path: Path) -> Identity:
    """Return an identity whose supervisor is a session called planner."""
    return Identity(
        "id-worker", "worker-1", path, token="t", supervisor=Supervisor("id", "planner", "crew-1", "worker", 1)
    )


def test_the_texts_are_those_of_pi(tmp_path: Path) -> None:
    """A heading, run, agent, index and name of the child, a blank line, and the message."""
    me = child(tmp_path)
    facts = "Run: crew-1\nAgent: worker\nChild index: 1\nChild intercom target: worker-1\n\nbody"
    assert contact.compose(contact.DECISION, me, "body") == f"Subagent needs a supervisor decision.\n{facts}"
    assert (
        contact.compose(contact.INTERVIEW, me, "body")
        == f"Subagent requests a structured supervisor interview.\n{facts}"
    )
    assert contact.compose(contact.PROGRESS, me, "body") == f"Subagent progress update.\n{facts}"


def test_who_has_no_supervisor_is_told_why(tmp_path: Path) -> None:
    """A shell is no peer; a peer's layout names none, or the peer itself."""
    with pytest.raises(TeamError, match="no supervisor: this is no peer of a team"):
        contact.supervisor_of(Identity("shell-1", "me", tmp_path))
    with pytest.raises(TeamError, match="no supervisor for planner: its layout names none, or it is the supervisor"):
        contact.supervisor_of(Identity("id", "planner", tmp_path, token="t"))


def test_a_pane_knows_its_supervisor(planner: Peer) -> None:
    """What stands in the identity file is read back."""
    me = of_pane()
    assert me is not None
    assert me.supervisor == Supervisor(planner.session_id, "planner", "crew-1", "worker", 1)


def test_a_decision_is_an_ask_on_the_wire(planner: Peer) -> None:
    """The supervisor gets a message that expects a reply, and its reply is returned."""
    planner.answer = answering("Take sqlite.")
    with Client.connect() as client:
        reply = contact.need_decision(client, "Which?")
        client.acknowledge(reply)
    assert (reply.text, reply.sender) == ("Take sqlite.", "planner")
    (frame,) = planner.of_type("message")
    assert frame["message"]["expectsReply"] is True
    assert frame["message"]["content"]["text"].startswith("Subagent needs a supervisor decision.\nRun: crew-1\n")


def test_a_progress_update_waits_for_nobody(planner: Peer) -> None:
    """It is a plain message."""
    with Client.connect() as client:
        assert contact.progress_update(client, "half done")["delivery"] == "socket_delivered"
    wait_until(planner.texts, what="the update")
    (frame,) = planner.of_type("message")
    assert "expectsReply" not in frame["message"]
    assert planner.texts()[0].endswith("\n\nhalf done")


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        (
            '```json\n{"responses": [{"id": "db", "value": "sqlite"}]}\n```',
            Answers(({"id": "db", "value": "sqlite"},), ()),
        ),
        ("Take sqlite.", None),
    ],
)
def test_an_interview_brings_back_checked_answers(planner: Peer, said: str, answers: Answers | None) -> None:
    """The reply is returned as it is, with what it says to the questions."""
    planner.answer = answering(said)
    with Client.connect() as client:
        done = contact.interview_request(client, read_request(INTERVIEW), "please")
        client.acknowledge(done.reply)
    assert (done.reply.text, done.answers) == (said, answers)
    assert "\n\nChild note: please\n\nQuestions:\n1. [db] (single) Which?\n" in planner.texts()[0]


def test_a_pi_session_can_be_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A v1 client hears questions of ours in the shape that it knows, and its answers come back."""
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return '{"responses": [{"id": "db", "value": "postgres"}]}' if "Questions:" in question else "Take sqlite."

    with V1Client(start(), "pi-boss") as boss, Peer("worker-1", role="worker", team=TEAM) as worker:
        boss.on_ask = answer
        worker.enter_pane(monkeypatch, supervisor=boss)
        with Client.connect() as client:
            assert contact.need_decision(client, "Which?").text == "Take sqlite."
        with Client.connect() as client:
            done = contact.interview_request(client, read_request(INTERVIEW))
            assert done.answers == Answers(({"id": "db", "value": "postgres"},), ())
            contact.progress_update(client, "half done")
        wait_until(lambda: len(boss.inbox) == 3, what="the update")
    assert [text.split("\n")[0] for text in asked] == [contact.DECISION, contact.INTERVIEW]


def test_the_tool_time_limit_leaves_a_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the agent's own limit comes first the decision stays open, and its reply can be fetched."""
    with Peer("planner", team=TEAM) as planner, Peer("worker-1", team=TEAM) as worker:
        worker.enter_pane(monkeypatch, supervisor=planner, ask_wait_s=0.1)
        with Client.connect() as client, pytest.raises(AskTicket):
            contact.need_decision(client, "Which?")


def test_a_supervisor_that_waits_for_us_is_not_asked(planner: Peer) -> None:
    """A circle is refused at once, with the way out."""
    ask = {"id": "1" * 32, "timestamp": 1, "expectsReply": True, "content": {"text": "done?"}}
    planner.write({"type": "send", "to": "worker-1", "message": ask})
    wait_until(lambda: planner.of_type("delivered"), what="the supervisor's own ask")
    with Client.connect() as client, pytest.raises(DeliveryError) as caught:
        contact.need_decision(client, "Which?")
    assert caught.value.code == "E_MUTUAL_ASK"
    assert caught.value.hint == "it waits for your answer: put your question into your reply"


def test_several_escalations_stand_side_by_side(planner: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two children wait at a time; `reply` alone is refused, --to picks by name or id, each gets its own answer."""
    with Peer("worker-2", role="worker", team=TEAM) as other:
        one = start_process("supervisor", "decide", "Which way?")
        other.enter_pane(monkeypatch, supervisor=planner)
        two = start_process("supervisor", "interview", "-", stdin=subprocess.PIPE)
        assert two.stdin is not None
        two.stdin.write(json.dumps(INTERVIEW))
        two.stdin.close()
        two.stdin = None
        wait_until(lambda: len(planner.of_type("message")) == 2, what="both requests")
        planner.enter_pane(monkeypatch)
        rows = {row["with"]: row for row in run("pending", "--json").json["to_me"]}
        assert set(rows) == {"worker-1", "worker-2"}
        refused = run("reply", "left", "--json")
        assert (refused.code, refused.json["error"]["code"]) == (6, "E_AMBIGUOUS_ASK")
        said = '{"responses": [{"id": "db", "value": "postgres"}]}'
        assert run("reply", said, "--to", rows["worker-2"]["id"][:8]).code == 0
        assert run("reply", "left", "--to", "worker-1").code == 0
        assert one.communicate(timeout=20)[0] == "left\n"
        assert json.loads(two.communicate(timeout=20)[0]) == json.loads(said)
        assert run("pending").out == "no pending asks\n"


def test_a_supervisor_whose_mailbox_waits_answers_on_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """The asker hears at once that it is away, and gets the answer when it is back."""
    with Peer("worker-1", role="worker", team=TEAM) as worker:
        with Peer("planner", team=TEAM) as away:
            worker.enter_pane(monkeypatch, supervisor=away)
        asking = start_process("supervisor", "decide", "Which way?")
        assert asking.stderr is not None
        assert asking.stderr.readline().endswith("waits: its receiver is not connected and gets it on its return\n")
        with Peer("planner", team=TEAM, answer=answering("left")):
            assert asking.communicate(timeout=20)[0] == "left\n"


def test_a_supervisor_whose_agent_has_exited_is_told_when_it_runs_again(planner: Peer) -> None:
    """The asker is refused at once; the question waits in the mailbox."""
    planner.write({"type": "presence", "status": "exited:1"})
    with Client.connect() as client:
        wait_until(lambda: any((row["status"] or "").startswith("exited") for row in client.sessions()), what="its end")
    error = run("supervisor", "decide", "Which way?", "--json").json["error"]
    assert (error["code"], error["hint"].split(":")[0]) == (
        "E_TARGET_EXITED",
        "planner finds the question on its return",
    )
    wait_until(planner.texts, what="the question")
    assert "\n\nWhich way?\n\n(You were away" in planner.texts()[0]


def test_a_pi_supervisor_that_is_away_is_told_on_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be asked: the asker is told so at once, and the supervisor finds the question as a message."""
    with Peer("worker-1", role="worker", team=TEAM) as worker:
        with V1Client(start(), "pi-boss") as boss:
            worker.enter_pane(monkeypatch, supervisor=boss)
        refused = run("supervisor", "decide", "Which way?", "--json")
        error = refused.json["error"]
        assert (refused.code, error["code"]) == (6, "E_TARGET_DISCONNECTED")
        assert error["hint"] == "pi-boss finds the question on its return: go on without it, or ask again then"
        with V1Client(start(), "pi-boss", session_id=boss.session_id) as back:
            (text,) = wait_until(back.texts, what="the question")
            assert text.startswith("Subagent needs a supervisor decision.\n")
            assert text.endswith("\n\n(You were away and nobody waits for a reply: send worker-1 a message.)")
            assert back.pending == {}


# -- the command line ----------------------------------------------------------------------------------------------


def test_decide_prints_the_reply(planner: Peer) -> None:
    """Only the reply goes to stdout."""
    planner.answer = answering("Take sqlite.")
    assert run("supervisor", "decide", "Which?") == (0, "Take sqlite.\n", "")
    assert run("supervisor", "decide", "-", "--json", stdin="Which?").json["text"] == "Take sqlite."


def test_update_says_that_it_was_delivered(planner: Peer) -> None:
    """The update is a send."""
    done = run("supervisor", "update", "half done")
    assert (done.code, done.out.split(" · ")[0]) == (0, "delivered to planner (idle)")


def test_interview_prints_what_fits_and_names_what_does_not(planner: Peer, tmp_path: Path) -> None:
    """Valid answers are JSON on stdout, faults are on stderr; with --json both are in one object."""
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(INTERVIEW))
    planner.answer = answering('{"responses": [{"id": "db", "value": "sqlite"}, {"id": "x", "value": "y"}]}')
    done = run("supervisor", "interview", str(file), "--note", "soon")
    assert (done.code, done.json) == (0, {"responses": [{"id": "db", "value": "sqlite"}]})
    assert done.err == 'not taken: "x" is no question; the ids are db\n'
    facts = run("supervisor", "interview", "-", "--json", stdin=json.dumps(INTERVIEW)).json
    assert (len(facts["responses"]), len(facts["problems"])) == (1, 1)


def test_an_interview_answered_in_prose_is_printed_as_it_is(planner: Peer) -> None:
    """Nothing is lost of a reply that is no JSON, or of which nothing fits."""
    for said in ("Take sqlite.", '{"responses": 3}'):
        planner.answer = answering(said)
        done = run("supervisor", "interview", "-", stdin=json.dumps(INTERVIEW))
        assert (done.code, done.out) == (0, f"{said}\n")


def test_faulty_questions_are_refused_before_anything_is_sent(planner: Peer) -> None:
    """JSON that is none is a usage error, questions that make no sense are an error of their own."""
    assert run("supervisor", "interview", "-", stdin="{").code == 2
    done = run("supervisor", "interview", "-", "--json", stdin="{}")
    assert (done.code, done.json["error"]["code"]) == (1, "E_INVALID_INTERVIEW")
    assert run("supervisor", "decide", "two", "words").code == 2
    assert planner.texts() == []


def test_a_shell_has_no_supervisor() -> None:
    """Outside a team the error says what to do instead."""
    done = run("supervisor", "decide", "Which?", "--json")
    assert (done.code, done.json["error"]["code"]) == (9, "E_NO_SUPERVISOR")
