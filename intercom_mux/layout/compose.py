"""`extends` and `include`: several files put together into one tree, before anything of it is read.

Later wins: what a file extends, then what it includes in the order given, then the file itself. Mappings are merged key
by key; everything else is replaced as a whole, `arrange`, `prompt` and lists too; nothing (`key:`) takes a key away.
Every node keeps the place it was written at.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.errors import LayoutError
from intercom_mux.layout.document import Entry, Listing, Mapping, Scalar
from intercom_mux.layout.problems import Guess, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.layout.document import Node
    from intercom_mux.layout.problems import Problems

MAX_FILES = 50
"""Files that one layout may be put together from."""

INCLUDED_KEYS = ("version", "vars", "agents", "roles", "peers")
"""What an included file may say."""

_ITS_OWN = ("extends", "include", "name", "description")
"""What a file does not hand on."""

_WHOLE = ("arrange", "prompt", "restart", "command", "notify", "depends_on")
"""Replaced even where both are mappings."""


class Composer:
    """Puts the files of one layout together. `read` gives the text and the outermost mapping of a file, or raises."""

    def __init__(self, project: Path, problems: Problems, read: Callable[[Path], tuple[str, Mapping]]) -> None:
        self._project = project
        self._problems = problems
        self._read = read
        self._files = 0

    def compose(self, path: Path, root: Mapping, text: str) -> tuple[Mapping, str]:
        """Return the whole as one mapping, and the texts of all files one after the other."""
        return self._compose(path, root, text, ())

    def _compose(self, path: Path, root: Mapping, text: str, above: tuple[Path, ...]) -> tuple[Mapping, str]:
        chain = (*above, path)
        merged, texts = Mapping(root.mark), [text]
        for key in ("extends", "include"):
            for node in self._names(root, key):
                base = self._base(node, key, chain)
                if base is None:
                    continue
                mapping, more = base
                texts.append(more)
                handed_on = {name: entry for name, entry in mapping.entries.items() if name not in _ITS_OWN}
                merged = merge(merged, Mapping(mapping.mark, handed_on))
        return merge(merged, root), "\n".join(texts)

    def _names(self, root: Mapping, key: str) -> list[Scalar]:
        """Return what `extends` (one) or `include` (one or a list) names."""
        entry = root.entries.get(key)
        if entry is None:
            return []
        is_list = isinstance(entry.value, Listing) and key == "include"
        items = entry.value.items if is_list and isinstance(entry.value, Listing) else [entry.value]
        names = []
        for item in items:
            if not isinstance(item, Scalar) or item.kind != "text" or not item.text.strip():
                what = "a name or a path" if key == "extends" else "a path or a list of paths"
                self._problems.add(item.mark, key, f"must be {what}")
            elif "${" in item.text:
                self._problems.add(item.mark, key, "no variables can stand here: they are read later")
            else:
                names.append(item)
        return names

    def _base(self, node: Scalar, key: str, chain: tuple[Path, ...]) -> tuple[Mapping, str] | None:
        """Return the file that `node` names, itself put together; None after noting why not."""
        path = self._find(node, key, chain[-1])
        if path is None:
            return None
        files = [os.path.realpath(file) for file in chain]
        if os.path.realpath(path) in files:
            first = files.index(os.path.realpath(path))
            told = " -> ".join(shown(file) for file in (*chain[first:], path))
            self._problems.add(node.mark, key, f"comes back to itself: {told}")
            return None
        self._files += 1
        if self._files > MAX_FILES:
            self._problems.add(node.mark, key, f"a layout may be put together from at most {MAX_FILES} files")
            raise self._problems.error()
        try:
            text, root = self._read(path)
        except LayoutError as error:
            if not error.fields.get("problems"):
                self._problems.add(node.mark, key, error.message)
                return None
            raise
        self._check(root, key)
        return self._compose(path, root, text, chain)

    def _find(self, node: Scalar, key: str, layout: Path) -> Path | None:
        text = node.text
        if os.sep in text or re.search(r"\.ya?ml$", text) or key == "include":
            path = Path(os.path.normpath(layout.parent / os.path.expanduser(text)))
            if path.is_file():
                return path
            beside = [file.name for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
            guess = Guess(path.name, tuple(sorted(beside)))
            self._problems.add(node.mark, key, f"there is no file {quoted(shown(path))}", guess)
            return None
        from intercom_mux.layout.find import named_layouts

        places = named_layouts(self._project)
        for path in places.get(text, ()):
            if not path.samefile(layout):
                return path
        guess = Guess(text, tuple(places), "there is")
        self._problems.add(node.mark, key, f"there is no layout {quoted(text)}", guess)
        return None

    def _check(self, root: Mapping, key: str) -> None:
        """Note a file of another version, and what an included file may not say."""
        version = root.entries.get("version")
        if version is None:
            self._problems.add(root.mark, "version", 'is missing: a layout starts with "version: 1"')
        elif not isinstance(version.value, Scalar) or version.value.text != "1":
            self._problems.add(version.value.mark, "version", "must be 1")
        for name, entry in root.entries.items():
            if key == "include" and name not in INCLUDED_KEYS:
                guess = Guess(name, INCLUDED_KEYS, "an included file has")
                self._problems.add(entry.mark, name, "cannot stand in an included file", guess)


def merge(weaker: Mapping, stronger: Mapping) -> Mapping:
    """Return both in one, the keys of `weaker` first."""
    entries = dict(weaker.entries)
    for name, entry in stronger.entries.items():
        before = entries.get(name)
        if before is not None and _is_nothing(entry.value):
            del entries[name]
        elif before is not None and name not in _WHOLE:
            entries[name] = Entry(entry.mark, _merged(before.value, entry.value))
        else:
            entries[name] = entry
    return Mapping(stronger.mark, entries)


def _merged(weaker: Node, stronger: Node) -> Node:
    if isinstance(weaker, Mapping) and isinstance(stronger, Mapping):
        return merge(weaker, stronger)
    return stronger


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.kind == "nothing"
