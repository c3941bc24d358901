"""Tasks: made, marked in messages, changed, told of, bounded, and kept over crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.broker.core import tasks
from tests.broker.core.bench import GREEN, Bench, Wire

if TYPE_CHECKING:
    import pytest

Json = dict[str, Any]


def ids(wire: Wire) -> list[str]:
    """Return the ids of the tasks that a session sees."""
    return [row["id"] for row in wire.op("tasks")["tasks"]]


def test_a_task_is_named_after_its_title(bench: Bench) -> None:
    """The same call again is the same task; the id with another title, or of another assigner, is refused."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    first = planner.op("task_add", title="Write  the\nParser!", note="see the issue")
    assert (first["id"], first["title"], first["state"]) == ("write-the-parser", "Write the Parser!", "assigned")
    assert (first["assigner"], first["owner"], first["note"]) == ("planner", "", "see the issue")
    bench.wait(5)
    assert planner.op("task_add", title="Write the Parser!") == first
    assert worker.op("task_add", title="Write the Parser!")["code"] == "E_TASK_EXISTS"
    assert planner.op("task_add", title="Other", task="write-the-parser")["code"] == "E_TASK_EXISTS"
    assert planner.op("task_add", title=" ")["code"] == "E_INVALID_TASK"


def test_marked_lines_become_tasks_of_the_receiver(bench: Bench) -> None:
    """Each is linked with its message, whatever else stands there; nothing that is not marked becomes one."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    text = "Please:\n[task] Write the parser\n[task:T2] Test it\n- [task] no\n> [task] no\n[task]\n[tasks] x"
    planner.send("worker-1", text, id="m")
    assert ids(worker) == ["write-the-parser", "T2"]
    task = worker.op("task_show", task="T2")
    assert (task["title"], task["owner"], task["assigner"]) == ("Test it", "worker-1", "planner")
    assert task["messages"] == ["m"]
    assert planner.op("task_show", message="m")["id"] in ids(worker)
    planner.send("worker-1", text, id="m")
    planner.send("worker-1", "[task] Write the parser")
    assert ids(worker) == ["write-the-parser", "T2", "write-the-parser-2"]


def test_a_marked_id_gives_the_task_to_another(bench: Bench) -> None:
    """What was begun starts anew with its new owner; a reminder to the owner only links the message."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    bench.peer("worker-2")
    planner.send("worker-1", "[task:T] Lexer", id="a")
    worker.op("progress", task="T", percent=40)
    planner.send("worker-1", "[task:T] Lexer", id="b")
    assert worker.op("task_show", task="T")["percent"] == 40
    planner.send("worker-2", "[task:T] Lexer", id="c")
    task = worker.op("task_show", task="T")
    assert (task["owner"], task["state"], task["percent"], task["messages"]) == ("worker-2", "assigned", 0, list("abc"))
    assert [(row["owner"], row["percent"]) for row in task["history"]] == [
        ("worker-1", 0),
        ("worker-1", 40),
        ("worker-1", 40),
        ("worker-2", 0),
    ]


def test_a_reply_makes_no_tasks(bench: Bench) -> None:
    """It may quote the planner's words."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.ask("worker-1", "what do you do?")
    worker.reply("[task] Parse")
    assert ids(planner) == []


def test_a_shell_gives_a_task_to_a_team(bench: Bench) -> None:
    """It belongs to the receiver's team, and the shell hears how it ends in its mailbox."""
    worker, shell = bench.peer("worker-1", GREEN), bench.shell()
    shell.send("worker-1", "[task:T] Parse")
    assert worker.op("task_show", task="T")["team"] == GREEN["id"]
    worker.op("progress", task="T", state="failed", note="no grammar")
    (letter,) = shell.op("inbox")["messages"]
    assert letter["message"]["content"]["text"] == "Task T (Parse) of worker-1 is failed: no grammar"


def test_only_news_that_need_the_assigner_reach_its_agent(bench: Bench) -> None:
    """Blocked, done and failed, once each; percentages never, and nobody hears of what it did itself."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.send("worker-1", "[task:T] Parse")
    for change in ({"percent": 10}, {"percent": 50, "note": "x"}, {"state": "blocked", "note": "why?"}, {"note": "y"}):
        worker.op("progress", task="T", **change)
    assert planner.texts() == ["Task T (Parse) of worker-1 is blocked: why?"]
    worker.op("progress", task="T", state="started")
    worker.op("progress", task="T", percent=100)
    worker.op("progress", task="T", percent=100)
    assert planner.texts() == ["Task T (Parse) of worker-1 is done: y"]
    planner.op("progress", task="T", state="failed")
    assert planner.texts() == []


def test_listeners_hear_of_every_change(bench: Bench) -> None:
    """A handle with events gets the task as it stands; another team's does not."""
    worker = bench.peer("worker-1")
    bench.peer("worker-1", GREEN)
    ears = {"version": 1, "token": "secret", "events": True}
    mine, other = (bench.register(None, None, {**ears, "as": f"{team}-worker-1"}) for team in ("blue", "green"))
    mine.take(), other.take()
    worker.op("progress", task="T", percent=10)
    event = mine.one("mux_event")
    assert (event["event"], event["task"]["id"], event["task"]["percent"]) == ("task", "T", 10)
    assert "history" not in event["task"]
    assert other.take("mux_event") == []


def test_a_crash_loses_nothing_of_a_task(bench: Bench) -> None:
    """History, messages and whom to tell come back from the journal."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.send("worker-1", "[task:T] Parse", id="m")
    worker.op("progress", task="T", percent=30)
    before = worker.op("task_show", task="T")
    bench.crash()
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.take()
    assert worker.op("task_show", task="T") == before
    worker.op("progress", task="T", state="done")
    assert planner.texts() == ["Task T (Parse) of worker-1 is done."]


def test_what_a_task_keeps_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest of its history and messages, and so many tasks a team; marks beyond that are only text."""
    monkeypatch.setattr(tasks, "TASKS_MAX", 2)
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    for number in range(100):
        worker.op("progress", task="T", percent=number % 99, note=f"{number} " + "x" * 900)
    history = worker.op("task_show", task="T")["history"]
    assert len(history) == 40
    assert (history[-1]["note"][:3], len(history[-1]["note"])) == ("99 ", 200)
    for number in range(25):
        assert planner.send("worker-1", "[task:U] Parse\n[task:V] More", id=f"m{number}")["type"] == "delivered"
    assert ids(worker) == ["T", "U"]
    assert len(worker.op("task_show", task="U")["messages"]) == 20
    assert worker.op("progress", task="V")["code"] == "E_TOO_MANY_TASKS"
    assert worker.op("task_add", title="V")["code"] == "E_TOO_MANY_TASKS"
    assert bench.peer("worker-1", GREEN).op("progress", task="V")["id"] == "V"


def test_an_unknown_task_cannot_be_shown(bench: Bench) -> None:
    """Nor another team's."""
    bench.peer("worker-1", GREEN).op("progress", task="T")
    assert bench.peer("worker-1").op("task_show", task="T")["code"] == "E_NO_TASK"
    assert bench.shell().op("task_show", task="T")["team"] == GREEN["id"]


CHANGES = st.fixed_dictionaries(
    {"task": st.sampled_from(["a", "b"])},
    optional={
        "percent": st.integers(-5, 105),
        "state": st.sampled_from([*tasks.STATES, "flying"]),
        "note": st.text(max_size=5),
        "owner": st.text(max_size=5),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.lists(CHANGES, max_size=12))
def test_any_changes_leave_tasks_that_make_sense_and_survive(changes: list[Json]) -> None:
    """A refused change alters nothing; the last line of the history is the task; a crash brings back the same."""
    bench = Bench()
    worker = bench.peer("worker-1")
    for change in changes:
        before = worker.op("tasks")
        if "code" in worker.op("progress", **change):
            assert worker.op("tasks") == before
    seen = [worker.op("task_show", task=task_id) for task_id in ids(worker)]
    for task in seen:
        assert task["state"] in tasks.STATES
        assert 0 <= task["percent"] <= 100
        assert task["state"] != "done" or task["percent"] == 100
        last = task["history"][-1]
        assert all(last[key] == task[key] for key in ("owner", "state", "percent", "note"))
    bench.crash()
    worker = bench.peer("worker-1")
    assert [worker.op("task_show", task=task["id"]) for task in seen] == seen


def test_a_task_may_be_named_by_the_start_of_its_id(bench: Bench) -> None:
    """A whole id comes before longer ones; several that begin so are listed."""
    planner = bench.peer("planner")
    for title in ("Parse", "Parse more", "Print"):
        planner.op("task_add", title=title)
    assert [planner.op("task_show", task=start)["id"] for start in ("parse", "parse-", "pr")] == [
        "parse",
        "parse-more",
        "print",
    ]
    refused = planner.op("task_show", task="p")
    assert (refused["code"], refused["names"]) == ("E_AMBIGUOUS_TASK", ["parse", "parse-more", "print"])
    assert planner.op("task_show", task="")["code"] == "E_NO_TASK"


def test_a_title_may_come_again_when_its_task_has_ended(bench: Bench) -> None:
    """The new one is another; the same id is asked for on purpose."""
    planner = bench.peer("planner")
    planner.op("task_add", title="Run tests")
    planner.op("progress", task="run-tests", state="done")
    assert planner.op("task_add", title="Run tests")["id"] == "run-tests-2"
    assert planner.op("task_add", title="Run tests", task="run-tests")["state"] == "done"


def test_progress_that_tells_nothing_changes_nothing(bench: Bench) -> None:
    """A look, a note or a title of a task that nobody has does not claim it; a percentage or a state does."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    made = planner.op("task_add", title="Lexer", task="T")
    bench.wait(5)
    assert worker.op("progress", task="T") == made
    assert len(worker.op("task_show", task="T")["history"]) == 1
    assert worker.op("progress", task="T", note="look at #7", title="The lexer")["owner"] == ""
    assert worker.op("progress", task="T", percent=10)["owner"] == "worker-1"
    assert worker.op("progress", task="new")["owner"] == "worker-1"


def test_a_task_that_has_ended_is_taken_up_again_by_a_state_only(bench: Bench) -> None:
    """A percentage of it is refused, and a note is still taken."""
    worker = bench.peer("worker-1")
    for end in ("done", "failed"):
        before = worker.op("progress", task=end, state=end, percent=60)
        assert worker.op("progress", task=end, percent=70)["code"] == "E_TASK_ENDED"
        assert worker.op("task_show", task=end)["percent"] == before["percent"]
        assert worker.op("progress", task=end, note="see #7")["state"] == end
        again = worker.op("progress", task=end, state="started", percent=70)
        assert (again["state"], again["percent"]) == ("started", 70)


def test_who_loses_a_task_is_told(bench: Bench) -> None:
    """By a message or by `progress`; who gets it by `progress` too; nobody of what it did itself, nor of ended ones."""
    planner, one, two = (bench.peer(name) for name in ("planner", "worker-1", "worker-2"))
    planner.send("worker-1", "[task:T] Lexer")
    planner.send("worker-2", "[task:T] Lexer")
    assert one.texts() == ["[task:T] Lexer", "Task T (Lexer) is not yours any more: worker-2 has it."]
    assert two.texts() == ["[task:T] Lexer"]
    one.op("progress", task="T", owner="worker-1")
    assert two.texts() == ["Task T (Lexer) is not yours any more: worker-1 has it."]
    planner.op("progress", task="T", owner="worker-2")
    assert one.texts() == ["Task T (Lexer) is not yours any more: worker-2 has it."]
    assert two.texts() == ["Task T (Lexer) is yours now, by planner."]
    two.op("progress", task="T", state="done")
    planner.op("progress", task="T", owner="worker-1")
    assert one.texts() == two.texts() == []


def test_the_tasks_of_a_peer_that_is_gone_are_blocked(bench: Bench) -> None:
    """Nobody has them, who gave them hears it, and they can be given again; ended ones stay as they are."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    planner.send("worker-1", "[task:A] Lexer\n[task:B] Parser\n[task:C] Printer")
    worker.op("progress", task="A", percent=40)
    worker.op("progress", task="C", state="done")
    planner.take()
    retired = planner.op("retire", sessions=[{"id": "blue-worker-1", "token": "secret"}], reason="it was killed")
    assert retired == {"retired": ["blue-worker-1"]}
    rows = {row["id"]: (row["state"], row["owner"], row["percent"]) for row in planner.op("tasks")["tasks"]}
    assert rows == {"A": ("blocked", "", 40), "B": ("blocked", "", 0), "C": ("done", "worker-1", 100)}
    assert planner.texts()[-2:] == [
        "Task A (Lexer) is blocked: worker-1 is gone: it was killed",
        "Task B (Parser) is blocked: worker-1 is gone: it was killed",
    ]
    bench.crash()
    planner = bench.peer("planner")
    bench.peer("worker-1")
    planner.send("worker-1", "[task:A] Lexer")
    again = planner.op("task_show", task="A")
    assert (again["state"], again["owner"], again["note"]) == ("assigned", "worker-1", "")
