"""What only tmux can get wrong: exec, environment, logs, modes, watchers, and servers that die."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.errors import MultiplexerError
from intercom_mux.mux import tmux_script
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.environment import base_environment
from intercom_mux.mux.process import wait_for_end
from intercom_mux.mux.tmux import TmuxMultiplexer
from tests.mux.conftest import ask_tmux, watching
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.mux.base import SurfaceState

PROGRAMS = Path(__file__).parent / "programs"
TMUX_SETS = {"TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "TMUX_PANE", "SHELL", "PWD", "COLORTERM"}
PANES = ("main-left", "main-top", "tiled", "columns", "rows")

HOSTILE = (
    "two words",
    "",
    ";",
    "ends;",
    "ends\\;",
    "-t",
    "--",
    "$HOME ${HOME} $(touch owned) `touch owned`",
    "#(touch owned) #{pane_id} ##[x] #[fg=red] #S %s %H %%",
    "~",
    'it\'s "quoted" \\ \\n \\101',
    "line\n   # two\n\tthree",
    "ünïcödé 漢字 👩‍💻",
    "{ brace } %if 1",
    os.fsdecode(b"not utf-8: \xff\xfe"),
)


class Dump:
    """A peer that writes down how it was started, and what it wrote."""

    def __init__(self, home: Path, name: str) -> None:
        self.file = home / f"{name}.json"
        self.argv = (sys.executable, str(PROGRAMS / "dump.py"), str(self.file))

    def seen(self) -> dict[str, object]:
        """Return argv (without the interpreter's three), env and cwd of the program."""
        wait_until(self.file.exists, what=f"{self.file}")
        raw = json.loads(self.file.read_text())
        env = (bytes.fromhex(entry).partition(b"=") for entry in raw["env"])
        return {
            "argv": [os.fsdecode(bytes.fromhex(word)) for word in raw["argv"]][3:],
            "env": {os.fsdecode(name): os.fsdecode(value) for name, _, value in env},
            "cwd": os.fsdecode(bytes.fromhex(raw["cwd"])),
        }

    def env(self) -> dict[str, str]:
        env = self.seen()["env"]
        assert isinstance(env, dict)
        return env


def state(mux: TmuxMultiplexer, surface: str) -> SurfaceState:
    states = mux.states()
    assert states is not None
    return states[surface]


def ended(mux: TmuxMultiplexer, surface: str) -> SurfaceState:
    """Return the state of a surface once its status is known."""
    wait_until(lambda: state(mux, surface).exit_status is not None, what="exit status")
    return state(mux, surface)


def expected(extra: dict[str, str], *without: str) -> dict[str, str]:
    """Return the environment a peer must have, without what tmux announces itself."""
    env = {**base_environment(), **extra}
    return {name: value for name, value in env.items() if name not in TMUX_SETS and name not in without}


def plain(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in TMUX_SETS}


# --- what a program is started with


def test_arguments_arrive_literally(tmux: TmuxMultiplexer, home: Path) -> None:
    """No shell, format or command parser ever reads an argument."""
    dump = Dump(home, "dump")
    tmux.open("team", "tiled", [SurfaceSpec("a", (*dump.argv, *HOSTILE), home)])
    assert dump.seen()["argv"] == list(HOSTILE)
    assert not list(home.rglob("owned"))


@pytest.mark.parametrize("name", ["with space", "$HOME;x", "it's\"", "a=b", "-dash", "#(touch owned)", "~x"])
def test_a_lone_program_is_not_given_to_a_shell(tmux: TmuxMultiplexer, home: Path, name: str) -> None:
    """An argv of one word is exec'd as that file, whatever its name."""
    program = home / "bin=dir" / name
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "ran with $#"\nexec sleep 100\n')
    program.chmod(0o700)
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", (str(program),), home)])
    wait_until(lambda: tmux.capture(opened["a"]) == "ran with 0", what="program's output")
    assert not list(home.rglob("owned"))


@pytest.mark.parametrize("arrange", ["tiled", "windows", "sessions"])
def test_the_environment_is_exact(
    tmux: TmuxMultiplexer, home: Path, monkeypatch: pytest.MonkeyPatch, arrange: str
) -> None:
    """Each peer has our environment with its own changes: none of a sibling's, and hostile values untouched."""
    monkeypatch.setenv("SHARED", "#(touch owned) $HOME; it's\n two")
    monkeypatch.setenv("DROPPED", "x")
    hostile = {f"V{number}": value for number, value in enumerate(HOSTILE)}
    dumps = [Dump(home, name) for name in "abc"]
    tmux.open(
        "team",
        arrange,
        [
            SurfaceSpec("a", dumps[0].argv, home, env={**hostile, "ONLY_A": "1"}, unset=("DROPPED", "NEVER_SET")),
            SurfaceSpec("b", dumps[1].argv, home, env={"SHARED": "b's"}),
            SurfaceSpec("c", dumps[2].argv, home),
        ],
    )
    assert plain(dumps[0].env()) == expected({**hostile, "ONLY_A": "1"}, "DROPPED")
    assert plain(dumps[1].env()) == expected({"SHARED": "b's"})
    assert plain(dumps[2].env()) == expected({})
    assert not list(home.rglob("owned"))


@pytest.mark.parametrize("arrange", ["tiled", "windows", "sessions"])
def test_a_later_open_uses_the_environment_of_now(
    tmux: TmuxMultiplexer, home: Path, monkeypatch: pytest.MonkeyPatch, arrange: str
) -> None:
    """On a running server, what was set, changed or removed since its start is so for new surfaces."""
    monkeypatch.setenv("CHANGED", "old\nOLD_LINE=1")
    monkeypatch.setenv("REMOVED", "old")
    dumps = [Dump(home, name) for name in "ab"]
    tmux.open("team", arrange, [SurfaceSpec("a", dumps[0].argv, home, env={"ONLY_A": "1"})])
    assert dumps[0].env()["REMOVED"] == "old"
    monkeypatch.setenv("CHANGED", "new\n#(touch owned)")
    monkeypatch.delenv("REMOVED")
    monkeypatch.setenv("ADDED", "-u")
    tmux.open("team", arrange, [SurfaceSpec("b", dumps[1].argv, home)])
    assert plain(dumps[1].env()) == expected({})
    assert dumps[1].env()["ADDED"] == "-u"


def test_a_peer_can_set_and_remove_what_tmux_announces(tmux: TmuxMultiplexer, home: Path) -> None:
    """A peer's own TERM, SHELL and TERM_PROGRAM win, in the first surface as in a later one."""
    dumps = [Dump(home, name) for name in "ab"]
    env = {"TERM": "xterm-256color", "SHELL": "/bin/false"}
    tmux.open(
        "team",
        "tiled",
        [
            SurfaceSpec(name, d.argv, home, env=env, unset=("TERM_PROGRAM",))
            for name, d in zip("ab", dumps, strict=True)
        ],
    )
    for dump in dumps:
        assert dump.env()["TERM"] == "xterm-256color"
        assert dump.env()["SHELL"] == "/bin/false"
        assert "TERM_PROGRAM" not in dump.env()
        assert dump.env()["TMUX"].startswith(f"{tmux.socket},")


def test_marks_of_a_parent_agent_do_not_leak(
    tmux: TmuxMultiplexer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers do not inherit that we run inside tmux, cmux, Claude or pi, unless their own environment says so."""
    claude = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT")
    for mark in ("TMUX", "TMUX_PANE", paths.IDENTITY_VARIABLE, *claude, "PI_SESSION", "CMUX_SURFACE_ID"):
        monkeypatch.setenv(mark, "parent")
    dumps = [Dump(home, name) for name in "ab"]
    tmux.open(
        "team",
        "tiled",
        [
            SurfaceSpec("a", dumps[0].argv, home, env={paths.IDENTITY_VARIABLE: "own"}),
            SurfaceSpec("b", dumps[1].argv, home),
        ],
    )
    assert dumps[0].env()[paths.IDENTITY_VARIABLE] == "own"
    assert "parent" not in dumps[0].env().values()
    assert "parent" not in dumps[1].env().values()


def test_values_never_stand_in_a_command_line(tmux: TmuxMultiplexer, home: Path) -> None:
    """A peer's environment is passed on stdin: no process of the server's family shows it to `ps`."""
    secret = "s3cr3t-value"
    seen: list[bytes] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(entry.read_bytes())
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        dump = Dump(home, "dump")
        tmux.open("team", "tiled", [SurfaceSpec("a", dump.argv, home, env={"TOKEN": secret})])
        assert dump.env()["TOKEN"] == secret
    finally:
        done.set()
        watcher.join()
    assert any(str(tmux.socket).encode() in line for line in seen)
    assert not any(secret.encode() in line for line in seen)


@pytest.mark.parametrize(
    "name", ["plain", "a #(touch owned) b", "%s %H", "#{pane_id}", "#[b]##[c]", ";'\"$x`", "漢", "-c", "new\nline"]
)
def test_the_directory_is_literal(tmux: TmuxMultiplexer, home: Path, name: str) -> None:
    """A program starts in exactly its directory, in the first surface and in a split one, symlinks kept in PWD."""
    real = home / "real" / name
    real.mkdir(parents=True)
    link = home / "link"
    link.symlink_to(home / "real")
    dumps = [Dump(home, key) for key in "ab"]
    tmux.open(
        "team", "tiled", [SurfaceSpec(key, dump.argv, link / name) for key, dump in zip("ab", dumps, strict=True)]
    )
    for dump in dumps:
        assert dump.seen()["cwd"] == str(real)
        assert dump.env()["PWD"] == str(link / name)
    assert not list(home.rglob("owned"))


def test_a_nul_is_refused_before_anything_starts(tmux: TmuxMultiplexer, home: Path) -> None:
    """What no program can be given is refused by name."""
    with pytest.raises(MultiplexerError, match="NUL"):
        tmux.open("team", "tiled", [SurfaceSpec("a", ("cat", "a\0b"), home)])
    assert tmux.states() is None


# --- how programs end


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


# --- what programs print


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


# --- arrangements


@pytest.mark.parametrize("count", [12, 40])
@pytest.mark.parametrize("arrange", [*PANES, "windows", "sessions"])
def test_many_peers_fit(tmux: TmuxMultiplexer, home: Path, arrange: str, count: int) -> None:
    """A large team opens at once and grows, each surface with room to work."""
    names = [f"p{number}" for number in range(count)]
    opened = tmux.open("team", arrange, [SurfaceSpec(name, ("sleep", "100"), home) for name in names[:-2]])
    opened |= tmux.open("team", arrange, [SurfaceSpec(name, ("sleep", "100"), home) for name in names[-2:]])
    assert list(opened) == names
    sizes = ask_tmux(tmux, "list-panes", "-a", "-F", "#{pane_width} #{pane_height}")
    assert len(sizes) == count
    assert all(int(width) >= 80 and int(height) >= 11 for width, height in map(str.split, sizes))


def test_names_of_sessions_windows_and_panes(new_tmux: Callable[[], TmuxMultiplexer], home: Path) -> None:
    """Panes share a window named after the team; windows and sessions are named after their peers."""
    specs = [SurfaceSpec(name, ("cat",), home) for name in ("lead", "w.1")]
    shape = {}
    for arrange in ("columns", "windows", "sessions"):
        mux = new_tmux()
        mux.open("my.team:1", arrange, specs)
        shape[arrange] = ask_tmux(
            mux, "list-panes", "-a", "-F", "#{session_name}|#{window_name}|#{pane_index}|#{@imux_peer}"
        )
    assert shape["columns"] == ["my_team_1|my.team_1|0|lead", "my_team_1|my.team_1|1|w.1"]
    assert shape["windows"] == ["my_team_1|lead|0|lead", "my_team_1|w.1|0|w.1"]
    assert shape["sessions"] == ["my_team_1-lead|lead|0|lead", "my_team_1-w_1|w.1|0|w.1"]


def test_the_main_pane_has_half_of_the_window(tmux: TmuxMultiplexer, home: Path) -> None:
    """In main-left the first peer stands left over the full height; a peer that joins does not move it."""
    for names in ("abc", "de"):
        tmux.open("team", "main-left", [SurfaceSpec(name, ("cat",), home) for name in names])
        first, *others = ask_tmux(
            tmux, "list-panes", "-a", "-F", "#{@imux_peer} #{pane_left} #{pane_at_bottom} #{pane_width} #{window_width}"
        )
        name, left, at_bottom, width, whole = first.split()
        assert (name, left, at_bottom) == ("a", "0", "1")
        assert int(whole) * 0.45 <= int(width) <= int(whole) * 0.55
        assert {line.split()[1] for line in others} == {str(int(width) + 1)}
    assert [line.split()[0] for line in others] == ["b", "c", "d", "e"]


def test_hostile_names_are_inert(tmux: TmuxMultiplexer, home: Path) -> None:
    """A name can reach a border or a session, and is never run or expanded there."""
    hostile = "#(touch owned) #{pane_id}; x"
    opened: list[str] = []
    for arrange in ("tiled", "windows", "sessions"):
        opened += tmux.open(hostile, arrange, [SurfaceSpec(f"{hostile}{arrange}", ("cat",), home)]).values()
    with watching(tmux.attach_argv(opened[0])) as watcher:
        wait_until(lambda: b"touch owned" in watcher.output, what="the name in the border")
    assert state(tmux, opened[0]).name == f"{hostile}tiled"
    assert not [path for root in (home, Path.cwd(), Path("/")) for path in root.glob("owned")]


def test_panes_of_a_person_are_joined_not_touched(tmux: TmuxMultiplexer, home: Path) -> None:
    """A split and a window that a person made stay, and peers can still join, all in the team's window."""
    first = tmux.open("team", "main-left", [SurfaceSpec("a", ("cat",), home)])
    ask_tmux(tmux, "split-window", "-t", first["a"], "sleep 100")
    ask_tmux(tmux, "new-window", "-t", "=team:", "sleep 100")
    second = tmux.open("team", "main-left", [SurfaceSpec("b", ("cat",), home)])
    rows = ask_tmux(tmux, "list-panes", "-a", "-F", "#{window_index} #{pane_id} #{@imux_peer}.")
    assert [row.split()[0] for row in rows] == ["0", "0", "0", "1"]
    assert f"0 {second['b']} b." in rows
    for surface in (*first.values(), *second.values()):
        tmux.close(surface)
    third = tmux.open("team", "main-left", [SurfaceSpec(name, ("cat",), home) for name in "cd"])
    assert {state(tmux, surface).name for surface in third.values()} == {"c", "d"}


def test_a_failure_half_way_takes_everything_back(
    tmux: TmuxMultiplexer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one step fails, what this call opened is gone, what ran before still runs.

    The failing step is added to the real commands: no input is known that fails half-way.
    """
    with monkeypatch.context() as broken:
        _break_last_step(broken)
        with pytest.raises(MultiplexerError):
            tmux.open("team", "tiled", [SurfaceSpec(name, ("cat",), home) for name in "ab"])
        assert tmux.states() is None
    first = tmux.open("team", "tiled", [SurfaceSpec(name, ("cat",), home) for name in "ab"])
    _break_last_step(monkeypatch)
    for arrange in ("tiled", "windows", "sessions"):
        with pytest.raises(MultiplexerError):
            tmux.open("team", arrange, [SurfaceSpec(name, ("cat",), home) for name in "cd"])
        assert set(tmux.states() or ()) == set(first.values())
    assert ask_tmux(tmux, "show-options", "-w", "-t", first["a"], "window-size") == []


def _break_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmux_script.script
    monkeypatch.setattr(tmux_script, "script", lambda commands: whole([*commands, ["kill-pane", "-t", "%999"]]))


# --- typing


@pytest.fixture
def raw(tmux: TmuxMultiplexer, home: Path) -> tuple[str, Path]:
    """A surface whose program reads raw bytes with bracketed paste on, and the file it records them in."""
    record = home / "record"
    argv = (sys.executable, str(PROGRAMS / "raw_reader.py"), str(record))
    opened = tmux.open("team", "tiled", [SurfaceSpec("raw", argv, home), SurfaceSpec("other", ("cat",), home)])
    wait_until(lambda: tmux.capture(opened["raw"]) == "ready", what="the reader")
    return opened["raw"], record


def recorded(record: Path, ending: bytes) -> bytes:
    wait_until(lambda: record.read_bytes().endswith(ending), what=f"record ending with {ending!r}")
    return record.read_bytes()


@pytest.mark.parametrize("text", [*(text for text in HOSTILE if text and text.isprintable()), "a\tb\n\nc;", "[201~"])
def test_a_paste_is_one_unit_and_literal(tmux: TmuxMultiplexer, raw: tuple[str, Path], text: str) -> None:
    """A program that asked for bracketed paste gets the whole text between one pair of marks, line feeds kept."""
    surface, record = raw
    tmux.paste(surface, text)
    assert recorded(record, b"\x1b[201~") == b"\x1b[200~" + text.encode() + b"\x1b[201~"


def test_a_paste_cannot_close_its_own_bracket(tmux: TmuxMultiplexer, raw: tuple[str, Path]) -> None:
    """ESC is dropped, so that sender text cannot leave the paste and press keys."""
    surface, record = raw
    tmux.paste(surface, "a\x1b[201~\rrm -rf\r\n\x00\x9b201~")
    assert recorded(record, b"\x1b[201~") == b"\x1b[200~a[201~\nrm -rf\n201~\x1b[201~"


def test_a_large_paste_arrives_whole(tmux: TmuxMultiplexer, raw: tuple[str, Path]) -> None:
    """200 KB of many lines arrive in order and complete."""
    surface, record = raw
    text = "\n".join(f"{number} ünï;" for number in range(20_000))
    assert len(text.encode()) > 200_000
    tmux.paste(surface, text)
    assert recorded(record, b"\x1b[201~") == b"\x1b[200~" + text.encode() + b"\x1b[201~"


def test_an_empty_paste_is_nothing(tmux: TmuxMultiplexer, raw: tuple[str, Path]) -> None:
    """Nothing is sent for text of which nothing is left."""
    surface, record = raw
    tmux.paste(surface, "")
    tmux.paste(surface, "\x1b\x00")
    tmux.press_enter(surface)
    assert recorded(record, b"\r") == b"\r"


def test_enter_is_one_carriage_return(tmux: TmuxMultiplexer, raw: tuple[str, Path]) -> None:
    """Enter is exactly one byte, for this surface only."""
    surface, record = raw
    tmux.press_enter(surface)
    tmux.press_enter(surface)
    assert recorded(record, b"\r\r") == b"\r\r"


@pytest.mark.parametrize("mode", ["copy-mode", "clock-mode", "choose-tree"])
def test_modes_are_left_before_typing(tmux: TmuxMultiplexer, raw: tuple[str, Path], mode: str) -> None:
    """Text and Enter reach the program although somebody scrolled back."""
    surface, record = raw
    ask_tmux(tmux, mode, "-t", surface)
    assert state(tmux, surface).is_in_mode
    tmux.paste(surface, "x")
    assert not state(tmux, surface).is_in_mode
    ask_tmux(tmux, mode, "-t", surface)
    tmux.press_enter(surface)
    assert recorded(record, b"\r") == b"\x1b[200~x\x1b[201~\r"


def test_nothing_is_typed_into_a_synchronised_pane(tmux: TmuxMultiplexer, home: Path) -> None:
    """While a person types to all panes at once, an Enter of ours would reach the others, and is refused."""
    opened = tmux.open("team", "tiled", [SurfaceSpec(name, ("cat",), home) for name in "ab"])
    ask_tmux(tmux, "set-option", "-w", "-t", opened["a"], "synchronize-panes", "on")
    _refuses_input(tmux, opened["a"], "synchronised")
    assert tmux.capture(opened["b"]) == ""


def test_a_dead_surface_refuses_and_the_server_survives(tmux: TmuxMultiplexer, home: Path) -> None:
    """Pasting into a pane whose program ended, which crashes tmux 3.3a, never gets that far."""
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", ("true",), home), SurfaceSpec("b", ("cat",), home)])
    ended(tmux, opened["a"])
    _refuses_input(tmux, opened["a"], "has ended")
    assert not state(tmux, opened["b"]).is_dead


def _refuses_input(mux: TmuxMultiplexer, surface: str, reason: str) -> None:
    with pytest.raises(MultiplexerError, match=reason) as caught:
        mux.press_enter(surface)
    assert caught.value.code == "E_SURFACE_BUSY"
    with pytest.raises(MultiplexerError, match=reason) as caught:
        mux.paste(surface, "x")
    assert caught.value.code == "E_SURFACE_BUSY"


def test_no_buffer_is_left(tmux: TmuxMultiplexer, home: Path) -> None:
    """Texts do not stay in tmux, whether the paste succeeded, was refused or had no target."""
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", ("true",), home), SurfaceSpec("b", ("cat",), home)])
    ended(tmux, opened["a"])
    tmux.paste(opened["b"], "x")
    for surface in (opened["a"], "%999"):
        with pytest.raises(MultiplexerError):
            tmux.paste(surface, "x")
    assert ask_tmux(tmux, "list-buffers") == []


# --- people who watch


def test_a_watcher_sees_notes_and_goes_on_seeing(tmux: TmuxMultiplexer, home: Path) -> None:
    """A note appears as it is, runs nothing, goes by itself, and the screen is not held up meanwhile."""
    argv = ("sh", "-c", "while :; do echo tick; sleep 0.05; done")
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", argv, home)])
    with watching(tmux.attach_argv(opened["a"])) as watcher:
        tmux.show(opened["a"], f"note #(touch {home}/owned) #[fg=red]#{{pane_id}}; it's %H\n\x1b[2J;")
        wait_until(lambda: b"it's %H [2J;" in watcher.output, what="the note")
        assert f"note #(touch {home}/owned) # [fg=red]#{{pane_id}}; it's %H".encode() in watcher.output
        seen = watcher.output.count(b"tick")
        wait_until(lambda: watcher.output.count(b"tick") > seen + 10, what="ticks while the note stands")
        border = "#{T:pane-border-format}"
        assert "note" in ask_tmux(tmux, "display-message", "-p", "-t", opened["a"], border)[0]
        gone = lambda: "note" not in ask_tmux(tmux, "display-message", "-p", "-t", opened["a"], border)[0]  # noqa: E731 - one use
        wait_until(gone, what="the note to go")
    assert not list(home.rglob("owned"))


def test_ringing_reaches_watchers_only(tmux: TmuxMultiplexer, home: Path) -> None:
    """The bell is heard at an attached terminal, and the program in the pane is sent nothing."""
    opened = tmux.open("team", "tiled", [SurfaceSpec("a", ("cat", "-v"), home)])
    with watching(tmux.attach_argv(opened["a"])) as watcher:
        before = watcher.output.count(b"\a")
        tmux.ring()
        wait_until(lambda: watcher.output.count(b"\a") > before, what="the bell")
        assert tmux.capture(opened["a"]) == ""


@pytest.mark.parametrize("arrange", ["tiled", "windows", "sessions"])
def test_attaching_lands_on_the_peer(tmux: TmuxMultiplexer, home: Path, arrange: str) -> None:
    """The command to watch selects session, window and pane of that peer."""
    opened = tmux.open("team", arrange, [SurfaceSpec(name, ("cat",), home) for name in "abc"])
    for name in "bca":
        with watching(tmux.attach_argv(opened[name])) as watcher:
            wait_until(partial(_is_watched, tmux, opened[name]), what="selected pane")
            watcher.type(b"typed")
            wait_until(partial(_shows, tmux, opened[name], "typed"), what="typed text")
        wait_until(lambda: not _watched(tmux), what="end of the client")


@pytest.mark.parametrize("arrange", ["main-left", "windows", "sessions"])
def test_the_focus_of_a_watcher_is_not_taken(tmux: TmuxMultiplexer, home: Path, arrange: str) -> None:
    """Opening, typing and showing elsewhere leave a watcher where it is, and what it types goes there."""
    opened = tmux.open("team", arrange, [SurfaceSpec(name, ("cat",), home) for name in "abc"])
    with watching(tmux.attach_argv(opened["b"])) as watcher:
        wait_until(lambda: _watched(tmux) == [opened["b"]], what="selected pane")
        later = tmux.open("team", arrange, [SurfaceSpec(name, ("cat",), home) for name in "de"])
        for surface in (opened["a"], later["e"]):
            tmux.paste(surface, "pasted")
            tmux.press_enter(surface)
            tmux.show(surface, "note")
        watcher.type(b"mine")
        wait_until(lambda: "mine" in tmux.capture(opened["b"]), what="typed text")
        assert _watched(tmux) == [opened["b"]]


def _shows(mux: TmuxMultiplexer, surface: str, text: str) -> bool:
    return text in mux.capture(surface)


def _is_watched(mux: TmuxMultiplexer, surface: str) -> bool:
    return _watched(mux) == [surface]


def _watched(mux: TmuxMultiplexer) -> list[str]:
    """Return the active pane of each attached client."""
    return ask_tmux(mux, "list-clients", "-F", "#{pane_id}")


# --- servers that come and go


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
