"""Servers of tmux that come, die, hang and go."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.process import wait_for_end
from intercom_mux.mux.tmux import TmuxMultiplexer
from tests.mux.conftest import ask_tmux
from tests.mux.surfaces import state
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_killed_server_is_gone_and_its_socket_is_cleared(tmux: TmuxMultiplexer, home: Path) -> None:
    """After SIGKILL of the server: no states, E_SURFACE_GONE, a shutdown that unlinks, and a team that opens again."""
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home)])
    pid = tmux.server_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: tmux.states() is None, what="loss of the server")
    assert tmux.server_pid() is None
    with pytest.raises(MultiplexerError) as caught:
        tmux.capture(opened["a"])
    assert caught.value.code == "E_SURFACE_GONE"
    assert tmux.socket.exists()
    tmux.open("team", "tiled", [SurfaceSpec("b", ("cat",), home)])
    again = tmux.server_pid()
    assert again is not None
    os.kill(again, signal.SIGKILL)
    tmux.shutdown()
    assert not tmux.socket.exists()


def test_shutdown_returns_when_the_server_and_its_socket_are_gone(tmux: TmuxMultiplexer, home: Path) -> None:
    """On return the process is gone, programs included that end on a hang-up, and nothing lies in the directory."""
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home)])
    pid, program = tmux.server_pid(), state(tmux, opened["a"]).pid
    tmux.shutdown()
    assert pid is not None
    assert wait_for_end(pid, 0)
    wait_until(lambda: wait_for_end(program, 0), what="end of the program")
    assert list(tmux.socket.parent.iterdir()) == []


def test_a_wedged_server_is_ended(tmux: TmuxMultiplexer, home: Path) -> None:
    """Calls on a stopped server give up in time and say that the outcome is unknown; shutdown ends it all the same."""
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home)])
    pid = tmux.server_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    quick = TmuxMultiplexer(tmux.socket, limit_s=0.3)
    begin = time.monotonic()
    for call in (quick.states, lambda: quick.paste(opened["a"], "x"), lambda: quick.press_enter(opened["a"])):
        with pytest.raises(MultiplexerError) as caught:
            call()
        assert caught.value.code == "E_OUTCOME_UNKNOWN"
    assert time.monotonic() - begin < 5
    assert quick.server_pid() == pid
    quick.shutdown()
    assert wait_for_end(pid, 0)
    assert quick.states() is None


def test_a_socket_nobody_listens_on_is_no_server(tmux: TmuxMultiplexer, home: Path) -> None:
    """A left-over socket file reads as gone, and does not stop a team from opening."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmux.socket))
    assert tmux.states() is None
    assert tmux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home)])


def test_a_team_opens_right_after_its_server_was_killed(tmux: TmuxMultiplexer, home: Path) -> None:
    """A server still on its way out is waited for."""
    for _ in range(10):
        tmux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home)])
        ask_tmux(tmux, "kill-server")
    assert tmux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home)])


def test_a_second_multiplexer_on_the_socket_sees_the_team(tmux: TmuxMultiplexer, home: Path) -> None:
    """A new process finds names, ids and pids of what runs."""
    opened = tmux.open("team", "tiled", [SurfaceSpec(name, ("cat",), home) for name in "ab"])
    found = TmuxMultiplexer(tmux.socket).states() or {}
    assert {state.name: key for key, state in found.items()} == opened
    assert {key: seen.pid for key, seen in found.items()} == {key: state(tmux, key).pid for key in found}


def test_two_servers_know_nothing_of_each_other(new_tmux: Callable[[], TmuxMultiplexer], home: Path) -> None:
    """Teams side by side have the same pane ids, and ending one leaves the other."""
    left, right = new_tmux(), new_tmux()
    opened = [mux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home)])["a"] for mux in (left, right)]
    left.paste(opened[0], "left only")
    wait_until(lambda: "left only" in left.capture(opened[0]), what="pasted text")
    assert right.capture(opened[1]) == ""
    left.shutdown()
    assert left.states() is None
    assert set(right.states() or ()) == {opened[1]}


def test_the_users_own_server_is_untouched(tmux: TmuxMultiplexer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from inside a user's tmux, with a tmux.conf of theirs: neither is used, read or changed."""
    monkeypatch.setenv("TMUX_TMPDIR", str(home))
    (home / ".tmux.conf").write_text("set -g status-left USERCONF\nset -s exit-empty on\n")
    user = ("tmux", "-S", str(home / "user"))
    subprocess.run([*user, "new-session", "-d", "-s", "mine", "cat"], check=True)

    def seen() -> bytes:
        look = [
            *user,
            "list-panes",
            "-a",
            ";",
            "show-options",
            "-g",
            ";",
            "show-environment",
            "-g",
            ";",
            "list-buffers",
        ]
        return subprocess.run(look, check=True, capture_output=True).stdout

    try:
        before = seen()
        pid = subprocess.run([*user, "display-message", "-p", "#{pid}"], check=True, capture_output=True).stdout.strip()
        monkeypatch.setenv("TMUX", f"{home}/user,{pid.decode()},0")
        monkeypatch.setenv("TMUX_PANE", "%0")
        opened = tmux.open("mine", "tiled", [SurfaceSpec("a", ("cat",), home)])
        tmux.paste(opened["a"], "x")
        tmux.press_enter(opened["a"])
        tmux.show(opened["a"], "note")
        assert "USERCONF" not in "".join(ask_tmux(tmux, "show-options", "-g"))
        tmux.close(opened["a"])
        tmux.shutdown()
        assert seen() == before
    finally:
        subprocess.run([*user, "kill-server"], check=True)


def test_the_server_holds_no_directory(tmux: TmuxMultiplexer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server stays nowhere but in the root, so that a project's directory can be removed or unmounted."""
    monkeypatch.chdir(home)
    tmux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home)])
    assert os.readlink(f"/proc/{tmux.server_pid()}/cwd") == "/"
