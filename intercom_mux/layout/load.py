"""A layout file to a `Layout`, strictly: every fault is told at once, with its line and column.

The format is documented in docs/layouts.md. Order of work: file → YAML tree → variables → peers → the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from intercom_mux.agents.find import AUTO, COMMAND, load_profiles
from intercom_mux.errors import LayoutError
from intercom_mux.layout import document
from intercom_mux.layout.agents import read_agents
from intercom_mux.layout.arrange import read_arrangement
from intercom_mux.layout.board import read_board
from intercom_mux.layout.expand import names_in
from intercom_mux.layout.files import NotTextError, UnreadableError, read_text
from intercom_mux.layout.lifecycle import read_commands, shell
from intercom_mux.layout.model import (
    MULTIPLEXERS,
    NAME_PATTERN,
    NAME_RULE,
    SCOPES,
    VARIABLE_PATTERN,
    Layout,
    Mark,
)
from intercom_mux.layout.peers import PeerReader
from intercom_mux.layout.problems import Guess, Problems, quoted, shown
from intercom_mux.layout.section import Section, Values
from intercom_mux.layout.variables import read_variables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from intercom_mux.layout.find import Found
    from intercom_mux.layout.model import PeerSpec

MAX_FILE_BYTES = 256 * 1024

KEYS = (
    *("version", "extends", "include", "name", "description", "vars", "mux", "arrange", "focus", "supervisor"),
    *("scope", "agents", "board", "notify", "secrets", "before_up", "after_up", "before_down", "defaults", "roles"),
    "peers",
)


def load_layout(found: Found, *, variables: Mapping[str, str] | None = None, environ: Mapping[str, str]) -> Layout:
    """Read, check and expand the layout at `found.path`.

    Args:
        found: Where the file is, and the project directory that relative directories start from.
        variables: Values of `--var`, stronger than `vars:` in the file, which is stronger than `environ`.
        environ: What `${NAME}` falls back to, and whose HOME `~` stands for.

    Raises:
        LayoutError: The file cannot be read, or has problems: all of them, one line each in the message and as data in
            `problems` (path, line, column, key, problem, and suggestion when there is one).
    """
    problems = Problems(found.path)
    text = _layout_text(found.path, problems)
    root, text = _composed(found.path, found.project, _root(found.path, text, problems), text, problems)
    layout = _Loader(found, problems, variables or {}, environ).layout(root, text)
    problems.raise_any()
    return layout


def describe(path: Path) -> str:
    """Return the `description` of a layout file on one printable line; "" when it has none or cannot be read."""
    problems = Problems(path)
    try:
        root = _root(path, _layout_text(path, problems), problems)
    except LayoutError:
        return ""
    entry = root.entries.get("description")
    text = entry.value.text if entry and isinstance(entry.value, document.Scalar) else ""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def required_variables(path: Path) -> list[str]:
    """Return the variables that a file refers to without a default and does not set itself, in order of appearance.

    Raises:
        LayoutError: It cannot be read.
    """
    problems = Problems(path)
    text = _layout_text(path, problems)
    root, text = _composed(path, path.parent, _root(path, text, problems), text, problems)
    variables = root.entries.get("vars")
    own = variables.value.entries if variables and isinstance(variables.value, document.Mapping) else ()
    return list(dict.fromkeys(name for name, has_default in names_in(text) if not has_default and name not in own))


def _layout_text(path: Path, problems: Problems) -> str:
    try:
        return read_text(path, MAX_FILE_BYTES)
    except NotTextError as error:
        problems.add(Mark(path, error.line, error.column), "", f"byte 0x{error.byte:02x} is not UTF-8 text")
        raise problems.error() from error
    except UnreadableError as error:
        hint = "give a layout file, or the name of a layout: intercom-mux layouts lists them"
        raise LayoutError(f"{shown(path)} {error}", hint=hint, path=str(path), problems=[]) from error


def _root(path: Path, text: str, problems: Problems) -> document.Mapping:
    """Return the file's outermost mapping; YAML that cannot be read on is told at once."""
    root = document.parse(path, text, problems)
    if isinstance(root, document.Mapping):
        return root
    if root is not None:
        problems.add(root.mark, "", f'a layout is a mapping of "key: value" lines, not {root.kind}')
    problems.raise_any()
    problems.add(Mark(path, 1, 1), "", "the file is empty: a layout has version: 1 and peers")
    raise problems.error()


def _composed(
    path: Path, project: Path, root: document.Mapping, text: str, problems: Problems
) -> tuple[document.Mapping, str]:
    """Return the file with all that it extends and includes, as one mapping, and the texts of all these files."""
    if "extends" not in root.entries and "include" not in root.entries:
        return root, text
    from intercom_mux.layout.compose import Composer  # most layouts stand alone

    composer = Composer(
        project, problems, lambda file: (found := _layout_text(file, problems), _root(file, found, problems))
    )
    return composer.compose(path, root, text)


class _Loader:
    """One run over one file."""

    def __init__(self, found: Found, problems: Problems, given: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._found = found
        self._problems = problems
        self._given = given
        self._own: dict[str, str] = {}
        self._environ = environ

    def layout(self, mapping: document.Mapping, text: str) -> Layout:
        """Return the layout; it is sound only if no problem was noted."""
        root = Section(mapping, "", Values(self._problems, self._lookup))
        self._check_version(root)
        root.check_keys(KEYS)
        self._read_variables(root, text)
        self._check_description(root)
        agents = read_agents(root)
        known = [name for name in (AUTO, *agents, *load_profiles()) if name != COMMAND]
        reader = PeerReader(self._found, self._environ, known)
        peers, doubtful = reader.read(root)
        peers += read_board(root, peers, self._found.project)
        arrange, notices = read_arrangement(root, peers)
        return Layout(
            name=self._team_name(root),
            path=self._found.path,
            project=self._found.project,
            mux=root.choice("mux", MULTIPLEXERS) or "auto",
            arrange=arrange,
            peers=tuple(peers),
            supervisor=self._supervisor(root, peers, doubtful),
            isolated=root.choice("scope", SCOPES) == "isolated",
            agents=agents,
            notify=tuple(root.words("notify", shell) or ()),
            secrets=self._secrets(root),
            before_up=read_commands(root, "before_up", "abort", reader.directory),
            after_up=read_commands(root, "after_up", "warn", reader.directory),
            before_down=read_commands(root, "before_down", "warn", reader.directory),
            notices=tuple(notices),
        )

    def _lookup(self, name: str) -> str | None:
        for source in (self._given, self._own, self._environ):
            if name in source:
                return source[name]
        return None

    def _check_version(self, root: Section) -> None:
        """Note a missing or wrong version; another version's file is judged no further."""
        if "version" not in root:
            self._problems.add(root.mark, "version", 'is missing: a layout starts with "version: 1"')
            return
        version = root.line("version")
        if version is None or version == "1":
            return
        if version.isdecimal():
            root.fault("version", f"this intercom-mux reads version 1, not {version[:9]}; it may be too old")
            raise self._problems.error()
        root.fault("version", f"must be 1, not {quoted(version)}")

    def _read_variables(self, root: Section, text: str) -> None:
        """Evaluate `vars` in order, but for what `--var` gives; a `--var` that nothing here uses is a problem."""
        variables = root.section("vars")
        read_variables(variables, self._given, self._environ, self._own)
        used = {name for name, _has_default in names_in(text)} | set(variables)
        for name in self._given:
            if name not in used:
                guess = Guess(name, tuple(sorted(used)), "there is")
                self._problems.add(root.mark, f"--var {name}", "no such variable here", guess)

    def _secrets(self, root: Section) -> tuple[str, ...]:
        names = root.words("secrets", str.split) or []
        for name in names:
            if not re.fullmatch(VARIABLE_PATTERN, name):
                root.fault("secrets", f"{quoted(name)} is no name of a variable")
        return tuple(names)

    def _check_description(self, root: Section) -> None:
        node = root.value("description")
        if node is not None and node.kind != "text":
            root.fault("description", f"must be text, not {node.kind}")

    def _team_name(self, root: Section) -> str:
        stem = self._found.path.stem
        if "name" not in root:
            if not re.fullmatch(NAME_PATTERN, stem):
                problem = f"add one: the file name {quoted(stem)} cannot be a team name ({NAME_RULE})"
                self._problems.add(root.mark, "name", problem)
            return stem
        name = root.line("name")
        if name is not None and not re.fullmatch(NAME_PATTERN, name):
            root.fault("name", f"{quoted(name)} cannot be a team name: {NAME_RULE}")
        return name or stem

    def _supervisor(self, root: Section, peers: list[PeerSpec], doubtful: list[str]) -> str | None:
        supervisor = root.line("supervisor")
        names = [peer.name for peer in peers]
        if supervisor is None or supervisor in names or not names:
            return supervisor
        if not any(supervisor.startswith(name) for name in doubtful):
            guess = Guess(supervisor, tuple(names), "the peers are")
            root.fault("supervisor", f"no peer is named {quoted(supervisor)}", guess)
        return supervisor
