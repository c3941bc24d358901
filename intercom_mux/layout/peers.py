"""The `defaults` and `peers` of a layout file, read into one `PeerSpec` per peer to run."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from intercom_mux.layout import document
from intercom_mux.layout.expand import MAX_TEXT, peer_names
from intercom_mux.layout.files import UnreadableError, read_text
from intercom_mux.layout.lifecycle import (
    read_dependencies,
    read_resources,
    read_restart,
    read_worktree,
    resolve_dependencies,
)
from intercom_mux.layout.model import (
    NAME_PATTERN,
    NAME_RULE,
    VARIABLE_PATTERN,
    PeerSpec,
    Resources,
    Restart,
    Worktree,
)
from intercom_mux.layout.problems import Guess, quoted
from intercom_mux.layout.section import Section
from intercom_mux.paths import IDENTITY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intercom_mux.layout.find import Found
    from intercom_mux.layout.lifecycle import Wanted

MAX_COUNT = 40
MAX_PEERS = 100
_MAX_ROLE = 48

SHARED_KEYS = (
    *("role", "agent", "model", "cwd", "env", "env_file", "prompt", "trust"),
    *("worktree", "restart", "resources"),
)
ROLE_KEYS = tuple(key for key in SHARED_KEYS if key != "role")
EXCLUSIVE = (("agent", "command"), ("cwd", "reference"), ("worktree", "reference"))
"""Keys of which a peer has one at most."""

PEER_KEYS = (*SHARED_KEYS, "command", "count", "reference", "depends_on")


@dataclass
class _Settings:
    """What `defaults`, a role and a peer may say; None is "not said"."""

    role: str | None = None
    agent: str | None = None
    model: str | None = None
    cwd: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    prompt: str | None = None
    trust: bool | None = None
    worktree: Worktree | Literal[False] | None = None
    restart: Restart | None = None
    resources: Resources | None = None

    def over(self, weaker: _Settings) -> _Settings:
        """Return these settings, filled up with `weaker` ones."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        said = {name: value for name, value in own.items() if value is not None}
        return replace(weaker, **{**said, "env": weaker.env | self.env})


class PeerReader:
    """Reads the peers of the file `found`; `environ` gives the HOME that `~` stands for, `agents` are those known."""

    def __init__(self, found: Found, environ: Mapping[str, str], agents: Sequence[str]) -> None:
        self._found = found
        self._environ = environ
        self._agents = tuple(dict.fromkeys(agents))

    def read(self, root: Section) -> tuple[list[PeerSpec], list[str]]:
        """Return the peers in file order, counts expanded, and the entries whose count could not be read."""
        defaults = self._settings(root.section("defaults", SHARED_KEYS))
        roles = self._roles(root.section("roles"))
        section = root.section("peers")
        if "peers" not in root:
            root.problems.add(root.mark, "peers", "is missing: a layout has at least one peer")
        elif section.is_given and not list(section):
            root.fault("peers", "is empty: a layout has at least one peer")
        peers: list[PeerSpec] = []
        doubtful: list[str] = []
        wanted: dict[str, list[Wanted]] = {}
        for name in section:
            entry = section.section(name, PEER_KEYS)
            count = entry.whole("count", 1, MAX_COUNT) if "count" in entry else 1
            if count is None:
                doubtful.append(name)
            spec = self._peer(name, section, entry, defaults, roles)
            _check_branch(entry, spec, count or 1)
            peers += _named(spec, count or 1, section)
            wanted[name] = read_dependencies(entry)
            if len(peers) > MAX_PEERS:
                root.fault("peers", f"a layout may have at most {MAX_PEERS} peers")
                break
        _note_clashes(peers, section)
        return resolve_dependencies(peers, wanted, section, doubtful), doubtful

    def _roles(self, section: Section) -> dict[str, _Settings]:
        """Return the settings of each role."""
        for name in section:
            if name.split() != [name] or len(name) > _MAX_ROLE:
                section.key_fault(name, f"a role is one word of at most {_MAX_ROLE} characters")
        return {name: self._settings(section.section(name, ROLE_KEYS)) for name in section}

    def _peer(
        self, name: str, peers: Section, section: Section, defaults: _Settings, roles: Mapping[str, _Settings]
    ) -> PeerSpec:
        """Return one entry of `peers`, filled up from its role, then from the defaults; its count set aside."""
        own = self._settings(section)
        role = own.role or defaults.role or name
        said = own.over(roles.get(role, _Settings())).over(defaults)
        command = _command(section)
        reference = self.directory(section, "reference")
        for one, other in EXCLUSIVE:
            if one in section and other in section:
                section.fault(other, f'cannot stand beside "{one}": keep one of the two')
        return PeerSpec(
            name=name,
            role=role,
            agent=None if command else said.agent or "auto",
            command=command,
            cwd=reference or said.cwd or self._found.project,
            mark=peers.key_mark(name),
            env=said.env,
            prompt=said.prompt or None,
            model=said.model,
            is_reference=reference is not None,
            trust=said.trust or False,
            entry=name,
            worktree=(said.worktree or None) if reference is None else None,
            restart=said.restart or Restart(),
            resources=said.resources or Resources(),
        )

    def _settings(self, section: Section) -> _Settings:
        return _Settings(
            role=_role(section),
            agent=self._agent(section),
            model=section.line("model"),
            cwd=self.directory(section, "cwd"),
            env=self._env_file(section) | _env(section),
            prompt=self._prompt(section),
            trust=section.flag("trust"),
            worktree=read_worktree(section),
            restart=read_restart(section),
            resources=read_resources(section),
        )

    def _agent(self, section: Section) -> str | None:
        agent = section.line("agent")
        if agent is None or agent in self._agents:
            return agent
        if re.fullmatch(NAME_PATTERN, agent):
            guess = Guess(agent, self._agents, "there is")
            section.fault("agent", f"no agent is called {quoted(agent)}", guess)
        else:
            section.fault("agent", f'must be one word such as auto or claude, not {quoted(agent)}; see "command"')
        return None

    def directory(self, section: Section, name: str) -> Path | None:
        """Return a directory, absolute: `~` expanded, the rest relative to the project."""
        text = section.line(name)
        if text is None:
            return None
        if text == "~" or text.startswith("~/"):
            text = (self._environ.get("HOME") or str(Path.home())) + text[1:]
        elif text.startswith("~"):
            user = text.partition("/")[0]
            text = os.path.expanduser(text)
            if text.startswith("~"):
                section.fault(name, f'no user {quoted(user[1:])}; a directory of that name is written "./{user}"')
                return None
        return Path(os.path.normpath(self._found.project / text))

    def _prompt(self, section: Section) -> str | None:
        """Return the prompt: text, `{file: path}`, or a list of such parts, joined by empty lines."""
        node = section.value("prompt")
        if node is None:
            return None
        if not isinstance(node, document.Listing):
            return self._part(node, section.key("prompt"), section)
        parts = [
            self._part(item, f"{section.key('prompt')}[{index}]", section) for index, item in enumerate(node.items)
        ]
        text = "\n\n".join(part.strip("\n") for part in parts if part)
        if len(text) > MAX_TEXT:
            section.fault("prompt", f"longer than {MAX_TEXT} characters")
        return text + "\n" if text else ""

    def _part(self, node: document.Node, key: str, section: Section) -> str | None:
        """Return one part of a prompt; the path of a file is relative to the layout file that names it."""
        if isinstance(node, document.Listing):
            section.problems.add(node.mark, key, "must be text or {file: path}, not a list")
            return None
        if not isinstance(node, document.Mapping):
            return section.values.text(node, key)
        source = Section(node, key, section.values)
        source.check_keys(("file",))
        if not list(source):
            section.problems.add(node.mark, key, "must be text or {file: path}")
        name = source.line("file")
        if name is None:
            return None
        try:
            text = read_text(node.mark.path.parent / name, MAX_TEXT)
        except UnreadableError as error:
            source.fault("file", f"{quoted(name)} {error}")
            return None
        if "\0" in text:
            source.fault("file", f"{quoted(name)} holds a NUL")
        return text

    def _env_file(self, section: Section) -> dict[str, str]:
        """Return the variables of the `env_file`s, one or a list; a later file wins."""
        if "env_file" not in section:
            return {}
        from intercom_mux.layout.env_file import EnvFileError, parse_env_file  # most layouts have none

        read: dict[str, str] = {}
        for name in section.words("env_file", lambda text: [text]) or []:
            path = self._path(name)
            try:
                read |= parse_env_file(read_text(path, MAX_TEXT))
            except UnreadableError as error:
                section.fault("env_file", f"{quoted(name)} {error}")
            except EnvFileError as error:
                section.fault("env_file", f"{quoted(name)}, line {error.line}: {error}")
        if IDENTITY_VARIABLE in read:
            section.fault("env_file", f"{IDENTITY_VARIABLE} is set by intercom-mux itself; remove it")
        return read

    def _path(self, text: str) -> Path:
        home = self._environ.get("HOME") or str(Path.home())
        return Path(os.path.normpath(self._found.project / (home + text[1:] if text.startswith("~/") else text)))


def _role(section: Section) -> str | None:
    role = section.line("role")
    if role is not None and (role.split() != [role] or len(role) > _MAX_ROLE):
        section.fault("role", f"must be one word of at most {_MAX_ROLE} characters, not {quoted(role)}")
        return None
    return role


def _env(section: Section) -> dict[str, str]:
    env = section.section("env")
    read: dict[str, str] = {}
    for name in env:
        if not re.fullmatch(VARIABLE_PATTERN, name):
            env.key_fault(name, "an environment variable is named with letters, digits and underscore")
        elif name == IDENTITY_VARIABLE:
            env.key_fault(name, "is set by intercom-mux itself; remove it")
        elif (text := env.text(name)) is not None:
            read[name] = text
    return read


def _command(section: Section) -> tuple[str, ...] | None:
    words = section.words("command", shlex.split)
    if words is not None and not (words and words[0]):
        section.fault("command", "must name a program")
        return None
    return tuple(words) if words else None


def _named(spec: PeerSpec, count: int, section: Section) -> list[PeerSpec]:
    """Return `count` copies of `spec`, each with its name; noting a name that cannot be one, once."""
    names = peer_names(spec.name, count)
    if not re.fullmatch(NAME_PATTERN, names[-1]):
        section.key_fault(spec.name, f"{quoted(names[-1])} cannot be a peer name: {NAME_RULE}")
    return [replace(spec, name=name) for name in names]


def _note_clashes(peers: list[PeerSpec], section: Section) -> None:
    """Note every name that two peers share, at the second one."""
    taken: dict[str, PeerSpec] = {}
    for peer in peers:
        first = taken.setdefault(peer.name.casefold(), peer)
        if first is not peer:
            other = "" if peer.name == first.name else f' (as "{first.name}": case does not count)'
            problem = f"the name {quoted(peer.name)} is taken on line {first.mark.line}{other}"
            section.problems.add(peer.mark, section.key(peer.name), problem)


def _check_branch(section: Section, spec: PeerSpec, count: int) -> None:
    """Note a branch that several peers of one entry would share."""
    branch = spec.worktree.branch if spec.worktree else None
    if count > 1 and branch is not None and "{peer}" not in branch:
        problem = f"{count} peers cannot share the branch {quoted(branch)}: put {{peer}} into its name"
        mark = section.key_mark("worktree") if "worktree" in section else spec.mark
        section.problems.add(mark, section.key("worktree.branch"), problem)
