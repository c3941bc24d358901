"""How surfaces are arranged and named in windows of tmux."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux import tmux_script
from intercom_mux.mux.base import SurfaceSpec
from tests.mux.conftest import ask_tmux, watching
from tests.mux.surfaces import state
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.mux.tmux import TmuxMultiplexer

PANES = ("main-left", "main-top", "tiled", "columns", "rows")


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
