"""The seam between teams and terminal multiplexers.

A multiplexer holds one live terminal, a *surface*, per peer. Every call blocks for at most a few seconds and raises
`MultiplexerError` on refusal or time-out: `E_SURFACE_GONE` when the surface is no more, `E_OUTCOME_UNKNOWN` when time
ran out and the call may have taken effect. A surface id is opaque and pinned at creation (tmux: `%3`); nothing here
ever addresses "the active pane". "The server is gone" is `states() is None`, never an empty mapping.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from intercom_mux.layout.model import Arrangement

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SurfaceSpec:
    """A surface to open: `argv` is exec'd directly, never typed into a shell.

    The program's environment is `environment.base_environment()` with `env` set and `unset` removed, plus what the
    multiplexer itself announces (tmux: TERM, TERM_PROGRAM*, TMUX, TMUX_PANE; SHELL and PWD) where neither names it.
    A program that cannot be exec'd ends with 127 (not found) or 126, after one line on its surface that says so. A busy
    kernel may drop what was printed just before the end: when the leader of a session ends, its terminal is emptied.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    log: Path | None = None
    """Is given every byte the program prints, from the first one on: a file in an existing directory, appended to,
    0600; or a named pipe, which is opened for reading too, so that it never breaks."""


@dataclass(frozen=True, slots=True)
class SurfaceState:
    """One look at a live surface.

    `pid` is the program started in it, known also after its death. `exit_status` is None while it lives, and for a
    dead one whose status is not known (yet); a death by signal N is 128 + N. `name` is the name given to `open`.
    `terminal` is filled in by team/terminal.py, never by a multiplexer.
    """

    id: str
    pid: int
    is_dead: bool
    exit_status: int | None
    title: str
    command: str
    is_in_mode: bool
    name: str = ""
    terminal: str = ""


class Multiplexer(Protocol):
    """What every backend offers."""

    name: str
    owns_server: bool
    """Whether the server is the team's own, to be ended with it; else it is the user's, and `server_pid` is None."""

    def open(self, session: str, arrange: str | Arrangement, specs: Sequence[SurfaceSpec]) -> dict[str, str]:
        """Open surfaces and return name → surface id, in the order given; a word is short for `Arrangement(word)`.

        Joins what runs already: on a running server the surfaces are added to it, and nobody's focus moves. All or
        nothing: on failure what this call opened is closed again.
        """

    def states(self) -> dict[str, SurfaceState] | None:
        """Return every surface by id, or None when the server is gone."""

    def capture(self, surface: str, history: int = 0) -> str:
        """Return the visible screen as text, trailing blanks stripped, with up to `history` lines above it."""

    def paste(self, surface: str, text: str) -> None:
        """Leave copy mode and put `typeable(text)` into the program as one bracketed paste; presses nothing.

        The paste is bracketed if the program asked for it. Refused on a dead or synchronised surface.
        """

    def press_enter(self, surface: str) -> None:
        """Leave copy mode and press Enter, and only Enter; refused as `paste` is."""

    def show(self, surface: str, text: str) -> None:
        """Show one line for a few seconds to whoever watches the surface, without sending anything to the program."""

    def ring(self) -> None:
        """Ring the terminal bell of everybody who watches; nothing reaches a program."""

    def mark(self, text: str) -> None:
        """Keep one short text in the status line of everybody who watches, "" to take it away."""

    def close(self, surface: str) -> None:
        """Close one surface; no error when it is gone."""

    def shutdown(self) -> None:
        """End our server and everything in it; idempotent, and nothing of it listens on return."""

    def server_pid(self) -> int | None:
        """Return the pid of the server process, None when there is none."""

    def attach_argv(self, surface: str | None = None) -> list[str]:
        """Return the command a person runs to watch, at `surface` if given."""


@runtime_checkable
class Respawning(Protocol):
    """A multiplexer that can start a program anew in a surface whose program has ended."""

    def respawn(self, surface: str, spec: SurfaceSpec) -> None:
        """Start `spec` in the dead `surface`, which keeps its place; its screen begins empty, its log goes on."""


def typeable(text: str) -> str:
    """Return `text` as it may be put into a terminal: LF line ends, no control character but tab and LF.

    C1 controls go as well (0x9b is CSI to some programs); lone surrogates become U+FFFD.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))
