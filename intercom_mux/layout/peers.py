"""The `defaults` and `peers` of a layout file, read into one `PeerSpec` per peer to run."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from intercom_mux.layout import document
from intercom_mux.layout.expand import MAX_TEXT, peer_names
from intercom_mux.layout.files import UnreadableError, read_text
from intercom_mux.layout.model import NAME_PATTERN, NAME_RULE, VARIABLE_PATTERN, PeerSpec
from intercom_mux.layout.problems import Guess, quoted
from intercom_mux.paths import IDENTITY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intercom_mux.layout.find import Found
    from intercom_mux.layout.section import Section

MAX_COUNT = 40
MAX_PEERS = 100
_MAX_ROLE = 48

SHARED_KEYS = ("role", "agent", "model", "cwd", "env", "prompt", "trust")
PEER_KEYS = (*SHARED_KEYS, "command", "count", "reference")

T = TypeVar("T")


@dataclass
class _Settings:
    """What both `defaults` and a peer may say; None is "not said"."""

    role: str | None = None
    agent: str | None = None
    model: str | None = None
    cwd: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    prompt: str | None = None
    trust: bool | None = None


class PeerReader:
    """Reads the peers of the file `found`; `environ` gives the HOME that `~` stands for, `agents` are those known."""

    def __init__(self, found: Found, environ: Mapping[str, str], agents: Sequence[str]) -> None:
        self._found = found
        self._environ = environ
        self._agents = tuple(dict.fromkeys(agents))

    def read(self, root: Section) -> tuple[list[PeerSpec], list[str]]:
        """Return the peers in file order, counts expanded, and the entries whose count could not be read."""
        defaults = self._settings(root.section("defaults", SHARED_KEYS))
        section = root.section("peers")
        if "peers" not in root:
            root.problems.add(root.mark, "peers", "is missing: a layout has at least one peer")
        elif section.is_given and not list(section):
            root.fault("peers", "is empty: a layout has at least one peer")
        peers: list[PeerSpec] = []
        doubtful: list[str] = []
        for name in section:
            entry = section.section(name, PEER_KEYS)
            count = entry.whole("count", 1, MAX_COUNT) if "count" in entry else 1
            if count is None:
                doubtful.append(name)
            peers += _named(self._peer(name, section, entry, defaults), count or 1, section)
            if len(peers) > MAX_PEERS:
                root.fault("peers", f"a layout may have at most {MAX_PEERS} peers")
                break
        _note_clashes(peers, section)
        return peers, doubtful

    def _peer(self, name: str, peers: Section, section: Section, defaults: _Settings) -> PeerSpec:
        """Return one entry of `peers` with the defaults filled in, its count set aside."""
        own = self._settings(section)
        command = _command(section)
        reference = self._directory(section, "reference")
        for one, other in (("agent", "command"), ("cwd", "reference")):
            if one in section and other in section:
                section.fault(other, f'cannot stand beside "{one}": keep one of the two')
        return PeerSpec(
            name=name,
            role=own.role or defaults.role or name,
            agent=None if command else own.agent or defaults.agent or "auto",
            command=command,
            cwd=reference or own.cwd or defaults.cwd or self._found.project,
            mark=peers.key_mark(name),
            env=defaults.env | own.env,
            prompt=_first(own.prompt, defaults.prompt) or None,
            model=own.model or defaults.model,
            is_reference=reference is not None,
            trust=_first(own.trust, defaults.trust) or False,
        )

    def _settings(self, section: Section) -> _Settings:
        return _Settings(
            role=_role(section),
            agent=self._agent(section),
            model=section.line("model"),
            cwd=self._directory(section, "cwd"),
            env=_env(section),
            prompt=self._prompt(section),
            trust=section.flag("trust"),
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

    def _directory(self, section: Section, name: str) -> Path | None:
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
        """Return the prompt given as text or as `{file: path}`, which is relative to the layout file."""
        node = section.value("prompt")
        if isinstance(node, document.Listing):
            section.fault("prompt", "must be text or {file: path}, not a list")
            return None
        if not isinstance(node, document.Mapping):
            return section.text("prompt")
        source = section.section("prompt", ("file",))
        if not list(source):
            section.fault("prompt", "must be text or {file: path}")
        name = source.line("file")
        if name is None:
            return None
        try:
            text = read_text(self._found.path.parent / name, MAX_TEXT)
        except UnreadableError as error:
            source.fault("file", f"{quoted(name)} {error}")
            return None
        if "\0" in text:
            source.fault("file", f"{quoted(name)} holds a NUL")
        return text


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


def _first(*values: T | None) -> T | None:
    """Return the first that was said."""
    return next((value for value in values if value is not None), None)
