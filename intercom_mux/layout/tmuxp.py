"""A tmuxp file, YAML or JSON, to a layout file of ours, as far as it goes. Pure: text in, text out.

What tmuxp types into the shell of a pane becomes a command peer: the same lines run by the user's
shell, then that shell.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from intercom_mux.layout.arrange import SIZE_PATTERN
from intercom_mux.layout.document import Listing, Mapping, Scalar, parse
from intercom_mux.layout.model import Mark
from intercom_mux.layout.problems import Problem, Problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from intercom_mux.layout.document import Node

MAX_PEERS = 100

_SHELL = "${SHELL:-sh}"
"""The user's shell, as a variable of the layout."""

_BLANK = ("", "blank", "pane")
_NAME_LENGTH = 40
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_PLACE = "has no equivalent in a layout"
_MAIN = {
    "main-vertical": ("columns", "rows", "main-pane-width"),
    "main-horizontal": ("rows", "columns", "main-pane-height"),
}
_EVEN = {"even-horizontal": "columns", "even-vertical": "rows"}


class Imported(NamedTuple):
    """A layout as text that loads without problems, and what of the tmuxp file is not in it, in file order."""

    text: str
    left_out: tuple[Problem, ...]


def from_tmuxp(path: Path, text: str) -> Imported:
    """Return the layout that does what the tmuxp file `text` does; `path` is where it is said to stand.

    Raises:
        LayoutError: It is not YAML or JSON, or holds no windows; `problems` has the places.
    """
    problems = Problems(path)
    root = parse(path, text, problems)
    if isinstance(root, Mapping):
        windows = root.entries.get("windows")
        if windows and isinstance(windows.value, Listing) and windows.value.items:
            reader = _Reader(list(problems))
            layout = reader.session(root, windows.value)
            left_out = sorted(
                dict.fromkeys(reader.left_out), key=lambda each: (each.mark.line, each.mark.column, each.key)
            )
            return Imported(_written(layout), tuple(left_out))
        problems.add(windows.mark if windows else root.mark, "windows", "must be a list of windows, as in a tmuxp file")
    elif not len(problems):
        problems.add(Mark(path, 1, 1), "", "is not a tmuxp file: a mapping with windows")
    raise problems.error(then=f"intercom-mux import {path}")


@dataclass
class _Surroundings:
    """What panes take over from their window and session."""

    cwd: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)


@dataclass
class _Reader:
    """Reads one session; `left_out` grows with what has no place, `peers` with the panes, by name."""

    left_out: list[Problem]
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)
    focused: list[tuple[bool, str]] = field(default_factory=list)
    """Each pane that wants the focus, and whether its window does."""

    def session(self, root: Mapping, windows: Listing) -> dict[str, Any]:
        known = ("session_name", "windows", "start_directory", "environment", "before_script", "shell_command_before")
        self._leave_unknown(root, known, "")
        outer = self._surroundings(root, "", _Surroundings())
        arranged = []
        for index, item in enumerate(windows.items):
            key = f"windows[{index}]"
            if not isinstance(item, Mapping):
                self._leave(item.mark, key, "is not a mapping, and no window")
            elif len(self.peers) >= MAX_PEERS:
                self._leave(item.mark, key, f"a layout has {MAX_PEERS} peers at most")
            else:
                arranged.append(self._window(item, key, index, outer))
        layout: dict[str, Any] = {"version": 1, "name": _word(self._text(root, "session_name", ""), "session")}
        if script := self._text(root, "before_script", ""):
            layout["before_up"] = _literal(script)
        if not self.peers:
            self.peers["shell"] = {"command": [_SHELL]}
            arranged = [{"name": "shell", "peer": "shell"}]
        layout["arrange"] = {"windows": arranged}
        if self.focused:
            layout["focus"] = max(self.focused, key=lambda each: each[0])[1]
        layout["defaults"] = {"role": "shell", **({"env": outer.env} if outer.env else {})}
        layout["peers"] = self.peers
        return layout

    def _window(self, window: Mapping, key: str, index: int, outer: _Surroundings) -> dict[str, Any]:
        known = ("window_name", "panes", "layout", "focus", "start_directory", "environment", "shell_command_before")
        self._leave_unknown(window, (*known, "options"), key)
        inner = self._surroundings(window, key, outer)
        name = _word(self._text(window, "window_name", key), f"window-{index + 1}")
        written = window.entries.get("panes")
        panes: Sequence[Node | None] = [None]
        if written and isinstance(written.value, Listing):
            panes = written.value.items or panes
        elif written:
            self._leave(written.mark, f"{key}.panes", "is not a list of panes")
        has_focus = _is_true(window, "focus")
        names = []
        for number, pane in enumerate(panes):
            if len(self.peers) >= MAX_PEERS:
                self._leave(
                    pane.mark if pane else window.mark,
                    f"{key}.panes[{number}]",
                    f"a layout has {MAX_PEERS} peers at most",
                )
                continue
            peer = self._free_name(name if len(panes) == 1 else f"{name}-{number + 1}")
            names.append(peer)
            self.peers[peer] = self._pane(pane, f"{key}.panes[{number}]", inner, outer)
            if (isinstance(pane, Mapping) and _is_true(pane, "focus")) or (has_focus and number == 0):
                wants = isinstance(pane, Mapping) and _is_true(pane, "focus")
                if wants and has_focus:
                    self.focused = [each for each in self.focused if each[1] not in names]
                self.focused.append((has_focus, peer))
        return {"name": name, **self._arranged(window, key, names)}

    def _arranged(self, window: Mapping, key: str, names: list[str]) -> dict[str, Any]:
        """Return the split that the window's `layout` stands for; its options may hold the size of the main pane."""
        word = self._text(window, "layout", key) or "even-vertical"
        options = window.entries.get("options")
        size_key = _MAIN[word][2] if word in _MAIN else ""
        size = None
        if options and isinstance(options.value, Mapping):
            written = self._text(options.value, size_key, f"{key}.options") if size_key else ""
            size = written if re.fullmatch(SIZE_PATTERN, written) else None
            self._leave_unknown(options.value, (size_key,) if size else (), f"{key}.options")
        elif options:
            self._leave(options.mark, f"{key}.options", _NO_PLACE)
        if word not in (*_MAIN, *_EVEN, "tiled"):
            self._leave(
                window.entries["layout"].mark, f"{key}.layout", "is a layout of tmux's own making: tiled instead"
            )
        if len(names) == 1:
            return {"peer": names[0]}
        if word in _MAIN:
            along, across, _option = _MAIN[word]
            first: Any = {"peer": names[0], "size": size} if size else names[0]
            return {along: [first, {across: names[1:]}]}
        if word in _EVEN:
            return {_EVEN[word]: names}
        width = next(width for width in range(1, MAX_PEERS + 1) if width * width >= len(names))
        return {"rows": [{"columns": names[start : start + width]} for start in range(0, len(names), width)]}

    def _pane(self, pane: Node | None, key: str, inner: _Surroundings, outer: _Surroundings) -> dict[str, Any]:
        own = inner
        lines: list[str] = []
        if isinstance(pane, Mapping):
            known = ("shell_command", "focus", "start_directory", "environment", "shell_command_before")
            self._leave_unknown(pane, known, key)
            own = self._surroundings(pane, key, inner)
            if "shell_command" in pane.entries:
                lines = self._commands(pane.entries["shell_command"].value, f"{key}.shell_command")
        elif pane is not None:
            lines = self._commands(pane, key)
        script = "\n".join([*map(_literal, (*own.before, *lines)), f"exec '{_SHELL}'"])
        peer: dict[str, Any] = {"command": [_SHELL, "-c", script] if own.before or lines else [_SHELL]}
        if own.cwd:
            peer["cwd"] = own.cwd
        if own.env != outer.env:
            peer["env"] = {name: value for name, value in own.env.items() if outer.env.get(name) != value}
        return peer

    def _surroundings(self, mapping: Mapping, key: str, outer: _Surroundings) -> _Surroundings:
        directory = _with_variables(self._text(mapping, "start_directory", key), ".")
        cwd = (
            directory
            if not directory or directory.startswith("~")
            else posixpath.join(outer.cwd or "", directory.removeprefix("./"))
        )
        env = dict(outer.env)
        written = mapping.entries.get("environment")
        if written and isinstance(written.value, Mapping):
            for name, entry in written.value.entries.items():
                if _ENV_NAME.fullmatch(name) and isinstance(entry.value, Scalar):
                    env[name] = _with_variables(_clean(entry.value.text), "")
                else:
                    self._leave(entry.mark, _dotted(key, f"environment.{name}"), "is not a variable with a text")
        elif written:
            self._leave(written.mark, _dotted(key, "environment"), "is not a mapping")
        before = mapping.entries.get("shell_command_before")
        lines = self._commands(before.value, _dotted(key, "shell_command_before")) if before else []
        return _Surroundings(cwd or outer.cwd, env, [*outer.before, *lines])

    def _commands(self, node: Node, key: str) -> list[str]:
        """Return the lines that tmuxp would type: of a text, a list, or a mapping with `cmd` (or `shell_command`)."""
        if isinstance(node, Scalar):
            line = "" if node.kind == "nothing" else _clean(node.text).strip()
            return [] if line in _BLANK else [line]
        if isinstance(node, Listing):
            return [line for index, item in enumerate(node.items) for line in self._commands(item, f"{key}[{index}]")]
        nested = ("cmd", "shell_command")
        self._leave_unknown(node, nested, key)
        return [
            line
            for name in nested
            if name in node.entries
            for line in self._commands(node.entries[name].value, f"{key}.{name}")
        ]

    def _free_name(self, wanted: str) -> str:
        taken = {name.casefold() for name in self.peers}
        tries = (wanted if number == 1 else f"{wanted}.{number}" for number in range(1, MAX_PEERS + 2))
        return next(name for name in tries if name.casefold() not in taken)

    def _text(self, mapping: Mapping, name: str, key: str) -> str:
        """Return a text of one line, "" when there is none; what is no text is left out."""
        entry = mapping.entries.get(name)
        if entry is None:
            return ""
        if isinstance(entry.value, Scalar):
            return "" if entry.value.kind == "nothing" else " ".join(_clean(entry.value.text).split())
        self._leave(entry.mark, _dotted(key, name), "is not a text")
        return ""

    def _leave_unknown(self, mapping: Mapping, known: Iterable[str], key: str) -> None:
        for name, entry in mapping.entries.items():
            if name not in known:
                self._leave(entry.mark, _dotted(key, name), _NO_PLACE)

    def _leave(self, mark: Mark, key: str, text: str) -> None:
        self.left_out.append(Problem(mark, key, text))


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_node)


def _written(layout: dict[str, Any]) -> str:
    written: str = yaml.dump(layout, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return written


def _dotted(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _is_true(mapping: Mapping, name: str) -> bool:
    entry = mapping.entries.get(name)
    return bool(entry and isinstance(entry.value, Scalar) and entry.value.text.lower() in ("true", "yes", "on"))


def _word(text: str, otherwise: str) -> str:
    """Return `text` as a name that peers, windows and teams may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:_NAME_LENGTH] or otherwise


def _clean(text: str) -> str:
    return "".join(char for char in text if char == "\n" or char.isprintable())


def _literal(text: str) -> str:
    """Return `text` as a layout writes it when the shell, not the layout, is to replace its variables."""
    return text.replace("${", "$${")


def _with_variables(text: str, otherwise: str) -> str:
    """Return `text` with its shell variables as variables of a layout, which are `otherwise` when not set."""
    parts, end = [], 0
    for found in _VARIABLE.finditer(text):
        parts += [_literal(text[end : found.start()]), f"${{{found[1] or found[2]}:-{otherwise}}}"]
        end = found.end()
    return "".join([*parts, _literal(text[end:])])
