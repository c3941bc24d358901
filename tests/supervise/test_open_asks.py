"""Real children that ask through files, answered by the verbs that answer everything else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from tests.cli.stage import TEAM, Peer, run
from tests.supervise.child import Child
from tests.supervise.test_contact import INTERVIEW
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def planner() -> Iterator[Peer]:
    """A peer whose name the children's requests give as their supervisor."""
    with Peer("planner", team=TEAM) as planner:
        yield planner


def test_a_terminal_answers_a_child() -> None:
    """It is pending, with whom it means; `reply` alone picks it, and the child gets the words."""
    with Child() as child:
        (row,) = run("pending", "--json").json["to_me"]
        assert (row["id"], row["with"], row["for"], row["note"]) == (child.id, "subagent-scout-run1-1", "planner", "")
        assert "subagent-scout-run1-1" in run("pending").out
        done = run("reply", "go left")
        assert (done.code, done.out) == (0, f"reply delivered to subagent-scout-run1-1 · {child.id[:8]}\n")
        assert child.reply() == "go left"
    assert run("pending").out == "no pending asks\n"


def test_several_children_are_picked_by_id_or_name() -> None:
    """Without --to the reply is refused, and nobody gets it."""
    with Child() as one, Child("run1-scout-1", childTarget="other") as two:
        refused = run("reply", "left", "--json")
        assert (refused.code, refused.json["error"]["code"]) == (6, "E_AMBIGUOUS_ASK")
        assert run("reply", "right", "--to", "OTHER").code == 0
        assert run("reply", "left", "--to", one.id[:8]).code == 0
        assert (one.reply(), two.reply()) == ("left", "right")


def test_an_ask_of_a_peer_and_a_child_stand_side_by_side(planner: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets its own answer; the one that is active comes before the child's."""
    planner.enter_pane(monkeypatch)
    with Peer("worker-1", team=TEAM) as worker, Child() as child:
        message = {"id": "1" * 32, "timestamp": 1, "expectsReply": True, "content": {"text": "why?"}}
        worker.write({"type": "send", "to": "planner", "message": message})
        wait_until(planner.texts, what="the ask")
        assert {row["with"] for row in run("pending", "--json").json["to_me"]} == {"worker-1", "subagent-scout-run1-1"}
        assert run("reply", "x").code == 6
        planner.confirm(message)
        assert run("reply", "because").code == 0
        wait_until(worker.texts, what="the reply")
        assert worker.texts() == ["because"]
        assert run("reply", "left").code == 0
        assert child.reply() == "left"


def test_an_interview_must_be_answered_as_it_asks() -> None:
    """What does not fit is refused with question and reason, and the child waits on."""
    with Child(reason="interview_request", interview=INTERVIEW) as child:
        wrong = run("reply", '{"responses": [{"id": "db", "value": "mysql"}]}', "--json")
        assert (wrong.code, wrong.json["error"]["code"]) == (1, "E_INVALID_ANSWER")
        assert wrong.json["error"]["problems"] == ['"db": "mysql" is not one of the options: sqlite, postgres']
        assert [row["kind"] for row in run("answer", "--json").json] == ["interview"]
        assert run("reply", '```json\n{"responses": [{"id": "db", "value": "sqlite"}]}\n```').code == 0
        assert json.loads(child.reply()) == {"responses": [{"id": "db", "value": "sqlite"}]}


def test_a_pane_sees_the_children_of_its_own_agent(planner: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a request says: whose pane the child runs in counts before the name, which other teams may have too."""
    own = str(planner.enter_pane(monkeypatch))
    with Child("own", env={paths.IDENTITY_VARIABLE: own}, orchestratorTarget="x") as child:
        others = {paths.IDENTITY_VARIABLE: f"{own}.other"}
        with Child("other", env=others), Child("stranger", env={paths.IDENTITY_VARIABLE: ""}, orchestratorTarget="x"):
            assert [row["id"] for row in run("pending", "--json").json["to_me"]] == [child.id]


def test_a_child_that_vanished_is_told_as_such() -> None:
    """Its request stays until its time is over; a reply is only laid down for it."""
    with Child() as child:
        child.kill()
        (row,) = run("pending", "--json").json["to_me"]
        assert row["note"] == "no process of this child is seen"
        assert run("reply", "left").out.startswith("reply queued for subagent-scout-run1-1")
        assert run("reply", "left").code == 6


def test_attachments_reach_a_child_and_a_late_reply_is_refused() -> None:
    """As text below; whoever answers after another hears that it is over."""
    with Child() as child:
        assert run("reply", "--to", child.id, "see", "--context", "size=3 files").code == 0
        assert child.reply().startswith("see\n\n---\nAttachment: context\n~~~")
        late = run("reply", "--to", child.id, "again", "--json")
        assert (late.code, late.json["error"]["code"]) == (6, "E_NO_PENDING_ASK")
