"""The seam between teams and terminal multiplexers.

A multiplexer holds one live terminal, a *surface*, per peer. Every call blocks for at most a few seconds and raises
`MultiplexerError` on refusal or time-out. A surface id is opaque and pinned at creation (tmux: `%3`); nothing here ever
addresses "the active pane". "The server is gone" is `states() is None`, never an empty mapping.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SurfaceSpec:
    """A surface to open: `argv` is exec'd directly, never typed into a shell."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    log: Path | None = None
    """File that receives every byte the program prints, from the first one on."""


@dataclass(frozen=True, slots=True)
class SurfaceState:
    """One look at a live surface.

    `pid` is the program started in it. `exit_status` is None while it lives; a death by signal N is 128 + N.
    """

    id: str
    pid: int
    is_dead: bool
    exit_status: int | None
    title: str
    command: str
    is_in_mode: bool


class Multiplexer(Protocol):
    """What every backend offers."""

    name: str

    def open(self, session: str, arrange: str, specs: Sequence[SurfaceSpec]) -> dict[str, str]:
        """Open surfaces and return name → surface id, in the order given.

        Joins what runs already: on a running server the surfaces are added to it. All or nothing: on failure what this
        call opened is closed again.
        """

    def states(self) -> dict[str, SurfaceState] | None:
        """Return every surface by id, or None when the server is gone."""

    def capture(self, surface: str, history: int = 0) -> str:
        """Return the visible screen as text, trailing blanks stripped, with up to `history` lines above it."""

    def paste(self, surface: str, text: str) -> None:
        """Leave copy mode and put `text` into the program as one bracketed paste; presses nothing."""

    def press_enter(self, surface: str) -> None:
        """Press Enter, and only Enter."""

    def show(self, surface: str, text: str) -> None:
        """Show one line to whoever watches the surface, without sending anything to the program."""

    def close(self, surface: str) -> None:
        """Close one surface; no error when it is gone."""

    def shutdown(self) -> None:
        """End our server and everything in it; idempotent, and nothing of it listens on return."""

    def server_pid(self) -> int | None:
        """Return the pid of the server process, None when there is none."""

    def attach_argv(self, surface: str | None = None) -> list[str]:
        """Return the command a person runs to watch, at `surface` if given."""
