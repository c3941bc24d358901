"""What is particular to psmux, on the stand-in of each version that differs."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.errors import MultiplexerError
from intercom_mux.layout.model import ARRANGEMENTS, Arrangement, Leaf, Split, Window
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.choose import backends
from intercom_mux.mux.psmux import PsmuxMultiplexer
from intercom_mux.mux.psmux_client import namespace, psmux_version, run_psmux
from intercom_mux.mux.psmux_place import joining, steps
from intercom_mux.mux.psmux_record import launch_file, launch_word
from tests.mux.psmux_standin.psmux import NEWEST, PROFILES
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def sh(name: str, home: Path, script: str) -> SurfaceSpec:
    return SurfaceSpec(name, ("sh", "-c", script), home)


def printed(out: Path, text: str) -> bool:
    return text in out.read_text()


def ask(namespace: str, *command: str) -> list[str]:
    return run_psmux("psmux", namespace, command).stdout.splitlines()


@pytest.mark.parametrize("version", PROFILES)
def test_the_version_is_in_the_second_line(new_psmux: Callable[[str], Path], version: str) -> None:
    """psmux is told from a tmux by the line that names it, and chosen on Windows alone."""
    new_psmux(version)
    assert psmux_version() == tuple(map(int, version.split(".")))
    assert backends({}, "win32")[1].why == f"this is Windows, with psmux {version}"
    assert backends({}, "linux")[1].name == "tmux"


def test_another_program_and_none_are_refused(home: Path) -> None:
    """A tmux that is called psmux is none, and a missing one comes with the command that installs it."""
    other = home / "psmux"
    other.symlink_to(shutil.which("tmux") or "/usr/bin/tmux")
    for program, words in ((str(other), "is not psmux"), (str(home / "none"), "not installed")):
        with pytest.raises(MultiplexerError, match=words) as caught:
            psmux_version(program)
        assert "winget install" in str(caught.value.hint)


def test_no_call_is_made_without_a_namespace() -> None:
    """`kill-server` without one would end everybody's servers, so none is ever left out; a team's name is made fit."""
    for wrong in ("", "a b", "-x;"):
        with pytest.raises(ValueError, match="namespace"):
            run_psmux("psmux", wrong, ["kill-server"])
    assert namespace("tëam.1-0a1b2c3d") == "imux-t-am-1-0a1b2c3d"


def test_shutdown_leaves_the_other_namespaces(new_psmux: Callable[[str], Path], home: Path) -> None:
    """Of two teams and the user's own session, only the team that is ended goes; an old psmux is no exception."""
    new_psmux("3.3.8")
    subprocess.run(["psmux", "new-session", "-d", "-s", "mine", "cat"], check=True)
    one, two = (PsmuxMultiplexer(home / name, name) for name in ("one", "two"))
    for mux in (one, two):
        mux.open("team", "rows", [sh("a", home, "exec cat")])
    one.shutdown()
    assert one.states() is None
    assert len(two.states() or ()) == 1
    assert subprocess.run(["psmux", "has-session", "-t", "=mine"], check=False).returncode == 0


@pytest.mark.parametrize("version", ["3.3.8", NEWEST])
def test_a_death_has_its_status_though_psmux_says_0(new_psmux: Callable[[str], Path], home: Path, version: str) -> None:
    """Exit status, signal and a missing program are told; the surface stays with its last screen and takes no input."""
    new_psmux(version)
    mux = PsmuxMultiplexer(home / "surfaces", "team")
    specs = [
        sh("exit", home, "echo last words; sleep 0.1; exit 3"),
        sh("signal", home, "kill -9 $$"),
        SurfaceSpec("missing", ("/no/such",), home),
    ]
    opened = mux.open("team", "tiled", specs)
    wait_until(lambda: all(state.is_dead for state in (mux.states() or {}).values()), what="three deaths")
    states = mux.states() or {}
    assert [states[opened[spec.name]].exit_status for spec in specs] == [3, 137, 127]
    wait_until(lambda: "last words" in mux.capture(opened["exit"]), what="the last screen")
    with pytest.raises(MultiplexerError, match="has ended") as caught:
        mux.paste(opened["exit"], "x")
    assert caught.value.code == "E_SURFACE_BUSY"


def test_argv_and_environment_arrive_as_they_are(new_psmux: Callable[[str], Path], home: Path) -> None:
    """Nothing is quoted on the way: quotes, dollars, percents, line ends and spaces reach the program."""
    new_psmux("3.3.8")
    words = ("a b", '"q"', "'s'", "$HOME", "%PATH%", "`x`", "$(y)", "&", ";", "l1\nl2", "", "漢")
    out = home / "out"
    program = 'printf "%s\\0" "$@" "$VALUE" "$(pwd)" > "$0.new"; mv "$0.new" "$0"; exec cat'
    cwd = home / "a dir; $x"
    cwd.mkdir()
    spec = SurfaceSpec("a", ("sh", "-c", program, str(out), *words), cwd, {"VALUE": "v; \"w\" 'x' %y%"})
    PsmuxMultiplexer(home / "surfaces", "team").open("team", "rows", [spec])
    wait_until(out.exists, what="the words")
    assert out.read_text().split("\0")[:-1] == [*words, "v; \"w\" 'x' %y%", str(cwd)]


def test_a_paste_that_does_nothing_is_an_error(new_psmux: Callable[[str], Path], home: Path) -> None:
    """psmux 3.3.4 says 0 of a paste that never happens; that is found out on the screen."""
    new_psmux("3.3.4")
    mux = PsmuxMultiplexer(home / "surfaces", "team")
    opened = mux.open("team", "rows", [sh("a", home, "exec cat")])
    with pytest.raises(MultiplexerError, match="did not change") as caught:
        mux.paste(opened["a"], "hello")
    assert caught.value.code == "E_OUTCOME_UNKNOWN"


@pytest.mark.parametrize("version", ["3.3.8", NEWEST])
def test_a_paste_is_bracketed_when_asked_for(new_psmux: Callable[[str], Path], home: Path, version: str) -> None:
    """A program that turned bracketed paste on gets the marks, also around a text too long for a command line."""
    new_psmux(version)
    out = home / "out"
    script = f"stty raw -echo; printf '\\033[?2004hready'; tee {out}"
    mux = PsmuxMultiplexer(home / "surfaces", "team")
    opened = mux.open("team", "rows", [sh("a", home, script)])
    wait_until(lambda: "ready" in mux.capture(opened["a"]), what="the program")
    for text in ("short", "x" * 20_000):
        mux.paste(opened["a"], text)
        marked = f"\x1b[200~{text}\x1b[201~"
        wait_until(partial(printed, out, marked), what="the paste")


def test_a_closed_surface_is_never_mistaken_for_the_active_one(new_psmux: Callable[[str], Path], home: Path) -> None:
    """Where psmux acts on the active pane for want of the right one, nothing is sent to it at all."""
    new_psmux("3.3.8")
    mux = PsmuxMultiplexer(home / "surfaces", "team")
    opened = mux.open("team", "rows", [sh("a", home, "exec cat"), sh("b", home, "exec cat")])
    assert run_psmux("psmux", "team", ["send-keys", "-t", "team:@9.%99", "stray"]).returncode == 0
    wait_until(lambda: mux.capture(opened["a"]) == "stray", what="the stand-in's own fault")
    ask("team", "kill-pane", "-t", opened["b"])
    with pytest.raises(MultiplexerError) as caught:
        mux.press_enter(opened["b"])
    assert caught.value.code == "E_SURFACE_GONE"
    assert mux.capture(opened["a"]) == "stray"


def test_copy_mode_is_left_before_typing(new_psmux: Callable[[str], Path], home: Path) -> None:
    """A surface in copy mode is known as such, and takes text all the same."""
    new_psmux(NEWEST)
    mux = PsmuxMultiplexer(home / "surfaces", "team")
    opened = mux.open("team", "rows", [sh("a", home, "exec cat")])
    ask("team", "copy-mode", "-t", opened["a"])
    assert (mux.states() or {})[opened["a"]].is_in_mode
    mux.paste(opened["a"], "typed")
    wait_until(lambda: mux.capture(opened["a"]) == "typed", what="the text")


def test_many_peers_overflow_into_windows(new_psmux: Callable[[str], Path], home: Path) -> None:
    """Where a window has no room for one more row, the peer gets a window; the shares before are about even."""
    new_psmux("3.3.8")
    mux = PsmuxMultiplexer(home / "surfaces", "team")
    mux.open("team", "rows", [sh(f"p{number}", home, "exec cat") for number in range(4)])
    heights = [int(line) for line in ask("team", "list-panes", "-a", "-F", "#{pane_height}")]
    assert max(heights) - min(heights) <= 2
    ask("team", "resize-window", "-t", "team:", "-y", "7")
    mux.open("team", "rows", [sh("more", home, "exec cat")])
    assert len(set(ask("team", "list-panes", "-a", "-F", "#{window_id}"))) == 2


def test_a_team_can_be_opened_from_inside_psmux(
    new_psmux: Callable[[str], Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a surface of psmux has in its environment does not keep a session from being made."""
    new_psmux(NEWEST)
    monkeypatch.setenv("PSMUX_SESSION", "mine")
    assert PsmuxMultiplexer(home / "surfaces", "team").open("team", "rows", [sh("a", home, "exec cat")])


def test_the_launch_word_needs_no_quoting() -> None:
    """What the shell of psmux reads is one plain word; the script behind it quotes for cmd, once."""
    assert launch_word("win32") == ".\\launch.cmd"
    argv = [r"C:\Program Files\py%x.exe", "-I"]
    assert launch_file(argv, "t/a", "win32").splitlines()[1:] == [
        '@set "INTERCOM_MUX_IDENTITY=t/a"',
        '@"C:\\Program Files\\py%%x.exe" "-I"',
    ]
    assert launch_file(["a b"], None, "linux") == "#!/bin/sh\nexec 'a b'\n"


def test_a_tree_is_split_in_its_shares() -> None:
    """Regions are parted before what is in them, each split taking what is left of its region."""
    tree = Split("columns", (Leaf("a"), Split("rows", (Leaf("b"), Leaf("c")), ("25%", None))), ("40%", None))
    found = steps("team", Arrangement((Window("main", tree), Window("", Leaf("d")))), ["a", "b", "c", "d"])
    assert [(step.peer, step.beside, step.direction, step.percent, step.window) for step in found] == [
        ("a", None, "rows", 50, "main"),
        ("b", "a", "columns", 60, "b"),
        ("c", "b", "rows", 76, "c"),
        ("d", None, "rows", 50, "team"),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ARRANGEMENTS), st.integers(1, 30))
def test_every_peer_is_opened_once_beside_one_that_is_there(arrange: str, count: int) -> None:
    """Whatever the word and the number, each step splits what an earlier one opened; so does joining."""
    peers = [f"p-{number}" for number in range(count)]
    for there, found in (
        ([], steps("team", Arrangement(arrange), peers)),
        (["x"], joining(Arrangement(arrange), peers, ["x"])),
    ):
        known = list(there)
        for step in found:
            assert step.beside is None or step.beside in known
            assert 1 <= step.percent <= 99
            known.append(step.peer)
        assert sorted(known) == sorted([*there, *peers])


def test_what_is_shown_runs_no_format(new_psmux: Callable[[str], Path], home: Path) -> None:
    """A note cannot run a command by the format that it is."""
    new_psmux(NEWEST)
    mux = PsmuxMultiplexer(home / "surfaces", "team")
    opened = mux.open("team", "rows", [sh("a", home, "exec cat")])
    mux.show(opened["a"], f"#(touch {home}/ran) %H")
    assert mux.attach_argv(opened["a"])[:4] == ["psmux", "-L", "team", "attach-session"]
    assert not os.path.exists(home / "ran")
