"""The keys of a layout that say how peers live: worktree, depends_on, restart, resources, and the team's commands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from intercom_mux.layout.document import Listing, Mapping
from intercom_mux.layout.model import (
    CONDITIONS,
    KEEP,
    ON_FAILURE,
    RESTARTS,
    Command,
    Dependency,
    Resources,
    Restart,
    Worktree,
)
from intercom_mux.layout.problems import Guess, quoted
from intercom_mux.layout.section import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from intercom_mux.layout.model import Mark, PeerSpec

READY = "ready"
TIMEOUT_S = 600

WORKTREE_KEYS = ("branch", "base", "setup", "keep")
RESTART_KEYS = ("policy", "max_retries", "backoff_s")
RESOURCE_KEYS = ("nice", "memory_mb")
COMMAND_KEYS = ("run", "cwd", "timeout_s", "on_failure")
MAX_NICE, MIN_MEMORY_MB, MAX_MEMORY_MB = 19, 16, 999_999
MAX_RETRIES, MAX_BACKOFF_S, MAX_TIMEOUT_S = 1000, 3600, 86_400


class Wanted(NamedTuple):
    """One thing that an entry waits for, as written."""

    name: str
    condition: str
    mark: Mark


def shell(text: str) -> list[str]:
    """Return the words that run `text` by the shell."""
    return ["sh", "-c", text]


def read_worktree(section: Section) -> Worktree | Literal[False] | None:
    """Return what `worktree` says: true, false, or a mapping; None when absent or faulty."""
    if not isinstance(section.value("worktree"), Mapping):
        flag = section.flag("worktree")
        return Worktree() if flag else None if flag is None else False
    own = section.section("worktree", WORKTREE_KEYS)
    setup = own.words("setup", shell)
    return Worktree(
        branch=own.line("branch"),
        base=own.line("base"),
        setup=Command(tuple(setup)) if setup else None,
        keep=own.choice("keep", KEEP) or "if-changed",
    )


def read_restart(section: Section) -> Restart | None:
    """Return what `restart` says: a policy, or a mapping with one. An unquoted `no` is the word."""
    if not isinstance(section.value("restart"), Mapping):
        policy = _policy(section, "restart")
        return Restart(policy) if policy else None
    own = section.section("restart", RESTART_KEYS)
    if "policy" not in own:
        section.fault("restart", "needs a policy: on-failure or always")
    plain = Restart()
    retries, backoff = own.whole("max_retries", 0, MAX_RETRIES), own.whole("backoff_s", 0, MAX_BACKOFF_S)
    return Restart(
        _policy(own, "policy") or "no",
        plain.max_retries if retries is None else retries,
        plain.backoff_s if backoff is None else backoff,
    )


def _policy(section: Section, name: str) -> str | None:
    word = section.word(name)
    if word is None or word in RESTARTS:
        return word
    if word.lower() in ("false", "off"):
        return "no"  # YAML's other words for an unquoted no
    section.fault(name, f"must be no, on-failure or always, not {quoted(word)}", Guess(word, RESTARTS))
    return None


def read_resources(section: Section) -> Resources | None:
    """Return the hints of `resources`."""
    if "resources" not in section:
        return None
    own = section.section("resources", RESOURCE_KEYS)
    return Resources(own.whole("nice", 0, MAX_NICE), own.whole("memory_mb", MIN_MEMORY_MB, MAX_MEMORY_MB))


def read_commands(
    root: Section, name: str, on_failure: str, directory: Callable[[Section, str], Path | None]
) -> tuple[Command, ...]:
    """Return the commands at `name`: one or a list, each text for `sh` or a mapping with `run`."""
    node = root.value(name)
    if node is None:
        return ()
    items = node.items if isinstance(node, Listing) else [node]
    commands = []
    for index, item in enumerate(items):
        key = f"{name}[{index}]" if isinstance(node, Listing) else name
        if isinstance(item, Mapping):
            commands.append(_command(Section(item, key, root.values), on_failure, directory))
        else:
            text = root.values.text(item, key)
            commands.append(Command(tuple(shell(text)), on_failure=on_failure) if text else None)
            if text is not None and not text.strip():
                root.problems.add(item.mark, key, "must not be empty")
    return tuple(command for command in commands if command is not None)


def _command(own: Section, on_failure: str, directory: Callable[[Section, str], Path | None]) -> Command | None:
    own.check_keys(COMMAND_KEYS)
    argv = own.words("run", shell)
    if "run" not in own:
        own.problems.add(own.mark, own.key("run"), "is missing: the command itself")
    elif argv is not None and not (argv and argv[-1].strip()):
        own.fault("run", "must not be empty")
    cwd = directory(own, "cwd")
    timeout_s = own.whole("timeout_s", 1, MAX_TIMEOUT_S) or TIMEOUT_S
    return Command(tuple(argv or ()), cwd, timeout_s, own.choice("on_failure", ON_FAILURE) or on_failure)


def read_dependencies(section: Section) -> list[Wanted]:
    """Return what `depends_on` names: one name, a list, or lines of name: condition."""
    node = section.value("depends_on")
    if node is None:
        return []
    if isinstance(node, Mapping):
        own = section.section("depends_on", None)
        return [Wanted(name, own.choice(name, CONDITIONS) or READY, own.key_mark(name)) for name in own]
    found = []
    for index, item in enumerate(node.items if isinstance(node, Listing) else [node]):
        key = section.key("depends_on") + (f"[{index}]" if isinstance(node, Listing) else "")
        if name := section.values.text(item, key):
            found.append(Wanted(name, READY, item.mark))
    return found


def resolve_dependencies(
    peers: Sequence[PeerSpec], wanted: dict[str, list[Wanted]], section: Section, doubtful: Sequence[str]
) -> list[PeerSpec]:
    """Return `peers` with what their entries wait for; the name of an entry stands for all of its peers.

    A name that nobody has, nor could have from one of the `doubtful` entries, and a circle are noted as problems of
    `section`, the `peers` of the file.
    """
    by_name: dict[str, list[str]] = {}
    for peer in peers:
        for name in dict.fromkeys((peer.entry, peer.name)):
            by_name.setdefault(name, []).append(peer.name)
    found: dict[str, tuple[Dependency, ...]] = {}
    for entry, wants in wanted.items():
        for want in wants:
            if want.name not in by_name and not any(want.name.startswith(name) for name in doubtful):
                guess = Guess(want.name, tuple(by_name), "the peers are")
                key = f"{section.key(entry)}.depends_on"
                section.problems.add(want.mark, key, f"no peer is named {quoted(want.name)}", guess)
        found[entry] = tuple(Dependency(name, want.condition) for want in wants for name in by_name.get(want.name, ()))
    peers = [replace(peer, depends_on=found.get(peer.entry, ())) for peer in peers]
    _note_circle(peers, section)
    return peers


def _note_circle(peers: Sequence[PeerSpec], section: Section) -> None:
    """Note the first circle of peers that wait for each other, with the whole chain."""
    waits = {peer.name: [dependency.peer for dependency in peer.depends_on] for peer in peers}
    done: set[str] = set()
    for start in peers:
        chain: list[str] = []
        ahead = [(start.name, 0)]
        while ahead:
            name, depth = ahead.pop()
            del chain[depth:]
            if name in chain:
                circle = " -> ".join([*chain[chain.index(name) :], name])
                mark = next(peer.mark for peer in peers if peer.name == name)
                section.problems.add(mark, f"peers.{name}.depends_on", f"waits for itself: {circle}")
                return
            if name not in done:
                chain.append(name)
                ahead += [(other, depth + 1) for other in waits[name]]
        done |= set(chain) | {start.name}
