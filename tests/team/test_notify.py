"""Calling a person: when, and by what."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from intercom_mux import config
from intercom_mux.errors import IntercomError, LayoutError
from intercom_mux.mux.memory import MemoryMultiplexer
from intercom_mux.team import summary
from intercom_mux.team.alarm import REPEAT_S, STEADY_S, Alarm, Notice, of_asks, of_peers, of_tasks
from intercom_mux.team.daemon_screen import DaemonScreen
from intercom_mux.team.notice_rules import desktop_command, load, load_or_default
from intercom_mux.team.notify import Notifier, command
from intercom_mux.team.state import TeamState
from tests.cli.stage import run
from tests.support import wait_until
from tests.team.stage import CAT, SHELL, TUI, Stage, broker_pid

BLOCKED = of_peers({"a": "blocked:permission", "b": "idle"})
FREE = of_peers({"a": "thinking", "b": "idle"})
CALL = [Notice("blocked", "a", "blocked:permission")]


def task(task_id: str, state: str, percent: int = 0, **more: Any) -> dict[str, Any]:
    """Return a task as the broker tells it."""
    row = {"id": task_id, "title": "", "owner": "worker", "assigner": "boss", "note": "", "updated_at": 1}
    return {**row, "state": state, "percent": percent, **more}


def test_a_flicker_calls_nobody_and_a_block_calls_once() -> None:
    """Only what stands for a second counts, and only once however long it stands."""
    alarm = Alarm()
    assert alarm.due(BLOCKED, 0) == []
    assert alarm.due(FREE, STEADY_S / 2) == []
    assert alarm.due(BLOCKED, STEADY_S) == []
    assert alarm.due(BLOCKED, 2 * STEADY_S) == CALL
    assert alarm.due(of_peers({"a": "blocked:question"}), 1000) == []


def test_a_peer_calls_no_more_often_than_every_so_many_seconds() -> None:
    """The second block in a row is told when that time is over, if it still stands."""
    alarm = Alarm()
    alarm.due(BLOCKED, 0)
    assert alarm.due(BLOCKED, STEADY_S) == CALL
    alarm.due(FREE, STEADY_S + 1)
    alarm.due(BLOCKED, STEADY_S + 2)
    assert alarm.due(BLOCKED, STEADY_S + 4) == []
    assert alarm.due(BLOCKED, STEADY_S + REPEAT_S) == CALL


def test_each_kind_has_its_own_rate_and_what_came_meanwhile_is_one_call() -> None:
    """A task that ends is told at once although its owner was; three more in the next seconds are told together."""
    alarm = Alarm()
    crash = of_peers({"worker": "exited:1 · restart in 2 s"})
    assert alarm.due(crash, 0) == [Notice("crashed", "worker", "exited:1")]
    ended = [task("T1", "done", note="merged")]
    assert alarm.due(crash + of_tasks(ended), 1) == [Notice("task-done", "worker", "done: merged", "T1")]
    ended += [task(name, "done") for name in ("T2", "T3", "T4")]
    assert alarm.due(crash + of_tasks(ended), 2) == []
    assert alarm.due(crash + of_tasks(ended), 1 + REPEAT_S) == [Notice("task-done", "worker", "done", "T2, T3, T4")]
    assert alarm.due(crash + of_tasks(ended), 1000) == []


def test_what_calls_a_person() -> None:
    """A program that failed, not one that ended well or whose end is unknown; tasks in their last states or blocked."""
    statuses = {"a": "exited:0", "b": "exited:?", "c": "exited:137", "d": "exited:01"}
    assert [condition.peer for condition in of_peers(statuses)] == ["c", "d"]
    states = ("assigned", "started", "blocked", "done", "failed")
    about = of_tasks([task(state, state, owner="") for state in states])
    assert [condition.key for condition in about] == [
        (f"task-{state}", "boss", state) for state in ("blocked", "done", "failed")
    ]
    (notice,) = Alarm().due(of_asks("boss", {"m1": "worker", "m2": "scout"}), 0)
    assert notice.text == "asked by worker, asked by scout: it waits for an answer"


def test_what_stood_before_anybody_looked_calls_nobody() -> None:
    """After a restart of the daemon tasks that had ended are not told again, unless they end again."""
    alarm = Alarm()
    ended = of_tasks([task("T1", "failed")])
    alarm.skip(ended)
    assert alarm.due(ended, 0) == []
    assert alarm.due([], 1) == []
    assert alarm.due(ended, 2) == [Notice("task-failed", "worker", "failed", "T1")]


def test_what_became_of_a_task_since_the_team_began_calls_a_person_though_it_was_told_late() -> None:
    """The first tasks that are seen may have ended already; only those that had before it began call nobody."""
    mux = MemoryMultiplexer()
    team = TeamState("t-1", "t", Path("/"), Path("/t.yaml"), "memory", created_at=0)

    async def rings(tasks: list[dict[str, Any]]) -> int:
        Notifier(team, mux, since_ms=5).look({}, tasks)
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
        return mux.rings

    assert asyncio.run(rings([task("old", "done", updated_at=4)])) == 0
    assert asyncio.run(rings([task("old", "done", updated_at=4), task("new", "failed", updated_at=5)])) == 1


def test_the_team_in_short() -> None:
    """The status line tells who is blocked, how many tasks are done, and the one at work that was reported last."""
    tasks = [task("T1", "done", 100), task("T2", "started", 60, updated_at=3), task("T3", "started", 10, updated_at=2)]
    assert summary.mark({"a": "blocked:x", "b": "idle"}, tasks) == "1 blocked · 1/3 done · T2 60%"
    assert summary.mark({"a": "idle"}, []) == ""
    assert summary.fraction(tasks) == pytest.approx(170 / 300)
    assert summary.fraction([]) is None
    assert summary.line(task("T2", "started", 60, note="tests")) == "T2 started 60% · worker · tests"


def test_the_daemons_terminal_is_painted_on_change_only() -> None:
    """A heading, peers, tasks with the open ones first, control characters left out; nothing to what is no terminal."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out, no_terminal = Terminal(), io.StringIO()
    screen = DaemonScreen("team", out)
    tasks = [task("T1", "done", 100), task("T2", "started", 60, note="a\x1b[2Jb")]
    screen.look({"worker": "idle"}, tasks)
    painted = out.getvalue()
    screen.look({"worker": "idle"}, tasks)
    assert out.getvalue() == painted
    assert painted.removeprefix("\x1b[H\x1b[2J").splitlines() == [
        "team: 1/2 done · T2 60%",
        "worker  idle",
        "T2 started 60% · worker · a[2Jb",
        "T1 done · worker",
    ]
    DaemonScreen("team", no_terminal).look({"worker": "idle"}, tasks)
    assert no_terminal.getvalue() == ""


def test_desktop_notifications_are_off_by_default_and_need_a_program(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`[notify] desktop` turns them on; the first program on PATH is used, its words never options or script."""
    assert not load().desktop
    config.config_file().parent.mkdir(parents=True)
    config.config_file().write_text("[notify]\ndesktop = true\n")
    assert load().desktop
    config.config_file().write_text("[notify]\ndesktop = 1\n")
    with pytest.raises(IntercomError, match=r"notify\.desktop must be true or false"):
        load()
    assert not load_or_default().desktop
    monkeypatch.setenv("PATH", str(home))
    assert desktop_command("team: a", "x") == []
    for name, words in (("osascript", ["team: a", "-x"]), ("notify-send", ["--", "team: a", "-x"])):
        (home / name).touch(mode=0o755)
        assert desktop_command("team: a", "-x")[0] == name
        assert desktop_command("team: a", "-x")[-len(words) :] == words


def test_values_are_words_in_a_shell_text_and_plain_in_a_list() -> None:
    """What a screen or hook said is never run."""
    facts = {"peer": "a", "status": "blocked:$(rm x)", "team": "t"}
    assert command(["sh", "-c", "say {peer} {status}"], facts)[2] == "say a 'blocked:$(rm x)'"
    assert command(["say", "{team}/{peer}: {status}"], facts) == ["say", "t/a: blocked:$(rm x)"]


def test_the_layout_names_the_command_as_text_or_list(home: Path) -> None:
    """Text is for a shell; anything else is a fault with its place."""
    stage = Stage(home)
    stage.write({"a": {"command": ["cat"]}}, notify="say {peer}")
    assert stage.load().notify == ("sh", "-c", "say {peer}")
    stage.write({"a": {"command": ["cat"]}}, notify=["say", "{peer}"])
    assert stage.plan().notify == ("say", "{peer}")
    stage.write({"a": {"command": ["cat"]}}, notify={"a": 1})
    with pytest.raises(LayoutError, match="notify"):
        stage.load()


def test_a_blocked_peer_is_shown_and_the_command_runs(home: Path) -> None:
    """The status line counts it, the pane's border says so, the layout's command is told who and how."""
    stage = Stage(home)
    stage.install_tui("--state", "blocked")
    told = home / "told"
    try:
        stage.up({"worker": TUI}, wait_ready=False, notify=f"echo {{team}} {{peer}} {{status}} >> {told}")
        wait_until(told.exists, what="the command")
        wait_until(lambda: told.read_text() == "team worker blocked:permission\n", what="its words")
        wait_until(lambda: mark(stage) == "1 blocked", what="the mark")
        border = ("show-options", "-pqv", "-t", stage.surface("worker"), "@imux_note")
        wait_until(lambda: "waits for you" in stage.tmux(*border), what="the note on its border")
    finally:
        stage.down()


def test_the_desktop_is_told_by_its_own_program(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `[notify] desktop` a crash in a real team runs `notify-send` with team, peer and what happened."""
    config.config_file().parent.mkdir(parents=True)
    config.config_file().write_text("[notify]\ndesktop = true\n")
    told = home / "told"
    program = home / "bin" / "notify-send"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    stage = Stage(home)
    try:
        stage.up({"victim": {"command": ["sh", "-c", "read line; exit 3"]}}, wait_ready=False)
        stage.type("victim", "end")
        words = "--app-name=intercom-mux|--|team: victim|exited:3: it has crashed|"
        wait_until(lambda: told.exists() and told.read_text() == words, what="the desktop notification")
    finally:
        stage.down()


def test_tasks_crashes_and_asks_to_a_person_reach_the_command(home: Path) -> None:
    """In a real team each calls once, with its kind, peer and task, and the status line has the tasks in short."""
    stage = Stage(home)
    told = home / "told"
    peers = {"boss": SHELL, "worker": CAT, "victim": {"command": ["sh", "-c", "read line; exit 3"]}}
    try:
        notify = f"echo {{event}} {{peer}} {{status}} [{{task}}] >> {told}"
        stage.up(peers, wait_ready=False, notify=notify, supervisor="boss")
        with stage.member("worker") as worker:
            worker.progress("T1", percent=40, title="one")
            wait_until(lambda: mark(stage) == "0/1 done · T1 40%", what="the task's mark")
            worker.progress("T1", percent=100, note="merged")
            wait_until(lambda: mark(stage) == "1/1 done", what="the task's end")
            worker.ask_ticket("boss", "which one?")
        stage.type("victim", "end")
        expected = {
            "task-done worker done: merged [T1]",
            "supervisor boss asked by worker []",
            "crashed victim exited:3 []",
        }
        wait_until(lambda: told.exists() and set(told.read_text().splitlines()) == expected, what="all three")
    finally:
        stage.down()
    assert len(told.read_text().splitlines()) == len(expected)


def test_tasks_are_heard_of_again_after_the_broker_has_died(home: Path) -> None:
    """The daemon reconnects and takes up what has changed meanwhile."""
    stage = Stage(home)
    try:
        stage.up({"worker": CAT}, wait_ready=False)
        with stage.member("worker") as worker:
            worker.progress("T1", percent=40)
        wait_until(lambda: mark(stage) == "0/1 done · T1 40%", what="the task's mark")
        os.kill(broker_pid(), signal.SIGKILL)
        with stage.member("worker") as worker:
            worker.progress("T1", percent=70)
        wait_until(lambda: mark(stage) == "0/1 done · T1 70%", what="the change")
    finally:
        stage.down()


def mark(stage: Stage) -> str:
    """What the status line of the team's tmux shows."""
    return stage.tmux("show-options", "-gqv", "@imux_mark").rstrip("\n")


def test_send_wait_in_a_team_returns_once_the_agent_has_the_message(home: Path) -> None:
    """Exit code 0 means submitted, and `wait --until idle` then the end of its turn."""
    stage = Stage(home)
    stage.install_tui()
    try:
        stage.up({"worker": TUI})
        sent = run("send", "worker", "hi", "--wait", "20s")
        assert (sent.code, sent.out.split(" · ")[0]) == (0, "submitted to worker"), sent
        assert run("wait", "worker", "--until", "idle", "--timeout", "20s").code == 0
    finally:
        stage.down()


def test_nothing_is_typed_where_messages_start_no_turn(home: Path) -> None:
    """With `inbound: never` the message stays in the mailbox, and its sender is told why."""
    stage = Stage(home)
    stage.install_tui()
    config.config_file().write_text('[messages]\ninbound = "never"\n')
    try:
        stage.up({"worker": TUI})
        sent = run("send", "worker", "hi", "--wait", "1s", "--json")
        assert (sent.code, sent.json["error"]["code"]) == (11, "E_STILL_WAITING")
        assert sent.json["error"]["reason"].startswith("inbound: never")
        assert stage.inputs() == []
    finally:
        stage.down()
