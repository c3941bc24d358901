"""Questions: edges, cycles, replies, tickets, and how each wait ends."""

from __future__ import annotations

import pytest

from intercom_mux.broker.core.model import Limits
from tests.broker.core.bench import BLUE, HOUR, Bench


def test_a_reply_reaches_its_asker_and_closes_the_ask(bench: Bench) -> None:
    """With `replyTo`, once; the second reply has nothing to answer."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.ask("worker", id="q1")
    assert worker.send("planner", "so", replyTo="q1")["type"] == "delivered"
    (message,) = planner.messages()
    assert message["replyTo"] == "q1"
    assert worker.send("planner", "again", replyTo="q1")["code"] == "E_REPLY_TARGET"


def test_a_reply_confirms_its_question(bench: Bench) -> None:
    """Who answered has read it: it is not delivered again."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.ask("worker", id="q1")
    worker.send("planner", replyTo="q1")
    worker.close()
    assert bench.pi("worker").texts() == []


def test_only_the_asked_may_reply_and_only_to_the_asker(bench: Bench) -> None:
    """The words tell a wrong party from a wrong id, as in v1."""
    planner, worker, scout = bench.pi("planner"), bench.pi("worker"), bench.pi("scout")
    planner.ask("worker", id="q1")
    for answer in (scout.send("planner", replyTo="q1"), worker.send("scout", replyTo="q1")):
        assert answer["reason"] == "Reply target does not match the pending ask"
    assert worker.send("planner", replyTo="q9")["reason"] == "Reply target does not match a pending ask"
    assert bench.mailbox("id-planner") == []


def test_asks_of_two_askers_may_share_an_id(bench: Bench) -> None:
    """Ids are the askers' own choice; each reply finds its own ask, and neither ends the other."""
    planner, scout = bench.pi("planner"), bench.pi("scout")
    worker, reviewer = bench.pi("worker"), bench.pi("reviewer")
    planner.ask("worker", id="q1")
    scout.ask("reviewer", id="q1")
    planner.post(type="cancel_ask", messageId="q1")
    reviewer.send("scout", "to scout", replyTo="q1")
    assert scout.texts() == ["to scout"]
    assert worker.send("planner", replyTo="q1")["code"] == "E_REPLY_TARGET"
    bench.crash()


def test_a_session_of_ours_may_be_asked_while_it_is_away(bench: Bench) -> None:
    """It holds mail: the ask waits, and the reply finds its asker."""
    planner = bench.pi("planner")
    bench.peer("worker-1").close()
    assert planner.ask("blue-worker-1", "how?", id="q1")["delivery"] == "queued"
    worker = bench.peer("worker-1")
    assert worker.texts() == ["how?"]
    worker.reply("so")
    assert planner.texts() == ["so"]


def test_a_foreign_session_that_is_away_cannot_be_asked(bench: Bench) -> None:
    """It may never come back; a plain message is queued."""
    planner = bench.pi("planner")
    bench.pi("scout").close()
    answer = planner.ask("scout")
    assert answer["code"] == "E_TARGET_DISCONNECTED"
    assert answer["reason"] == "Target session is not currently connected; blocking asks are not queued"
    assert planner.send("scout")["delivery"] == "queued"


def test_an_exited_agent_is_not_asked(bench: Bench) -> None:
    """It cannot answer; who asked already is told at once."""
    ops, worker = bench.shell(name="ops"), bench.peer("worker-1")
    ops.ask("worker-1", id="q1", blocking=True)
    worker.post(type="presence", status="exited:1")
    event = ops.one("mux_event")
    assert (event["event"], event["code"], event["messageId"]) == ("ask_ended", "E_ASK_ENDED", "q1")
    assert event["reason"] == "worker-1 has exited with status 1"
    answer = ops.ask("worker-1")
    assert (answer["code"], answer["reason"]) == ("E_TARGET_EXITED", "blue/worker-1 has exited and cannot answer")
    assert ops.send("worker-1")["type"] == "delivered"


def test_two_may_not_wait_for_each_other(bench: Bench) -> None:
    """The second ask is refused in the words that users know."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.ask("worker")
    answer = worker.ask("planner")
    assert answer["code"] == "E_MUTUAL_ASK"
    assert answer["reason"] == "Mutual ask refused: target session is already waiting for a reply from this session."
    assert bench.mailbox("id-planner") == []


def test_a_longer_waiting_cycle_is_refused_and_named(bench: Bench) -> None:
    """Tickets count: a cycle of three would wait for ever too."""
    planner, worker, scout = bench.peer("planner"), bench.peer("worker"), bench.peer("scout")
    planner.ask("worker")
    worker.ask("scout")
    answer = scout.ask("planner")
    assert answer["code"] == "E_MUTUAL_ASK"
    assert answer["reason"] == "Ask refused: it would close a waiting cycle: scout → planner → worker → scout"
    assert scout.send("planner", "a plain message may pass")["type"] == "delivered"


def test_a_chain_and_a_diamond_are_no_cycle(bench: Bench) -> None:
    """Several may wait for one, one for several."""
    a, b, c, d = (bench.peer(name) for name in "abcd")
    assert {w.ask(to)["type"] for w, to in ((a, "b"), (a, "c"), (b, "d"), (c, "d"))} == {"delivered"}
    assert d.ask("a")["code"] == "E_MUTUAL_ASK"


def test_a_counter_question_is_allowed(bench: Bench) -> None:
    """It carries `replyTo`, answers the first ask, and is an ask the other way."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.ask("worker", id="q1")
    assert worker.ask("planner", "which one?", id="q2", replyTo="q1")["type"] == "delivered"
    planner.send("worker", "the left one", replyTo="q2")
    assert worker.texts()[-1] == "the left one"


def test_one_blocking_ask_per_session(bench: Bench) -> None:
    """A second command of the same session is refused; a group is one, tickets do not count."""
    bench.peer("planner")
    first, second = bench.handle("planner"), bench.handle("planner")
    for name in ("worker-1", "worker-2", "worker-3"):
        bench.peer(name)
    assert first.ask("worker-1", blocking=True, group="g")["type"] == "delivered"
    assert first.ask("worker-2", blocking=True, group="g")["type"] == "delivered"
    answer = second.ask("worker-3", blocking=True, group="other")
    assert (answer["code"], answer["reason"]) == ("E_ALREADY_WAITING", "Already waiting for a reply")
    assert second.ask("worker-3")["type"] == "delivered"
    first.close()
    assert second.ask("worker-3", blocking=True, group="other")["type"] == "delivered"


def test_the_reply_comes_back_to_the_command_that_asked(bench: Bench) -> None:
    """Not to the peer's endpoint, unless the command is gone."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    pane = bench.handle("planner")
    pane.ask("worker-1", id="q1", blocking=True)
    worker.reply("so")
    assert pane.texts() == ["so"]
    assert planner.texts() == []


def test_a_reply_that_the_command_did_not_confirm_goes_to_the_mailbox(bench: Bench) -> None:
    """The command was killed with the reply in its hands."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    pane = bench.handle("planner")
    pane.ask("worker-1", id="q1", blocking=True)
    worker.reply("so", id="r1")
    pane.close()
    assert planner.texts() == ["so"]


def test_a_confirmed_reply_does_not_come_twice(bench: Bench) -> None:
    """The command's receipt is the session's."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    pane = bench.handle("planner")
    pane.ask("worker-1", id="q1", blocking=True)
    worker.reply("so", id="r1")
    pane.confirm("r1")
    pane.close()
    assert planner.texts() == []


def test_an_asker_that_vanishes_leaves_a_ticket(bench: Bench) -> None:
    """The reply goes to the peer's endpoint, or waits for a shell's next command."""
    planner, worker, shell = bench.peer("planner"), bench.peer("worker-1"), bench.shell()
    pane = bench.handle("planner")
    pane.ask("worker-1", id="q1", blocking=True)
    shell.ask("worker-1", id="q2", blocking=True)
    pane.close()
    shell.close()
    worker.reply("to the pane", to="q1")
    worker.reply("to the shell", to="q2")
    assert planner.texts() == ["to the pane"]
    assert bench.shell().op("result", id="q2")["reply"]["message"]["content"]["text"] == "to the shell"


def test_receipts_of_an_ask_go_to_whoever_waits_for_it(bench: Bench) -> None:
    """The waiting command sees that its question was taken up; a ticket's receipts go to the endpoint."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    pane = bench.handle("planner")
    pane.ask("worker-1", id="q1", blocking=True)
    worker.confirm("q1", "injected")
    assert pane.one("message_receipt")["receipt"]["status"] == "injected"
    pane.close()
    worker.confirm("q1", "injected")
    assert len(planner.take("message_receipt")) == 1


def test_withdrawing_an_ask_takes_back_what_was_not_begun(bench: Bench) -> None:
    """The receiver's copy is dropped, the reply would have nothing to answer."""
    worker, ops = bench.peer("worker-1"), bench.shell()
    ops.ask("worker-1", id="q1", blocking=True)
    ops.post(type="cancel_ask", messageId="q1")
    assert worker.one("message_control")["control"]["action"] == "cancel"
    worker.close()
    assert bench.peer("worker-1").texts() == []
    assert ops.op("result", id="q1")["state"] == "cancelled"


def test_a_v1_cancel_ask_removes_the_edge_and_leaves_the_message(bench: Bench) -> None:
    """As the stock broker does; only the asker may."""
    planner, worker, scout = bench.pi("planner"), bench.pi("worker"), bench.pi("scout")
    planner.ask("worker", id="q1")
    scout.post(type="cancel_ask", messageId="q1")
    assert worker.send("planner", replyTo="q1")["type"] == "delivered"
    planner.ask("worker", id="q2")
    planner.post(type="cancel_ask", messageId="q2")
    assert worker.send("planner", replyTo="q2")["code"] == "E_REPLY_TARGET"
    assert worker.ask("planner")["type"] == "delivered"


def test_cancelling_the_message_of_an_ask_ends_the_ask(bench: Bench) -> None:
    """`cancel` works on asks as on messages."""
    planner, worker = bench.pi("planner"), bench.pi("worker")
    planner.ask("worker", id="q1")
    planner.post(type="cancel_message", messageId="q1")
    assert worker.send("planner", replyTo="q1")["code"] == "E_REPLY_TARGET"


def test_an_ask_ends_at_its_deadline_and_its_waiter_hears_it(bench: Bench) -> None:
    """The deadline travels with the ask; ten minutes without one."""
    worker, ops = bench.peer("worker-1"), bench.shell()
    ops.ask("worker-1", id="q1", blocking=True, deadline=bench.now + 5_000)
    bench.wait(4_999)
    assert ops.take("mux_event") == []
    bench.wait(1)
    assert ops.one("mux_event")["code"] == "E_ASK_TIMEOUT"
    assert worker.one("message_control")["control"]["action"] == "cancel"
    assert worker.reply("late", to="q1")["isLate"] is True
    ops.ask("worker-1", id="q2")
    bench.wait(599_999)
    assert len(bench.core.state.asks) == 1
    bench.wait(1)
    assert bench.core.state.asks == {}


@pytest.mark.parametrize(("deadline", "lives"), [(-5, 0), (10**15, 7 * 24 * HOUR), (1e300, 7 * 24 * HOUR)])
def test_a_deadline_is_kept_within_reason(bench: Bench, deadline: float, lives: int) -> None:
    """Not in the past, at most a week ahead, whatever number comes."""
    bench.peer("worker-1")
    bench.peer("planner").ask("worker-1", deadline=deadline)
    (ask,) = bench.core.state.asks.values()
    assert ask.deadline - bench.now == lives


def test_a_ticket_that_expires_is_told_to_the_mailbox(bench: Bench) -> None:
    """Nobody waits on a connection, so the session gets a notice."""
    planner = bench.peer("planner")
    bench.peer("worker-1").close()
    planner.ask("worker-1", id="q1")
    bench.wait(HOUR)
    assert planner.texts() == ["Ask q1 to worker-1 ended: no reply came in time."]
    assert bench.peer("worker-1").texts() == []


def test_a_late_reply_is_an_ordinary_message(bench: Bench) -> None:
    """Work that came too late is not lost."""
    worker, ops = bench.peer("worker-1"), bench.shell()
    ops.ask("worker-1", id="q1", deadline=bench.now + 1000)
    bench.wait(1000)
    answer = worker.reply("took a while", to="q1")
    assert (answer["isLate"], answer["askId"]) == (True, "q1")
    texts = [(row["message"]["content"]["text"], row["message"].get("replyTo")) for row in ops.op("inbox")["messages"]]
    assert ("took a while", None) in texts


def test_an_ask_is_remembered_as_long_as_it_is_open() -> None:
    """An asker that comes back after hours does not ask anew, however much has ended since, nor after a crash."""
    bench = Bench(Limits(records=2))
    worker, planner = bench.peer("worker-1"), bench.peer("planner")
    planner.ask("worker-1", "how?", id="q1", deadline=bench.now + 20 * HOUR)
    worker.confirm_all()
    for _ in range(5):
        worker.confirm(planner.send("worker-1")["messageId"])
    bench.wait(3 * HOUR)
    worker.take()
    planner.ask("worker-1", "how?", id="q1", deadline=bench.now + 17 * HOUR)
    assert worker.texts() == []
    bench.crash()
    worker, planner = bench.peer("worker-1"), bench.peer("planner")
    planner.ask("worker-1", "how?", id="q1")
    assert worker.texts() == []
    worker.reply("so", to="q1")
    assert planner.texts() == ["so"]


def test_a_v1_asker_may_ask_several(bench: Bench) -> None:
    """One at a time is the rule of its own client, not of the broker."""
    planner = bench.pi("planner")
    bench.pi("worker"), bench.pi("scout")
    assert planner.ask("worker")["type"] == planner.ask("scout")["type"] == "delivered"


def test_superseding_an_ask_ends_it(bench: Bench) -> None:
    """Only the new one is open."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1", BLUE)
    planner.ask("worker-1", id="q1")
    planner.ask("worker-1", "better", id="q2", supersedes="q1")
    assert [row["id"] for row in worker.op("pending")["to_me"]] == ["q2"]


def test_a_v1_asker_hears_at_once_that_nobody_will_answer(bench: Bench) -> None:
    """By a reply from whom it asked, the only end of an ask that it knows; a receipt for it harms nobody."""
    planner = bench.pi("planner")
    worker, scout = bench.peer("worker-1"), bench.peer("scout")
    planner.ask("blue/worker-1", id="q1")
    planner.ask("blue/scout", id="q2")
    planner.take()
    worker.post(type="presence", status="exited:1")
    frame = planner.one("message")
    assert (frame["from"]["id"], frame["message"]["replyTo"]) == ("blue-worker-1", "q1")
    assert frame["message"]["content"]["text"].startswith("(intercom) ")
    assert frame["message"]["muxEnded"] == "E_ASK_ENDED"
    planner.confirm(frame["message"]["id"])
    scout.op("retire", sessions=[{"id": "blue-scout", "token": "secret"}], reason="the team is down")
    (reply,) = planner.messages()
    assert (reply["replyTo"], "the team is down" in reply["content"]["text"]) == ("q2", True)


def test_a_v1_asker_is_left_to_its_own_time_out(bench: Bench) -> None:
    """At the deadline nothing comes: its client gives up by itself."""
    planner = bench.pi("planner")
    bench.peer("worker-1")
    planner.ask("blue/worker-1")
    planner.take()
    bench.wait(HOUR)
    assert planner.messages() == []


@pytest.mark.parametrize("how", ["cancel_message", "cancel_ask", "supersedes"])
def test_who_waits_hears_that_another_took_the_ask_back(bench: Bench, how: str) -> None:
    """The waiting command ends at once, not at its time-out; who takes its own ask back is told nothing."""
    bench.peer("worker-1")
    bench.peer("planner")
    pane, other = bench.handle("planner"), bench.handle("planner")
    pane.ask("worker-1", id="q1", blocking=True)
    if how == "supersedes":
        other.send("worker-1", "never mind", supersedes="q1")
    else:
        other.post(type=how, messageId="q1")
    event = pane.one("mux_event")
    assert (event["event"], event["messageId"], event["code"]) == ("ask_ended", "q1", "E_ASK_ENDED")
    assert event["reason"] == ("another question took its place" if how == "supersedes" else "it was withdrawn")
    pane.ask("worker-1", id="q2", blocking=True)
    pane.post(type="cancel_ask", messageId="q2")
    assert pane.take("mux_event") == []
    bench.core.disconnect(pane.number, bench.now)


def test_blocking_asks_without_a_group_are_not_one(bench: Bench) -> None:
    """Only a group that is named joins asks."""
    bench.peer("worker-1")
    bench.peer("worker-2")
    bench.peer("planner")
    one, two = bench.handle("planner"), bench.handle("planner")
    assert one.ask("worker-1", blocking=True)["type"] == "delivered"
    assert two.ask("worker-2", blocking=True)["code"] == "E_ALREADY_WAITING"


def test_nobody_waits_for_itself(bench: Bench) -> None:
    """A v1 session may send to itself, as with the stock broker, but not ask: that is the smallest circle."""
    pi = bench.pi("pi")
    assert pi.send("pi")["type"] == "delivered"
    refused = pi.ask("pi")
    assert (refused["code"], refused["reason"]) == (
        "E_MUTUAL_ASK",
        "Ask refused: it would close a waiting cycle: pi → pi",
    )
