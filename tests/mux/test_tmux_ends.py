"""How programs end under tmux, and what they print before."""

from __future__ import annotations

import os
import signal
import stat
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.base import SurfaceSpec
from tests.mux.surfaces import ended, state
from tests.support import wait_until

if TYPE_CHECKING:
    from intercom_mux.mux.tmux import TmuxMultiplexer


class Ending:
    """A way to end and the status that must be told."""

    def __init__(self, argv: tuple[str, ...], status: int) -> None:
        self.argv, self.status = argv, status


@pytest.mark.parametrize(
    "ending",
    [
        Ending(("true",), 0),
        Ending(("sh", "-c", "exit 3"), 3),
        Ending(("sh", "-c", "kill -KILL $$"), 128 + signal.SIGKILL),
        Ending(("sh", "-c", "kill -TERM $$"), 128 + signal.SIGTERM),
        Ending(("no-such-program-at-all",), 127),
        Ending(("/etc/passwd",), 126),
    ],
    ids=lambda ending: " ".join(ending.argv),
)
def test_the_exit_status_is_told(tmux: TmuxMultiplexer, home: Path, ending: Ending) -> None:
    """A dead surface stays, with its pid and the status of its program; 127 and 126 are programs that never ran."""
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", ending.argv, home), SurfaceSpec("b", ("cat",), home)])
    found = ended(tmux, opened["a"])
    assert (found.is_dead, found.exit_status) == (True, ending.status)
    assert found.pid > 0
    assert not state(tmux, opened["b"]).is_dead


def test_a_program_that_is_not_there_is_named_on_its_surface(tmux: TmuxMultiplexer, home: Path) -> None:
    """Who looks at the pane reads which program was not found; the kernel may drop it on one of several."""
    specs = [SurfaceSpec(name, ("no-such-program", "x"), home) for name in "abcdef"]
    opened = tmux.open("team", "tiled", specs)
    for surface in opened.values():
        ended(tmux, surface)

    def shown() -> bool:
        return any("no-such-program" in tmux.capture(surface, 10) for surface in opened.values())

    wait_until(shown, what="the name on a screen")


def test_no_death_is_missed(tmux: TmuxMultiplexer, home: Path) -> None:
    """The end of the only program of a server is told each time, which plain tmux 3.3a fails to in one of twenty."""
    for _ in range(30):
        opened = tmux.open("team", "tiled", [SurfaceSpec("a", ("sh", "-c", "exit 3"), home)])
        wait_until(partial(_has_status, tmux, opened["a"], 3), timeout_s=3, what="exit status")
        tmux.shutdown()


def _has_status(mux: TmuxMultiplexer, surface: str, status: int) -> bool:
    return state(mux, surface).exit_status == status


def test_a_killed_program_is_seen_under_its_first_pid(tmux: TmuxMultiplexer, home: Path) -> None:
    """The pid is the program's own, not a wrapper's, and stays known after its death."""
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", ("sleep", "100"), home)])
    pid = state(tmux, opened["a"]).pid
    wait_until(lambda: b"sleep\x00100" in Path(f"/proc/{pid}/cmdline").read_bytes(), what="exec of the program")
    os.kill(pid, signal.SIGINT)
    found = ended(tmux, opened["a"])
    assert (found.pid, found.exit_status) == (pid, 128 + signal.SIGINT)


def test_the_log_has_every_byte_from_the_first_on(tmux: TmuxMultiplexer, home: Path) -> None:
    """Twelve programs that print at once are logged whole, raw, into private files of any name.

    They live on: of one that ends with its output, tmux drops what the kernel had not yet passed on.
    """
    logs = [home / f"log #(touch owned) %H it's \"{number};$x\n{{a,b}}" for number in range(12)]
    argv = ("sh", "-c", r"printf '\033]0;t\007first\n'; seq 1 2000; printf last; exec cat")
    tmux.open("team", "tiled", [SurfaceSpec(f"p{number}", argv, home, log=log) for number, log in enumerate(logs)])
    whole = b"\x1b]0;t\x07first\r\n" + b"".join(b"%d\r\n" % number for number in range(1, 2001)) + b"last"
    for log in logs:
        wait_until(partial(_is_whole, log, whole), what="a whole log")
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert not list(home.rglob("owned"))


def _is_whole(log: Path, whole: bytes) -> bool:
    assert whole.startswith(log.read_bytes())
    return log.read_bytes() == whole


def test_a_log_is_appended_to_and_made_private(tmux: TmuxMultiplexer, home: Path) -> None:
    """What an earlier run logged stays; a file open to others is closed to them."""
    log = home / "log"
    log.write_text("before\n")
    log.chmod(0o644)
    tmux.open("team", "tiled", [SurfaceSpec("a", ("sh", "-c", "echo after; exec cat"), home, log=log)])
    wait_until(lambda: log.read_text() == "before\nafter\n", what="appended log")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_log_is_not_written_through_a_symbolic_link(tmux: TmuxMultiplexer, home: Path) -> None:
    """A link in a log's place is refused."""
    (home / "link").symlink_to(home / "elsewhere")
    with pytest.raises(MultiplexerError, match="cannot write the log"):
        tmux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home, log=home / "link")])
    assert tmux.states() is None


@pytest.mark.parametrize("title", ["✳ Claude Code", "a|b #{pane_id} #(touch owned)", "⠂ x; 'y\" \\t", ""])
def test_a_program_sets_its_own_title(
    tmux: TmuxMultiplexer, home: Path, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The title is the program's, in any locale of ours, and the peer's name stays beside it."""
    monkeypatch.setenv("LC_ALL", "C")
    argv = ("sh", "-c", r'printf "\033]2;%s\033\\" "$1"; cat', "sh", title)
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", argv, home)])
    wait_until(lambda: state(tmux, opened["a"]).title == title, what="title")
    assert state(tmux, opened["a"]).name == "a"
    assert not list(home.rglob("owned"))


def test_a_hostile_program_name_does_not_hide_a_surface(tmux: TmuxMultiplexer, home: Path) -> None:
    """A program that calls itself with tabs and newlines is still one line of state, its title its own."""
    argv = (
        sys.executable, "-c",
        "import os; os.execv('/bin/sh', ['x\\t1\\n%9\\t1', '-c', 'printf \"\\\\033]2;mine\\\\007\"; read x'])",
    )  # fmt: skip
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", argv, home)])
    wait_until(lambda: state(tmux, opened["a"]).title == "mine", what="title")
    assert set(tmux.states() or ()) == {opened["a"]}


def test_capture_reaches_back_into_history(tmux: TmuxMultiplexer, home: Path) -> None:
    """The screen alone ends with the last lines; with history the lines above are there too."""
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", ("sh", "-c", "seq 1 500; cat"), home)])
    wait_until(lambda: tmux.capture(opened["a"]).endswith("500"), what="last line")
    assert "\n400\n" not in tmux.capture(opened["a"])
    assert len(tmux.capture(opened["a"], 100).splitlines()) == len(tmux.capture(opened["a"]).splitlines()) + 100
    assert tmux.capture(opened["a"], 10_000).startswith("1\n2\n")
