"""The text files under a directory, read in a fixed order within bounds.

Symbolic links are not followed, so no loop and no way out of the directory. Hidden files (`.env`, `.git`), files that
customarily hold secrets, dependency folders, binary and large files, and what `.gitignore` files exclude are left out.
"""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intercom_mux.agents.demo.search import Document
from intercom_mux.host import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE_MAX_BYTES = 512 * 1024
"""Larger files are skipped."""

FILES_MAX = 20_000
"""Reading stops after so many files."""

TIME_MAX_S = 2.0
"""Reading stops after so many seconds, the time spent by the consumer between two files included."""

_SNIFFED_BYTES = 8192
_SKIPPED_DIRECTORIES = frozenset({"node_modules", "venv", "__pycache__", "site-packages", "bower_components"})
_VISIBLE_HIDDEN = frozenset({".github"})
_RULES_MAX = 1000
_GLOB = re.compile(r"\*\*/|\*\*|\[[^\]/]+\]|.", re.DOTALL)
_WILDCARDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_SECRETS = re.compile(
    r"(?i)(?:id_(?:rsa|dsa|ecdsa|ed25519)|.*\.(?:pem|key|p12|pfx|kdbx)|credentials(?:\.json)?|secrets?\.(?:json|ya?ml|toml))$"
)


@dataclass(slots=True)
class Tree:
    """One walk over `root`; iterate `documents()` once, then read the counts.

    `stopped_by` is "" when the whole tree was seen, else the bound that ended the walk.
    """

    root: Path
    time_max_s: float = TIME_MAX_S
    files_max: int = FILES_MAX
    clock: Callable[[], float] = time.monotonic
    read: int = 0
    stopped_by: str = ""

    def documents(self) -> Iterator[Document]:
        """Yield the readable text files, files before subdirectories, both by name. Unreadable places are skipped."""
        deadline = self.clock() + self.time_max_s
        for path, name in _entries(os.fspath(self.root)):
            if self.clock() > deadline:
                self.stopped_by = f"{self.time_max_s:g} s"
                return
            if self.read == self.files_max:
                self.stopped_by = f"{self.files_max} files"
                return
            text = _text(path) if path else None
            if text is not None:
                self.read += 1
                yield Document(name, text)


def _entries(root: str) -> Iterator[tuple[str, str]]:
    """Yield (path, name relative to `root`) of every file to read, depth first; ("", name) for what is left out.

    The latter lets the caller stop in the midst of a directory of which nothing is read.
    """
    pending: list[tuple[str, str, tuple[_Rule, ...]]] = [(root, "", ())]
    while pending:
        directory, prefix, rules = pending.pop()
        try:
            with os.scandir(directory) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        rules = (*rules, *_read_rules(directory, prefix, found))
        below = []
        for entry in found:
            name = prefix + entry.name
            try:
                is_directory = entry.is_dir(follow_symlinks=False)
                is_file = entry.is_file(follow_symlinks=False)
            except OSError:
                continue
            if not (is_directory or is_file) or _is_left_out(entry.name, name, rules, is_directory=is_directory):
                yield "", name
            elif is_directory:
                below.append((entry.path, name + "/", rules))
            else:
                yield entry.path, os.fsencode(name).decode("utf-8", "replace")
        pending += reversed(below)


def _is_left_out(base: str, name: str, rules: tuple[_Rule, ...], *, is_directory: bool) -> bool:
    if base.startswith(".") and base not in _VISIBLE_HIDDEN:
        return True
    if base in _SKIPPED_DIRECTORIES if is_directory else _SECRETS.match(base):
        return True
    ignored = False
    for rule in rules:
        if (is_directory or not rule.is_for_directories) and rule.pattern.match(name):
            ignored = not rule.is_negated
    return ignored


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of a .gitignore; `pattern` matches names relative to the walk's root. The last matching rule decides."""

    pattern: re.Pattern[str]
    is_negated: bool
    is_for_directories: bool


def _read_rules(directory: str, prefix: str, entries: list[os.DirEntry[str]]) -> list[_Rule]:
    if not any(entry.name == ".gitignore" for entry in entries):
        return []
    text = _text(os.path.join(directory, ".gitignore"))
    found = [_rule(line, prefix) for line in (text or "").splitlines()[:_RULES_MAX]]
    return [rule for rule in found if rule]


def _rule(line: str, prefix: str) -> _Rule | None:
    """Return the rule of a .gitignore line in directory `prefix`; None for blanks and comments."""
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    is_negated = line.startswith("!")
    line = line.removeprefix("!")
    body = line.strip("/")
    if not body:
        return None
    is_anchored = "/" in line.rstrip("/")
    glob = "".join(_regex(piece) for piece in _GLOB.findall(body))
    where = "" if is_anchored else "(?:.*/)?"
    try:
        pattern = re.compile(f"(?s:{re.escape(prefix)}{where}{glob})$")
    except re.error:
        return None
    return _Rule(pattern, is_negated, line.endswith("/"))


def _regex(piece: str) -> str:
    """Return the regular expression of one piece of a glob."""
    if piece in _WILDCARDS:
        return _WILDCARDS[piece]
    if len(piece) < 3:
        return re.escape(piece)
    members = re.sub(r"(?<=\w)\\-(?=\w)", "-", re.escape(piece[1:-1].removeprefix("!")))
    return f"[{'^' if piece[1] == '!' else ''}{members}]" if members else re.escape(piece)


def _text(path: str) -> str | None:
    """Return a small regular text file's content; None when it is not one or cannot be read."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode) or info.st_size > FILE_MAX_BYTES:
                return None
            data = file.read(FILE_MAX_BYTES)
    except (OSError, ValueError):
        return None
    return None if b"\0" in data[:_SNIFFED_BYTES] else data.decode("utf-8", "replace")


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | files.EXACT | files.WITHOUT_WAITING)
