"""The real board in a real tmux pane, beside a real team of demo agents."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import wait_until
from tests.team.stage import DEMO, Stage, broker_pid, end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Screen:
    """A terminal of 110 by 36 in a tmux server of its own, in which the board runs."""

    def __init__(self, home: Path, team: str) -> None:
        self._socket = home / "board.tmux"
        self.tmux("new-session", "-d", "-x", "110", "-y", "36", sys.executable, "-m", "intercom_mux", "watch", team)

    def tmux(self, *arguments: str) -> str:
        argv = ["tmux", "-f", "/dev/null", "-S", str(self._socket), *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def wait_for(self, *texts: str) -> str:
        def look() -> str:
            screen = self.tmux("capture-pane", "-p")
            return screen if all(text in screen for text in texts) else ""

        try:
            return wait_until(look, timeout_s=20, what=f"{texts} on the board")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tmux('capture-pane', '-p')}") from None

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def is_over(self) -> bool:
        argv = ["tmux", "-S", str(self._socket), "has-session"]
        return subprocess.run(argv, check=False, capture_output=True).returncode != 0

    def close(self) -> None:
        if not self.is_over():
            self.tmux("kill-server")


@pytest.fixture
def stage(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(home)
    monkeypatch.chdir(stage.project)
    stage.up({"boss": DEMO, "worker": DEMO})
    yield stage
    end_all_teams()


@pytest.fixture
def board(home: Path, stage: Stage) -> Iterator[Screen]:
    screen = Screen(home, "team")
    yield screen
    screen.close()


def test_the_board_follows_a_team_through_a_day(stage: Stage, board: Screen) -> None:
    """Peers, messages, tasks and screens show as they come; a key sends; a lost broker is told and found again."""
    board.wait_for("boss", "worker", "idle", "team  2 peers")
    with stage.member("boss") as boss:
        boss.send("worker", "look at the parser")
        board.wait_for("boss → worker  look at the parser")
        boss.progress("parser", percent=50, title="mend the parser")
    board.wait_for("50% mend the parser")

    board.press("Down")
    board.press("s")
    board.wait_for("send to worker")
    board.press("-l", "greetings from the board")
    board.press("Enter")
    board.wait_for("→ worker  greetings from the board", "delivered to worker")
    stage.wait_for("worker", "greetings from the board")
    board.press("2")
    board.wait_for("Screen worker")

    os.kill(stage.daemon_pid(), signal.SIGSTOP)
    try:
        os.kill(broker_pid(), signal.SIGKILL)
        board.wait_for("DISCONNECTED", "worker")
    finally:
        os.kill(stage.daemon_pid(), signal.SIGCONT)
    board.wait_for("team  2 peers")

    stage.up({"boss": DEMO, "worker": DEMO, "scout": DEMO})
    board.wait_for("scout", "team  3 peers")
    board.press("q")
    wait_until(board.is_over, what="the end of the board")


def test_the_heads_of_the_columns_follow_the_width(board: Screen) -> None:
    """Columns that left a narrow terminal come back with it, their heads included."""
    board.wait_for("waits for", "idle")
    board.tmux("resize-window", "-x", "40", "-y", "36")
    board.wait_for("unread  asks  task")
    board.tmux("resize-window", "-x", "100", "-y", "36")
    board.wait_for("waits for")


def test_a_pane_is_attached_to_and_left_again(board: Screen) -> None:
    """Enter gives the terminal to the team's tmux, at the chosen pane; detaching brings the board back."""
    board.wait_for("worker", "idle")
    board.press("Enter")
    board.wait_for("── boss ", "team 0:team")
    board.press("C-b", "d")
    board.wait_for("team  2 peers", "Attach")


def test_status_changes_and_a_team_that_goes_down(stage: Stage, board: Screen) -> None:
    """A peer whose program dies is shown so; when the team is down the board says it and stays."""
    board.wait_for("worker", "idle")
    os.kill(stage.pid("worker"), signal.SIGKILL)
    board.wait_for("exited")
    stage.down()
    board.wait_for("DISCONNECTED", "is down")


def test_the_board_in_a_pane_of_the_team(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`board: true` shows the others, answers as the supervisor, and tells who quits it how it comes back."""
    stage = Stage(home)
    monkeypatch.chdir(stage.project)
    try:
        stage.up({"worker": DEMO}, board=True, supervisor="board")
        stage.wait_for("board", "team  1 peer")
        with stage.member("worker") as worker:
            ask = str(worker.ask_ticket("board", "Which store?")["messageId"])
            stage.wait_for("board", "1 to answer: a")
            argv = ["tmux", "-S", str(stage.state.socket), "send-keys", "-t", stage.state.peers["board"].surface or ""]
            subprocess.run([*argv, "a"], check=True)
            stage.wait_for("board", "Enter sends")
            subprocess.run([*argv, "-l", "sqlite"], check=True)
            subprocess.run([*argv, "Enter"], check=True)
            wait_until(lambda: worker.result(ask)["reply"], what="the reply")
            assert worker.result(ask)["reply"]["text"] == "sqlite"
        subprocess.run([*argv, "q"], check=True)
        stage.wait_for("board", "`intercom-mux restart board` brings it back")
        stage.down()
        assert not stage.is_known
    finally:
        end_all_teams()
