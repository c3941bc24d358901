"""The mode of a terminal, of real programs on real terminals."""

from __future__ import annotations

import os
import pty
import signal
import sys
import termios
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from intercom_mux.agents.find import load_profiles
from intercom_mux.mux.base import SurfaceState
from intercom_mux.team import terminal
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def program() -> Iterator[tuple[int, int]]:
    """A program that does nothing, and our end of its terminal."""
    pid, ours = pty.fork()
    if pid == 0:
        os.execv("/bin/sleep", ["sleep", "600"])
    wait_until(lambda: psutil.Process(pid).name() == "sleep", what="the program")
    yield pid, ours
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ours)


def _set(ours: int, *, off: int = 0, output_off: int = 0) -> None:
    mode = termios.tcgetattr(ours)
    mode[1] &= ~output_off
    mode[3] &= ~off
    termios.tcsetattr(ours, termios.TCSANOW, mode)


def test_only_a_line_editors_mode_is_a_prompt(program: tuple[int, int]) -> None:
    """Line mode is none, nor is a hidden password, nor what a program sets that takes the whole terminal."""
    pid, ours = program
    assert terminal.mode(pid) == ""
    _set(ours, off=termios.ECHO)
    assert terminal.mode(pid) == ""
    _set(ours, off=termios.ECHO | termios.ICANON | termios.ISIG)
    assert terminal.mode(pid) == terminal.PROMPT
    _set(ours, output_off=termios.OPOST)
    assert terminal.mode(pid) == ""


def test_a_real_line_editor_is_at_its_prompt_until_it_works() -> None:
    """A shell with readline is while it waits for a line, and not while its program runs."""
    pid, ours = pty.fork()
    if pid == 0:
        os.execv("/bin/bash", ["bash", "--norc", "-i"])
    try:
        wait_until(lambda: terminal.mode(pid) == terminal.PROMPT, what="the prompt")
        os.write(ours, b"sleep 600\n")
        wait_until(lambda: [each.name() for each in psutil.Process(pid).children()] == ["sleep"], what="the work")
        assert terminal.mode(pid) == ""
        os.write(ours, b"\x03")
        wait_until(lambda: terminal.mode(pid) == terminal.PROMPT, what="the prompt again")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ours)


def test_what_has_no_terminal_is_at_no_prompt(monkeypatch: pytest.MonkeyPatch, program: tuple[int, int]) -> None:
    """Nor what is gone, nor any on Windows, which has no terminals of this kind."""
    pid, ours = program
    assert terminal.mode(2**22 + 1) == ""
    _set(ours, off=termios.ECHO | termios.ICANON)
    monkeypatch.setattr(sys, "platform", "win32")
    assert terminal.mode(pid) == ""


def test_it_is_looked_at_only_for_a_profile_that_asks(program: tuple[int, int]) -> None:
    """For others the state stays as the multiplexer gave it, and so does that of a dead program."""
    pid, ours = program
    _set(ours, off=termios.ECHO | termios.ICANON)
    profiles = load_profiles([])
    state = SurfaceState("%1", pid, False, None, "", "", False)
    assert terminal.with_terminal(profiles["aider"], state).terminal == terminal.PROMPT
    assert terminal.with_terminal(profiles["claude"], state) is state
    dead = replace(state, is_dead=True)
    assert terminal.with_terminal(profiles["aider"], dead) is dead
