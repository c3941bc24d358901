"""What a test can do with surfaces in memory, beyond the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.memory import MemoryMultiplexer, MemorySurface

if TYPE_CHECKING:
    from pathlib import Path


def test_a_program_can_be_played(home: Path) -> None:
    """A test answers Enter, sets the title and ends the program; the multiplexer reports it as a real one would."""
    mux = MemoryMultiplexer()
    key = mux.open("team", "tiled", [SurfaceSpec("a", ("/bin/agent", "-x"), home)])["a"]
    surface = mux.surfaces[key]

    def answer(self: MemorySurface) -> None:
        self.screen += f"got {self.pasted[-1]}"
        self.title = "busy"

    surface.on_enter = answer
    surface.is_in_mode = True
    mux.paste(key, "hello")
    mux.press_enter(key)
    mux.show(key, "a\nnote")
    assert mux.capture(key) == "hello\ngot hello"
    assert (surface.enters, surface.notes) == (1, ["a note"])
    states = mux.states()
    assert states is not None
    assert (states[key].title, states[key].command, states[key].is_in_mode) == ("busy", "agent", False)


def test_a_dead_program_takes_no_input(home: Path) -> None:
    """After `exit` the surface stays with its status and refuses to be typed into."""
    mux = MemoryMultiplexer()
    key = mux.open("team", "tiled", [SurfaceSpec("a", ("agent",), home)])["a"]
    mux.surfaces[key].exit(3)
    states = mux.states()
    assert states is not None
    assert (states[key].is_dead, states[key].exit_status) == (True, 3)
    with pytest.raises(MultiplexerError, match="has ended") as caught:
        mux.press_enter(key)
    assert caught.value.code == "E_SURFACE_BUSY"
