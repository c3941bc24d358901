"""What a program is started with: words, environment and directory, exactly."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.base import SurfaceSpec
from tests.mux.surfaces import HOSTILE, Dump, expected, plain
from tests.support import wait_until

if TYPE_CHECKING:
    from intercom_mux.mux.tmux import TmuxMultiplexer


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
