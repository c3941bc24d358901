"""Our own requests: pending, reply, inbox, result, progress, tasks, name, status."""

from __future__ import annotations

from typing import Any

import pytest

from intercom_mux.wire.frames import MAX_FRAME_BYTES
from tests.broker.core.bench import GREEN, Bench

WORDS: dict[str, Any] = {"id": "auto", "timestamp": 1, "content": {"text": "so"}}
"""The message of a turn's last words, as a courier sends it."""


def texts(value: dict[str, Any]) -> list[str]:
    """Return the texts of an inbox."""
    return [row["message"]["content"]["text"] for row in value["messages"]]


def test_only_clients_that_asked_for_it_may_use_requests(bench: Bench) -> None:
    """To a v1 client `mux` is an unknown frame."""
    assert bench.pi("scout").post(type="mux", requestId="1", op="pending").is_closed


def test_an_unknown_operation_is_refused_by_name(bench: Bench) -> None:
    """And the connection stays."""
    shell = bench.shell()
    assert shell.op("fly") == {"code": "E_UNKNOWN_OPERATION", "message": "Unknown operation 'fly'"}
    assert not shell.is_closed


@pytest.mark.parametrize(
    "frame",
    [
        {"op": "pending"},
        {"requestId": 1, "op": "pending"},
        {"requestId": "x" * 300, "op": "pending"},
        {"requestId": "1"},
        {"requestId": "1", "op": ["pending"]},
        {"requestId": "1", "op": "inbox", "id": 7},
        {"requestId": "1", "op": "reply", "message": {}},
        {"requestId": "1", "op": "name", "name": None},
        {"requestId": "1", "op": "progress", "task": []},
    ],
    ids=repr,
)
def test_a_malformed_request_closes_its_connection(bench: Bench, frame: dict[str, Any]) -> None:
    """Like any frame that breaks the protocol."""
    assert bench.shell().post(type="mux", **frame).is_closed


def test_pending_lists_both_directions_oldest_first(bench: Bench) -> None:
    """With what a human needs: who, what, since when, how long still."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    bench.peer("reviewer", GREEN).ask("blue/worker-1", "second?", id="q2")
    planner.ask("worker-1", "x" * 500, id="q1", deadline=bench.now + 60_000)
    bench.wait(5_000)
    value = worker.op("pending")
    assert [(row["id"], row["with"]) for row in value["to_me"]] == [("q2", "green/reviewer"), ("q1", "planner")]
    row = value["to_me"][1]
    assert (row["age_s"], row["left_s"], len(row["text"]), row["state"]) == (5, 55, 200, "sent")
    assert (row["is_blocking"], row["is_active"]) == (False, False)
    assert value["from_me"] == []
    assert [row["id"] for row in planner.op("pending")["from_me"]] == ["q1"]


def test_pending_shows_what_is_to_be_decided(bench: Bench) -> None:
    """Of a message to a supervisor the lines that say who sent it would fill all that is shown."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    worker.ask("planner", "Subagent needs a supervisor decision.\nRun: crew\nAgent: worker\n\nWhich?", id="q1")
    assert [row["text"] for row in planner.op("pending")["to_me"]] == ["decision: Which?"]


def test_reply_answers_the_only_pending_ask(bench: Bench) -> None:
    """Without saying which."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.ask("worker-1", id="q1")
    expected = {"messageId": "r1", "askId": "q1", "to": "planner", "delivery": "socket_delivered", "isLate": False}
    assert worker.reply("so", id="r1") == expected
    assert worker.take("delivered") == []
    assert planner.texts() == ["so"]


def test_reply_prefers_the_ask_of_the_running_turn(bench: Bench) -> None:
    """The one that the agent was given last, until its turn is over."""
    planner, reviewer, worker = bench.peer("planner"), bench.peer("reviewer"), bench.peer("worker-1")
    planner.ask("worker-1", id="q1")
    reviewer.ask("worker-1", id="q2")
    assert worker.reply("?")["code"] == "E_AMBIGUOUS_ASK"
    worker.confirm("q2", "injected")
    assert [row["is_active"] for row in worker.op("pending")["to_me"]] == [False, True]
    assert worker.reply("so")["askId"] == "q2"
    reviewer.ask("worker-1", id="q3")
    worker.confirm("q3", "injected")
    worker.post(type="presence", status="idle")
    assert worker.reply("?")["code"] == "E_AMBIGUOUS_ASK"


@pytest.mark.parametrize("to", ["q1-abc", "q1", "PLANNER"])
def test_reply_finds_an_ask_by_its_id_its_start_or_its_asker(bench: Bench, to: str) -> None:
    """`--to` takes what `pending` shows."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    bench.peer("reviewer").ask("worker-1", id="q2")
    planner.ask("worker-1", id="q1-abc")
    assert worker.reply("so", to=to)["askId"] == "q1-abc"


def test_reply_with_nothing_pending(bench: Bench) -> None:
    """Says so in the words that users know, or names what there is."""
    worker = bench.peer("worker-1")
    assert worker.reply("so") == {
        "code": "E_NO_PENDING_ASK",
        "message": "No active intercom context to reply to",
        "names": [],
    }
    bench.peer("planner").ask("worker-1", id="q1-0123456789")
    answer = worker.reply("so", to="nobody")
    assert (answer["message"], answer["names"]) == ('No pending ask from "nobody"', ["q1-01234 from planner"])


def test_several_pending_asks_need_a_choice(bench: Bench) -> None:
    """The error lists them."""
    worker = bench.peer("worker-1")
    for name in ("planner", "scout"):
        bench.peer(name).ask("worker-1", id=f"q-{name}")
    answer = worker.reply("so")
    assert (answer["code"], answer["names"]) == ("E_AMBIGUOUS_ASK", ["q-planne from planner", "q-scout from scout"])


def test_the_same_reply_again_is_the_same_reply(bench: Bench) -> None:
    """A command that lost its answer may repeat it, over a crash too; late ones likewise."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.ask("worker-1", id="q1")
    first = worker.reply("so", id="r1")
    assert worker.reply("so", id="r1") == first
    late = worker.reply("more", to="q1", id="r2")
    bench.crash()
    bench.peer("planner")
    worker = bench.peer("worker-1")
    again = worker.reply("so", id="r1")
    assert (again["askId"], again["isLate"]) == ("q1", False)
    assert worker.reply("more", to="q1", id="r2")["isLate"] is late["isLate"] is True


def test_inbox_takes_what_waits(bench: Bench) -> None:
    """Oldest first; the sender gets a receipt; nothing is left and nothing comes again."""
    planner, shell = bench.pi("planner"), bench.shell()
    planner.send("shell-pts1", "one")
    planner.send("shell-pts1", "two")
    value = shell.op("inbox")
    assert (texts(value), value["left"]) == (["one", "two"], 0)
    assert [f["receipt"]["status"] for f in planner.take("message_receipt")] == ["acknowledged"] * 2
    assert shell.op("inbox") == {"messages": [], "left": 0}
    bench.crash()
    assert bench.shell().op("inbox")["messages"] == []


def test_peek_leaves_it_there(bench: Bench) -> None:
    """Looking is free."""
    shell = bench.shell()
    bench.pi("planner").send("shell-pts1", "one")
    assert shell.op("inbox", peek=True) == shell.op("inbox", peek=True)
    assert texts(shell.op("inbox")) == ["one"]


def test_inbox_by_id_reads_one_also_later(bench: Bench) -> None:
    """By the start of its id; the others stay; read ones come from the journal."""
    planner, shell = bench.pi("planner"), bench.shell()
    for name in ("abc-1", "abc-2", "xyz_3"):
        planner.send("shell-pts1", name, id=name)
    assert shell.op("inbox", id="abc")["message"]["id"] == "abc-2"
    assert bench.mailbox("shell-1") == ["abc-1", "xyz_3"]
    assert shell.op("inbox", id="xyz_")["message"]["id"] == "xyz_3"
    assert shell.op("inbox", id="xyz_3")["state"] == "done"
    for unknown in ("zzz", "_", "%", "*"):
        assert shell.op("inbox", id=unknown)["code"] == "E_NOT_FOUND"
    assert bench.mailbox("shell-1") == ["abc-1"]


def test_inbox_hands_out_what_fits_and_says_what_is_left(bench: Bench) -> None:
    """Large mail comes in several helpings; none is lost and none too large for a frame."""
    planner, shell = bench.pi("planner"), bench.shell()
    size = MAX_FRAME_BYTES // 3
    for number in range(5):
        planner.send("shell-pts1", f"{number}" + "x" * size)
    seen: list[str] = []
    left: list[int] = []
    while len(seen) < 5:
        value = shell.op("inbox")
        seen += [text[0] for text in texts(value)]
        left.append(value["left"])
    assert seen == list("01234")
    assert left == [3, 1, 0]


def test_what_a_pane_has_read_its_endpoint_does_not_paste(bench: Bench) -> None:
    """Taken by the inbox, by a receipt or by a reply, the courier's copy is called back."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    pane = bench.handle("worker-1")
    for message_id in ("by-inbox", "by-receipt", "by-reply"):
        planner.ask("worker-1", id=message_id)
    pane.op("inbox", id="by-inbox")
    pane.confirm("by-receipt", "injected")
    pane.reply("so", to="by-reply")
    taken = [(f["event"], f["messageId"]) for f in worker.take("mux_event")]
    assert taken == [("taken", "by-inbox"), ("taken", "by-receipt"), ("taken", "by-reply")]
    worker.close()
    assert bench.peer("worker-1").texts() == []


def test_a_turns_last_words_answer_only_the_open_ask_they_name(bench: Bench) -> None:
    """Marked `auto`, once however often it is tried; no prefix, no name, no ask that is over is taken for it."""
    worker, planner = bench.peer("worker-1"), bench.peer("planner")
    planner.ask("worker-1", id="question-1")
    for wanted in ("question", "planner", ""):
        assert worker.op("reply", to=wanted, auto=True, message=WORDS)["code"] == "E_NO_PENDING_ASK"
    for _ in range(2):
        assert worker.op("reply", to="question-1", auto=True, message=WORDS)["askId"] == "question-1"
    (reply,) = [frame["message"] for frame in planner.take("message")]
    assert (reply["replyTo"], reply["auto"], reply["content"]["text"]) == ("question-1", True, "so")


def test_a_reply_after_an_automatic_one_corrects_it(bench: Bench) -> None:
    """It reaches the asker as a message that names the answer it corrects; automatic words after a reply do nothing."""
    worker, planner = bench.peer("worker-1"), bench.peer("planner")
    planner.ask("worker-1", id="q1")
    automatic = worker.op("reply", to="q1", auto=True, message=WORDS)["messageId"]
    assert worker.reply("no, so", to="q1")["isLate"]
    first, second = [frame["message"] for frame in planner.take("message")]
    assert (first["id"], second["correctionOf"], second["content"]["text"]) == (automatic, automatic, "no, so")
    assert "replyTo" not in second
    planner.ask("worker-1", id="q2")
    worker.reply("mine", to="q2")
    assert worker.op("reply", to="q2", auto=True, message=WORDS)["code"] == "E_NO_PENDING_ASK"
    assert len(planner.take("message")) == 1


def test_who_waits_hears_of_a_turn_without_an_answer(bench: Bench) -> None:
    """The waiting connection is told and goes on waiting; `pending` and `result` show the last word, cut to size."""
    worker, shell = bench.peer("worker-1"), bench.shell()
    shell.ask("blue/worker-1", id="q1", blocking=True)
    for text in ("first", "x" * 100_000):
        assert worker.op("note", ask="q1", kind="ended", text=text) == {"askId": "q1"}
    told = shell.take("mux_event")
    assert [(event["event"], event["messageId"], event["kind"]) for event in told] == [("ask_note", "q1", "ended")] * 2
    assert [len(event["text"]) for event in told] == [5, 4_000]
    assert shell.op("pending")["from_me"][0]["turn"]["kind"] == "ended"
    assert shell.op("result", id="q1")["turn"]["kind"] == "ended"
    assert bench.peer("other").op("note", ask="q1", kind="ended", text="")["code"] == "E_NO_PENDING_ASK"


def test_reading_an_ask_makes_it_the_active_one(bench: Bench) -> None:
    """`inbox` then `reply` needs no id."""
    worker = bench.peer("worker-1")
    bench.peer("planner").ask("worker-1", id="q1")
    bench.peer("scout").ask("worker-1", id="q2")
    pane = bench.handle("worker-1")
    pane.op("inbox", id="q1")
    assert pane.reply("so")["askId"] == "q1"
    assert not worker.is_closed


def test_result_says_where_an_ask_stands(bench: Bench) -> None:
    """Open, then answered, again and again, over a crash too; then the mailbox no longer holds it."""
    worker, shell = bench.peer("worker-1"), bench.shell()
    shell.ask("worker-1", id="q1-abc", deadline=bench.now + 60_000)
    assert shell.op("result", id="q1") == {"state": "open", "id": "q1-abc", "to": "blue/worker-1", "left_s": 60}
    worker.reply("so")
    for _ in range(2):
        value = shell.op("result", id="q1")
        assert (value["id"], value["state"]) == ("q1-abc", "answered")
        assert value["reply"]["message"]["content"]["text"] == "so"
    assert shell.op("inbox")["messages"] == []
    bench.crash()
    assert bench.shell().op("result", id="q1")["reply"]["message"]["content"]["text"] == "so"


def test_result_takes_one_reply_only(bench: Bench) -> None:
    """A start that fits two asks does not swallow the other's reply."""
    worker, shell = bench.peer("worker-1"), bench.shell()
    for ask_id in ("q1", "q2"):
        shell.ask("worker-1", id=ask_id)
        worker.reply(f"to {ask_id}", to=ask_id)
    assert shell.op("result", id="q")["id"] == "q2"
    assert texts(shell.op("inbox")) == ["to q1"]


def test_result_of_what_never_was(bench: Bench) -> None:
    """Another session's ask is none of mine."""
    bench.peer("worker-1")
    bench.peer("planner").ask("worker-1", id="q1")
    for ask_id in ("q1", "q9", ""):
        assert bench.shell().op("result", id=ask_id)["code"] == "E_NOT_FOUND"


def test_progress_makes_and_changes_a_task(bench: Bench) -> None:
    """What is not named stays; a percentage starts it, a hundred ends it."""
    worker, planner = bench.peer("worker-1"), bench.peer("planner")
    task = planner.op("progress", task="T1", title="Refresh retries", owner="worker-1")
    assert (task["state"], task["percent"], task["assigner"], task["team"]) == ("assigned", 0, "planner", "team-blue")
    task = worker.op("progress", task="T1", percent=40, note="tests are red")
    assert (task["title"], task["owner"], task["state"], task["percent"]) == (
        "Refresh retries",
        "worker-1",
        "started",
        40,
    )
    assert worker.op("progress", task="T1", percent=100)["state"] == "done"
    assert worker.op("progress", task="T2", state="done")["percent"] == 100
    assert [row["id"] for row in planner.op("tasks")["tasks"]] == ["T1", "T2"]
    bench.crash()
    assert bench.peer("planner").op("tasks")["tasks"][0]["note"] == "tests are red"


@pytest.mark.parametrize(
    "fields",
    [
        {"task": ""},
        {"task": "x" * 300},
        {"task": "T", "percent": 101},
        {"task": "T", "percent": -1},
        {"task": "T", "percent": 1.5},
        {"task": "T", "percent": True},
        {"task": "T", "state": "flying"},
    ],
    ids=repr,
)
def test_a_task_that_makes_no_sense_is_refused(bench: Bench, fields: dict[str, Any]) -> None:
    """And nothing is kept of it."""
    shell = bench.shell()
    assert shell.op("progress", **fields)["code"] == "E_INVALID_TASK"
    assert shell.op("tasks") == {"tasks": []}


def test_tasks_belong_to_their_team(bench: Bench) -> None:
    """A team sees its own, a shell outside all of them; retiring a team forgets them, a stranger cannot."""
    blue, green = bench.peer("worker-1"), bench.peer("worker-1", GREEN)
    blue.op("progress", task="B"), green.op("progress", task="G")
    shell = bench.shell()
    bench.wait(1)
    shell.op("progress", task="S")
    assert [row["id"] for row in blue.op("tasks")["tasks"]] == ["B"]
    assert [row["id"] for row in shell.op("tasks")["tasks"]] == ["B", "G", "S"]
    shell.op("retire", sessions=[], team="team-blue")
    shell.op("retire", sessions=[{"id": "blue-worker-1", "token": "secret"}])
    assert [row["id"] for row in shell.op("tasks")["tasks"]] == ["B", "G", "S"]
    shell.op("retire", sessions=[{"id": "green-worker-1", "token": "secret"}], team="team-green")
    assert [row["id"] for row in shell.op("tasks")["tasks"]] == ["B", "S"]
    bench.crash()
    assert [row["id"] for row in bench.shell().op("tasks")["tasks"]] == ["B", "S"]


def test_a_shell_takes_a_name(bench: Bench) -> None:
    """It is its address from then on and survives a crash."""
    planner = bench.pi("planner")
    assert bench.shell().op("name", name=" ops ") == {"name": "ops", "sessionId": "shell-1", "is_shell": True}
    bench.crash()
    shell, planner = bench.shell(), bench.pi("planner")
    planner.send("ops", "hello")
    assert texts(shell.op("inbox")) == ["hello"]


def test_names_that_cannot_be(bench: Bench) -> None:
    """A team's names are its layout's; nobody takes another's; odd ones are refused."""
    bench.pi("planner")
    worker, shell = bench.peer("worker-1"), bench.shell()
    assert worker.op("name", name="boss")["code"] == "E_NAME_FIXED"
    assert shell.op("name", name="PLANNER")["code"] == "E_NAME_TAKEN"
    for name in ("", "  ", "a/b", "x" * 65, "a\nb"):
        assert shell.op("name", name=name)["code"] == "E_INVALID_NAME"


def test_status_counts(bench: Bench) -> None:
    """The core counts, the server adds what only it knows."""
    shell = bench.shell()
    bench.peer("worker-1").close()
    shell.ask("worker-1")
    shell.post(type="mux", requestId="s", op="status")
    assert shell.one("mux_result")["value"] == {"looked": "up"}


def test_answers_are_cut_to_fit_a_frame(bench: Bench) -> None:
    """Hundreds of verbose asks and tasks do not get the asker thrown out."""
    worker = bench.peer("worker-1")
    planner = bench.peer("planner")
    for number in range(450):
        planner.ask("worker-1", "\x01" * 200, id=f"q{number}")
        planner.op("progress", task=f"T{number}", note="\x01" * 900)
    assert 100 < len(worker.op("pending")["to_me"]) < 450
    assert 100 < len(worker.op("tasks")["tasks"]) < 450
    assert not worker.is_closed


def test_a_whole_id_comes_before_longer_ones_that_begin_so(bench: Bench) -> None:
    """Marking m1 as read leaves m10, which nobody has seen yet; the same of results."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    for message_id in ("m1", "m10"):
        planner.send("worker-1", message_id, id=message_id)
    assert worker.op("inbox", id="m1")["message"]["id"] == "m1"
    assert [row["message"]["id"] for row in worker.op("inbox", peek=True)["messages"]] == ["m10"]
    planner.ask("worker-1", id="q10")
    planner.ask("worker-1", id="q1")
    assert planner.op("result", id="q1")["id"] == "q1"
    worker.reply("one", to="q1")
    worker.reply("ten", to="q10")
    assert planner.op("result", id="q1")["reply"]["message"]["content"]["text"] == "one"
    assert planner.op("result", id="q10")["reply"]["message"]["content"]["text"] == "ten"
