"""What a layout says, after loading and expansion. Pure data; imported by every later stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ARRANGEMENTS = ("main-left", "main-top", "tiled", "columns", "rows", "windows", "sessions")
"""Accepted values of `arrange`: the first five are panes of one window."""

BOARD = "board"
"""Name and role of the peer that `board: true` stands for."""

MULTIPLEXERS = ("auto", "tmux", "cmux", "psmux")
"""Accepted values of `mux`."""

SCOPES = ("shared", "isolated")
"""Accepted values of `scope`."""

KEEP = ("if-changed", "always", "never")
"""Accepted values of a worktree's `keep`."""

RESTARTS = ("no", "on-failure", "always")
"""Accepted values of `restart`."""

CONDITIONS = ("started", "ready", "exited-ok")
"""Accepted values in `depends_on`."""

ON_FAILURE = ("abort", "warn")
"""Accepted values of a command's `on_failure`."""

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}"
"""What a peer or a team may be called, as a full match."""

NAME_RULE = "letters, digits, dot, dash and underscore, at most 48, a letter or digit first"
"""`NAME_PATTERN` in words."""

VARIABLE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"
"""What an environment or layout variable may be called, as a full match."""


class Mark(NamedTuple):
    """A place in a layout file; line and column count from 1."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Leaf(NamedTuple):
    """The surface of one peer."""

    peer: str


class Split(NamedTuple):
    """Children side by side ("columns") or one above the other ("rows").

    `sizes` has one entry per child: "40%" of the whole, "30" cells, or None for an equal share of what is left.
    """

    direction: Literal["columns", "rows"]
    children: tuple[Node, ...]
    sizes: tuple[str | None, ...]


Node = Leaf | Split


class Window(NamedTuple):
    """One window of panes; the `name` "" is that of the team."""

    name: str
    node: Node


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where the surfaces of a team stand.

    Attributes:
        kind: One of `ARRANGEMENTS`, or windows in which each peer stands once.
        focus: The peer that whoever watches first looks at; None for the multiplexer's own choice.
    """

    kind: str | tuple[Window, ...] = "main-left"
    focus: str | None = None

    def to_json(self) -> Any:
        """Return JSON-ready data; a plain word is itself."""
        if isinstance(self.kind, str):
            return self.kind if self.focus is None else {"kind": self.kind, "focus": self.focus}
        windows = [{"name": window.name, "node": _node_json(window.node)} for window in self.kind]
        return {"kind": windows, "focus": self.focus}

    @classmethod
    def of(cls, value: Any) -> Arrangement:
        """Return the arrangement that `to_json` gave; one that is one already is returned as it is."""
        if isinstance(value, Arrangement):
            return value
        if isinstance(value, str):
            return cls(value)
        kind = value["kind"]
        if isinstance(kind, str):
            return cls(kind, value["focus"])
        return cls(tuple(Window(each["name"], _node(each["node"])) for each in kind), value["focus"])

    def __str__(self) -> str:
        """Return it as `arrange` has it, on one line."""
        if isinstance(self.kind, str):
            return self.kind
        return "; ".join(f"{window.name}: {_told(window.node)}".removeprefix(": ") for window in self.kind)


def leaves(node: Node) -> Iterator[str]:
    """Yield the peers of a window in reading order."""
    if isinstance(node, Leaf):
        yield node.peer
        return
    for child in node.children:
        yield from leaves(child)


def _node_json(node: Node) -> Any:
    if isinstance(node, Leaf):
        return node.peer
    return {node.direction: [_node_json(child) for child in node.children], "sizes": list(node.sizes)}


def _node(value: Any) -> Node:
    if isinstance(value, str):
        return Leaf(value)
    direction: Literal["columns", "rows"] = "columns" if "columns" in value else "rows"
    return Split(direction, tuple(map(_node, value[direction])), tuple(value["sizes"]))


def _told(node: Node) -> str:
    if isinstance(node, Leaf):
        return node.peer
    pairs = zip(node.children, node.sizes, strict=True)
    return f"{node.direction}({', '.join(_told(child) + (f' {size}' if size else '') for child, size in pairs)})"


class Command(NamedTuple):
    """A command of the layout itself; `argv` is exec'd, text has become `sh -c`.

    Attributes:
        cwd: Absolute directory; None for the directory that belongs to it (the project, or the worktree).
        timeout_s: Seconds until it is ended.
        on_failure: One of `ON_FAILURE`: abort what it belongs to, or warn and go on.
    """

    argv: tuple[str, ...]
    cwd: Path | None = None
    timeout_s: int = 600
    on_failure: str = "abort"


class Worktree(NamedTuple):
    """A git worktree of its own for a peer.

    Attributes:
        branch: With {peer} and {team} to be replaced; None for the default.
        base: What the branch starts from; None for the present HEAD.
        setup: Run in it after it was made; None for nothing.
        keep: What `down` does with it, one of `KEEP`; uncommitted work is never removed.
    """

    branch: str | None = None
    base: str | None = None
    setup: Command | None = None
    keep: str = "if-changed"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A peer that has to be so far before another one starts; `condition` is one of `CONDITIONS`."""

    peer: str
    condition: str = "ready"


@dataclass(frozen=True, slots=True)
class Restart:
    """Whether a peer whose program ended is started again: one of `RESTARTS`.

    It waits `backoff_s` seconds before the first time, twice as long before each further one, up to `max_retries`.
    """

    policy: str = "no"
    max_retries: int = 5
    backoff_s: int = 1


class Resources(NamedTuple):
    """Hints for the operating system: `nice` from 0 to 19, `memory_mb` of data that each process may allocate."""

    nice: int | None = None
    memory_mb: int | None = None


_NO_HINTS = Resources()


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """One peer to run; a `count: 2` entry has become two of these.

    Attributes:
        name: Unique in the layout, case-insensitively; matches `NAME_PATTERN`.
        role: Any word; the text shown and matched by `--role`.
        agent: Profile name or "auto"; None when `command` is given.
        command: argv to exec instead of an agent; None when `agent` is given.
        cwd: Absolute, symlinks kept; for `reference: DIR` that directory. Its existence is the preflight's business.
        env: Extra environment, values fully expanded, those of `env_file` included.
        prompt: First prompt text, from `prompt: text` or read from `prompt: {file: …}`.
        is_reference: True when `reference:` declared another codebase on purpose.
        trust: Whether the agent's question if it may trust the directory is answered in advance.
        mark: Where the peer is written, for messages.
        entry: The name in the file, before `count`.
        depends_on: Peers by their final names.
        is_board: True for the peer that `board: true` stands for.
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
    entry: str = ""
    worktree: Worktree | None = None
    depends_on: tuple[Dependency, ...] = ()
    restart: Restart = Restart()
    resources: Resources = _NO_HINTS
    is_board: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole layout, ready to be planned.

    Attributes:
        name: Team name, same pattern as peer names.
        path: The file it came from.
        project: Absolute real path of the project directory; with `name` the team's identity.
        peers: In file order, at least one.
        supervisor: Name of a peer, or None.
        agents: The layout's own agent profiles by name, as raw data that was checked (docs/agents.md).
        notify: argv of what each notice runs, with {event}, {peer}, {status}, {task} and {team}; empty for nothing.
        secrets: Names of variables whose values are masked in what is recorded and shown.
        before_up: Run one after the other; so are the other two.
        notices: What `validate` and `up` tell about the file though it is right.
    """

    name: str
    path: Path
    project: Path
    mux: str
    arrange: Arrangement
    peers: tuple[PeerSpec, ...]
    supervisor: str | None = None
    isolated: bool = False
    agents: Mapping[str, Any] = field(default_factory=dict)
    notify: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    before_up: tuple[Command, ...] = ()
    after_up: tuple[Command, ...] = ()
    before_down: tuple[Command, ...] = ()
    notices: tuple[str, ...] = ()
