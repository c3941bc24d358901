"""What a layout says, after loading and expansion. Pure data; imported by every later stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ARRANGEMENTS = ("main-left", "main-top", "tiled", "columns", "rows", "windows", "sessions")
"""Accepted values of `arrange`: the first five are panes of one window."""

MULTIPLEXERS = ("auto", "tmux")
"""Accepted values of `mux`."""

SCOPES = ("shared", "isolated")
"""Accepted values of `scope`."""

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}"
"""What a peer or a team may be called, as a full match."""

NAME_RULE = "letters, digits, dot, dash and underscore, at most 48, a letter or digit first"
"""`NAME_PATTERN` in words."""

VARIABLE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"
"""What an environment or layout variable may be called, as a full match."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a layout file; line and column count from 1."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """One peer to run; a `count: 2` entry has become two of these.

    Attributes:
        name: Unique in the layout, case-insensitively; matches `NAME_PATTERN`.
        role: Any word; the text shown and matched by `--role`.
        agent: Profile name or "auto"; None when `command` is given.
        command: argv to exec instead of an agent; None when `agent` is given.
        cwd: Absolute, symlinks kept; for `reference: DIR` that directory. Its existence is the preflight's business.
        env: Extra environment, values fully expanded.
        prompt: First prompt text, from `prompt: text` or read from `prompt: {file: …}`.
        is_reference: True when `reference:` declared another codebase on purpose.
        mark: Where the peer is written, for messages.
    """

    name: str
    role: str
    agent: str | None
    command: tuple[str, ...] | None
    cwd: Path
    mark: Mark
    env: Mapping[str, str] = field(default_factory=dict)
    prompt: str | None = None
    model: str | None = None
    is_reference: bool = False
    trust: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole layout, ready to be planned.

    Attributes:
        name: Team name, same pattern as peer names.
        path: The file it came from.
        project: Absolute real path of the project directory; with `name` the team's identity.
        peers: In file order, at least one.
        supervisor: Name of a peer, or None.
    """

    name: str
    path: Path
    project: Path
    mux: str
    arrange: str
    peers: tuple[PeerSpec, ...]
    supervisor: str | None = None
    isolated: bool = False
