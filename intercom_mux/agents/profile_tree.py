"""The raw data of a profile and where each part of it is written, so that faults can be told with line and column.

A profile that `extends` another is laid over it: mappings are merged, lists and single values replaced, `args` are
appended, and a key with no value takes the inherited one away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from intercom_mux.layout.problems import Guess, Problems, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from intercom_mux.layout.model import Mark

    Layer = Mapping[str, "Path | Tree"]


@dataclass(frozen=True, slots=True)
class Tree:
    """Plain data of one profile; `places` has the mark of its parts by dotted key, and always "" for the whole."""

    data: Any
    places: dict[str, Mark] = field(default_factory=dict)

    def mark(self, key: str) -> Mark:
        """Return where `key` is written, or the nearest part around it that is."""
        while key not in self.places and key:
            key = re.sub(r"(?:\.?[^.\[]*|\[\d+\])$", "", key)
        return self.places[key]


def assemble(name: str, layers: Sequence[Layer], problems: Problems, prefix: str = "") -> Tree | None:
    """Return the profile `name` with all that it extends laid under it; None after noting why there is none.

    Args:
        layers: Profiles by name, the strongest layer last. One that extends its own name means the layer below.
        prefix: What messages put before the key.
    """
    key = f"{prefix}.extends" if prefix else "extends"
    return _assemble(name, layers, len(layers), problems, key, ())


def _assemble(
    name: str, layers: Sequence[Layer], below: int, problems: Problems, key: str, chain: tuple[str, ...]
) -> Tree | None:
    level = max(level for level in range(below) if name in layers[level])
    tree = _tree(layers[level][name], problems)
    parent = tree.data.get("extends") if tree is not None and isinstance(tree.data, dict) else None
    if tree is None or parent is None:
        return tree
    mark = tree.mark("extends")
    if not isinstance(parent, str):
        problems.add(mark, key, "must be the name of a profile")
        return tree
    reach = level if parent == name else len(layers)
    chain = (*chain, name)
    known = [each for layer in layers[:reach] for each in layer]
    if parent in chain and parent != name:
        problems.add(mark, key, f"goes in a circle: {' → '.join((*chain, parent))}")
        return None
    if parent not in known:
        itself = ", but itself" if parent == name else ""
        guess = Guess(parent, tuple(dict.fromkeys(known)), "there is")
        problems.add(mark, key, f"no profile is named {quoted(parent)}{itself}", guess)
        return None
    base = _assemble(parent, layers, reach, problems, key, chain)
    return None if base is None else _laid_over(base, tree)


def _tree(source: Path | Tree, problems: Problems) -> Tree | None:
    if isinstance(source, Tree):
        return source
    from intercom_mux.agents.profile_yaml import read_tree  # a daemon has trees only, and no need of yaml

    return read_tree(source, problems)


def _laid_over(base: Tree, over: Tree) -> Tree:
    places = base.places | {"": over.places[""]}
    data = _merged(base.data, over.data, "", over.places, places)
    if "args" in base.data and "args" in over.data and isinstance(data["args"], list):
        data["args"] = [*base.data["args"], *data["args"]]
    return Tree(data, places)


def _merged(base: Any, over: Any, key: str, from_over: Mapping[str, Mark], places: dict[str, Mark]) -> Any:
    """Return `over` laid over `base`; `places` gets the marks of what was taken from `over`."""
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        for name, value in over.items():
            inner = f"{key}.{name}" if key else name
            if value is None:
                merged.pop(name, None)
                continue
            merged[name] = _merged(base.get(name), value, inner, from_over, places)
            places[inner] = from_over.get(inner, from_over[""])
        return merged
    places.update((place, mark) for place, mark in from_over.items() if place.startswith(key))
    return over
