"""What tmux types for us, and what people who watch see and keep."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.base import SurfaceSpec
from tests.mux.conftest import ask_tmux, watching
from tests.mux.surfaces import HOSTILE, PROGRAMS, ended, state
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.mux.tmux import TmuxMultiplexer


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
