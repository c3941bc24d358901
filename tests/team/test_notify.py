"""Calling a person: when, and by what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intercom_mux import config
from intercom_mux.errors import LayoutError
from intercom_mux.team.notify import REPEAT_S, STEADY_S, Alarm, command
from tests.cli.stage import run
from tests.support import wait_until
from tests.team.stage import TUI, Stage

if TYPE_CHECKING:
    from pathlib import Path

BLOCKED = {"a": "blocked:permission", "b": "idle"}
FREE = {"a": "thinking", "b": "idle"}


def test_a_flicker_calls_nobody_and_a_block_calls_once() -> None:
    """Only what stands for a second counts, and only once however long it stands."""
    alarm = Alarm()
    assert alarm.due(BLOCKED, 0) == []
    assert alarm.due(FREE, STEADY_S / 2) == []
    assert alarm.due(BLOCKED, STEADY_S) == []
    assert alarm.due(BLOCKED, 2 * STEADY_S) == ["a"]
    assert alarm.due(BLOCKED, 1000) == []
    assert alarm.blocked == {"a"}


def test_a_peer_calls_no_more_often_than_every_so_many_seconds() -> None:
    """The second block in a row is told when that time is over, if it still stands."""
    alarm = Alarm()
    alarm.due(BLOCKED, 0)
    assert alarm.due(BLOCKED, STEADY_S) == ["a"]
    alarm.due(FREE, STEADY_S + 1)
    alarm.due(BLOCKED, STEADY_S + 2)
    assert alarm.due(BLOCKED, STEADY_S + 4) == []
    assert alarm.due(BLOCKED, STEADY_S + REPEAT_S) == ["a"]


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
        wait_until(lambda: stage.tmux("show-options", "-gv", "@imux_mark") == "1 blocked\n", what="the mark")
        assert "waits for you" in stage.tmux("show-options", "-pv", "-t", stage.surface("worker"), "@imux_note")
    finally:
        stage.down()


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
