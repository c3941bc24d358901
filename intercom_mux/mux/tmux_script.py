"""The command text that opens surfaces in tmux. Pure but for look-ups on PATH and at the log; imported by `tmux` only.

The text is given to `source-file -` on stdin, as one line: tmux drops the rest of a line after an error, argv has a
limit of 16 KB, and nothing of it stands in `ps`. Text from outside never becomes part of a tmux format, where `#(…)`
would run: it is put into a user option (`@imux_…`), and the format names the option.
"""

from __future__ import annotations

import math
import re
import shlex
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intercom_mux.errors import MultiplexerError
from intercom_mux.layout.model import leaves
from intercom_mux.mux.tmux_layout import PANE_HEIGHT, PANE_WIDTH, layout_string, only, placed, room_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intercom_mux.layout.model import Arrangement, Node
    from intercom_mux.layout.model import Window as Arranged
    from intercom_mux.mux.base import SurfaceSpec

PEER_OPTION = "@imux_peer"
"""Pane option that names the surface."""

Command = list[str]

_LAYOUTS = {
    "main-left": "main-vertical",
    "main-top": "main-horizontal",
    "tiled": "tiled",
    "columns": "even-horizontal",
    "rows": "even-vertical",
}
_WIDTH, _HEIGHT = 220, 50
_LARGEST = 10_000
_TMUX_SETS = ("COLORTERM", "PATH", "PWD", "SHELL", "TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "TMUX_PANE")
_BYTES_AS_THEY_ARE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+")


@dataclass(frozen=True, slots=True)
class Window:
    """A window of a running server; `is_ours` if it holds a surface of a peer.

    `peers` are the names of its panes in their order, "" for one that is nobody's.
    """

    id: str
    index: int
    panes: int
    width: int
    height: int
    is_ours: bool
    peers: tuple[str, ...] = ()


@dataclass(slots=True)
class Placing:
    """Where surfaces go: commands so far, the windows whose layout this opening changed, and the panes by peer.

    `opened` keeps the order of opening, in which tmux prints the ids.
    """

    sessions: dict[str, list[Window]]
    commands: list[Command] = field(default_factory=list)
    windows: list[str] = field(default_factory=list)
    opened: dict[str, str] = field(default_factory=dict)


def script(commands: Sequence[Command]) -> str:
    """Return `commands` as one line of tmux configuration.

    Raises:
        MultiplexerError: A word cannot be passed to a program (it holds a NUL, or is no text).
    """
    return " ; ".join(" ".join(quote(word) for word in command) for command in commands) + "\n"


def quote(word: str) -> str:
    """Return `word` as one literal tmux word; bytes that could mean something are octal escapes (tmux(1), PARSING)."""
    try:
        raw = word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise MultiplexerError(f"no program can be given {word!r}: {error.reason}") from error
    if 0 in raw:
        raise MultiplexerError(f"no program can be given {word!r}: it holds a NUL")
    return '"' + "".join(chr(byte) if byte in _BYTES_AS_THEY_ARE else f"\\{byte:03o}" for byte in raw) + '"'


def refresh_environment(shown: str, wanted: Mapping[str, str]) -> list[Command]:
    """Return commands that turn the global environment `shown` (by `show-environment -g`) into `wanted`."""
    lines = set(shown.splitlines())
    names = {line.partition("=")[0] for line in lines if "=" in line} - {""}
    stale = [["set-environment", "-g", "-u", "--", name] for name in sorted(names - wanted.keys())]
    return stale + [
        ["set-environment", "-g", "--", name, value] for name, value in wanted.items() if f"{name}={value}" not in lines
    ]


def open_surfaces(session: str, arrangement: Arrangement, specs: Sequence[SurfaceSpec], placing: Placing) -> None:
    """Add the commands that open `specs`, each of which prints its pane id, in the order of `placing.opened`."""
    is_fresh = not placing.sessions
    arrange = arrangement.kind
    if not isinstance(arrange, str):
        _open_trees(session, arrange, specs, placing)
    elif arrange == "sessions":
        for spec in specs:
            _new_session(placing, f"{session}-{spec.name}", spec.name, spec, (_WIDTH, _HEIGHT))
    elif arrange == "windows":
        _open_windows(session, specs, placing)
    else:
        _open_panes(session, arrange, specs, placing)
    placing.commands.append(["set-option", "-su", "@imux_cwd"])
    pane = placing.opened.get(arrangement.focus or "")
    if is_fresh and pane is not None:
        placing.commands += [["select-window", "-t", pane.rpartition(".")[0]], ["select-pane", "-t", pane]]


def _open_windows(session: str, specs: Sequence[SurfaceSpec], placing: Placing) -> None:
    name = session_name(session)
    for spec in specs:
        if name in placing.sessions:
            _new_window(placing, name, spec.name, spec)
        else:
            _new_session(placing, session, spec.name, spec, (_WIDTH, _HEIGHT))


def _open_panes(session: str, arrange: str, specs: Sequence[SurfaceSpec], placing: Placing) -> None:
    """Open `specs` as panes of one window; the layout is applied at each step, or a split would find no space."""
    name = session_name(session)
    ours = next((window for window in placing.sessions.get(name, ()) if window.is_ours), None)
    size = _window_size(arrange, len(specs) + (ours.panes if ours else 0))
    rest = list(specs)
    if ours is not None:
        target, panes = ours.id, ours.panes
        width, height = max(size[0], ours.width), max(size[1], ours.height)
        if (width, height) != (ours.width, ours.height):
            placing.commands.append(["resize-window", "-t", target, "-x", str(width), "-y", str(height)])
    elif name in placing.sessions:
        target, panes = _new_window(placing, name, session, rest.pop(0)), 1
    else:
        target, panes = _new_session(placing, session, session, rest.pop(0), size), 1
    placing.windows.append(target)
    for spec in rest:
        _split(placing, f"{target}.{panes - 1}", f"{target}.{panes}", spec)
        placing.commands.append(["select-layout", "-t", target, _LAYOUTS[arrange]])
        panes += 1
    if ours is not None:
        placing.commands += [free_size(target), ["select-layout", "-t", target, _LAYOUTS[arrange]]]


def _open_trees(session: str, arranged: Sequence[Arranged], specs: Sequence[SurfaceSpec], placing: Placing) -> None:
    """Open `specs` where their trees have them, window by window; one that no tree has goes beside a sibling."""
    name = session_name(session)
    new = {spec.name: spec for spec in specs}
    for window in placed(arranged, list(new)):
        wanted = [peer for peer in leaves(window.node) if peer in new]
        if not wanted:
            continue
        running = [each for each in placing.sessions.get(name, ()) if set(each.peers) & set(leaves(window.node))]
        if running:
            _join_tree(window.node, running[0], new, placing)
            continue
        tree = only(window.node, wanted)
        size = _tree_size(tree)
        first, *rest = wanted
        is_resized = name in placing.sessions
        label = window.name or session
        if is_resized:
            target = _new_window(placing, name, label, new[first])
            placing.commands.append(["resize-window", "-t", target, "-x", str(size[0]), "-y", str(size[1])])
        else:
            target = _new_session(placing, session, label, new[first], size)
        for index, peer in enumerate(rest):
            _split(placing, f"{target}.{index}", f"{target}.{index + 1}", new[peer])
            placing.commands.append(["select-layout", "-t", target, "tiled"])
        placing.commands.append(["select-layout", "-t", target, layout_string(tree, *size)])
        if is_resized:
            placing.commands.append(free_size(target))


def _join_tree(node: Node, window: Window, new: Mapping[str, SurfaceSpec], placing: Placing) -> None:
    """Open what is new of a tree in the window that has some of it.

    Where somebody has moved panes or opened more of them, their order cannot be ours: each new pane then splits the one
    of the peer before it, and the rest stays as it is.
    """
    tree = only(node, {*window.peers, *new})
    panes = list(window.peers)
    is_as_left = panes == [peer for peer in leaves(tree) if peer not in new]
    size = _tree_size(tree)
    width, height = max(size[0], window.width), max(size[1], window.height)
    placing.commands.append(["resize-window", "-t", window.id, "-x", str(width), "-y", str(height)])
    placing.windows.append(window.id)
    before = ""
    for peer in leaves(tree):
        if peer in new:
            at = panes.index(before) + 1 if before in panes else 0
            _split(placing, f"{window.id}.{max(at - 1, 0)}", f"{window.id}.{at}", new[peer], is_before=at == 0)
            panes.insert(at, peer)
            if is_as_left:
                placing.commands.append(["select-layout", "-t", window.id, "tiled"])
        before = peer
    if is_as_left:
        placing.commands.append(["select-layout", "-t", window.id, layout_string(tree, width, height)])
    placing.commands.append(free_size(window.id))


def _tree_size(tree: Node) -> tuple[int, int]:
    width, height = room_for(tree)
    return min(_LARGEST, max(_WIDTH, width)), min(_LARGEST, max(_HEIGHT, height))


def free_size(window: str) -> Command:
    """Return the command that lets a window follow its watchers again after `resize-window`."""
    return ["set-option", "-w", "-u", "-t", window, "window-size"]


def _new_session(placing: Placing, session: str, label: str, spec: SurfaceSpec, size: tuple[int, int]) -> str:
    """Open `spec` in a session of its own and return the target of its window.

    tmux copies `-e` of new-session into the session, from where later panes would inherit it, so it is removed.
    """
    name = _free_name(session_name(session), placing.sessions)
    place = ["new-session", "-d", "-s", name, "-n", _label(label), "-x", str(size[0]), "-y", str(size[1])]
    _start(placing, place, f"={name}:0.0", spec)
    placing.commands += [["set-environment", "-t", f"={name}", "-u", "--", key] for key in _plain_env(spec)]
    placing.sessions[name] = [Window(f"={name}:0", 0, 1, *size, is_ours=True)]
    return f"={name}:0"


def _new_window(placing: Placing, session: str, label: str, spec: SurfaceSpec) -> str:
    windows = placing.sessions[session]
    index = 1 + max(window.index for window in windows)
    target = f"={session}:{index}"
    _start(placing, ["new-window", "-d", "-t", target, "-n", _label(label)], f"{target}.0", spec)
    windows.append(Window(target, index, 1, _WIDTH, _HEIGHT, is_ours=True))
    return target


def _split(placing: Placing, last: str, new: str, spec: SurfaceSpec, *, is_before: bool = False) -> None:
    _start(placing, ["split-window", "-d", *(["-b"] if is_before else []), "-t", last], new, spec)


def _start(placing: Placing, place: Command, pane: str, spec: SurfaceSpec) -> None:
    """Add the commands that start `spec` at `place`, where it becomes `pane`; they run before tmux reads its output."""
    environment = [word for key, value in _plain_env(spec).items() for word in ("-e", f"{key}={value}")]
    start = [*place, "-P", "-F", "#{pane_id}", "-c", "#{@imux_cwd}", *environment, "--", *_exec_argv(spec)]
    placing.opened[spec.name] = pane
    placing.commands += [
        ["set-option", "-s", "--", "@imux_cwd", str(spec.cwd)],
        start,
        ["set-option", "-p", "-t", pane, "--", PEER_OPTION, spec.name],
    ]
    placing.commands += _log(pane, spec)


def respawn(surface: str, spec: SurfaceSpec, placing: Placing) -> None:
    """Add the commands that start `spec` in the dead pane `surface`, with its log."""
    environment = [word for key, value in _plain_env(spec).items() for word in ("-e", f"{key}={value}")]
    start = ["respawn-pane", "-t", surface, "-c", "#{@imux_cwd}", *environment, "--", *_exec_argv(spec)]
    placing.commands += [["set-option", "-s", "--", "@imux_cwd", str(spec.cwd)], start, *_log(surface, spec)]
    placing.commands.append(["set-option", "-su", "@imux_cwd"])


def _log(pane: str, spec: SurfaceSpec) -> list[Command]:
    if spec.log is None:
        return []
    return [
        ["set-option", "-p", "-t", pane, "--", "@imux_log", shlex.quote(str(spec.log))],
        ["pipe-pane", "-O", "-t", pane, f"exec cat {'1<>' if spec.log.is_fifo() else '>>'} #{{@imux_log}}"],
    ]


def _exec_argv(spec: SurfaceSpec) -> list[str]:
    """Return the words tmux execs.

    tmux gives a single word to a shell and hides a failed exec; `nice` by 0 changes nothing, reports it and ends with
    126 or 127. `env` does what `-e` cannot: it removes variables, and sets those that tmux sets itself.
    """
    argv = [shutil.which("nice") or "nice", "-n", "0", "--", *spec.argv]
    changes = [word for name in spec.unset for word in ("-u", name)]
    changes += [f"{key}={value}" for key, value in spec.env.items() if key in _TMUX_SETS]
    return [shutil.which("env") or "env", *changes, *argv] if changes else argv


def _plain_env(spec: SurfaceSpec) -> dict[str, str]:
    return {key: value for key, value in spec.env.items() if key not in _TMUX_SETS}


def _window_size(arrange: str, panes: int) -> tuple[int, int]:
    """Return width and height that leave every pane room for an agent's screen."""
    side = math.ceil(math.sqrt(panes))
    columns, rows = {
        "main-left": (2, panes - 1),
        "main-top": (panes - 1, 2),
        "tiled": (side, side),
        "columns": (panes, 1),
        "rows": (1, panes),
    }[arrange]
    return (
        min(_LARGEST, max(_WIDTH, columns * (PANE_WIDTH + 1))),
        min(_LARGEST, max(_HEIGHT, rows * (PANE_HEIGHT + 1))),
    )


def session_name(text: str) -> str:
    """Return `text` as a tmux session name: `.` and `:` part a target, `#` starts a format."""
    return re.sub(r"[^A-Za-z0-9_@-]", "_", text)


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_@.-]", "_", text)


def _free_name(name: str, taken: Mapping[str, object]) -> str:
    """Return `name`, numbered if another session has it: different peers can come out the same."""
    number = 2
    candidate = name
    while candidate in taken:
        candidate = f"{name}-{number}"
        number += 1
    return candidate
