"""Where surfaces go in cmux: which one is split, and in which direction. Pure; imported by `cmux` only.

A team opens beside the surface that `up` was called in, which stays as it is: right of it first, then further splits
of what was opened. cmux divides evenly, so sizes are not realised; further windows become tabs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from intercom_mux.layout.model import Arrangement, Leaf, Split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intercom_mux.layout.model import Node

How = Literal["right", "down", "tab"]


@dataclass(frozen=True, slots=True)
class Step:
    """Open `peer` by splitting the surface of `beside` (None: the one we come from), or as a tab of its pane."""

    peer: str
    beside: str | None
    how: How


def steps(arrangement: Arrangement, peers: Sequence[str]) -> list[Step]:
    """Return how to open `peers`, none of which runs yet, each after the one that it stands beside."""
    if not isinstance(arrangement.kind, str):
        return list(_windows(arrangement, peers))
    first, *rest = peers
    if arrangement.kind in ("windows", "sessions"):
        return [Step(first, None, "right"), *(Step(peer, first, "tab") for peer in rest)]
    if arrangement.kind == "tiled":
        return [Step(first, None, "right"), *(_tile(peers, index) for index in range(1, len(peers)))]
    begin, further = _WORDS[arrangement.kind]
    return [Step(first, None, begin), *(Step(peer, peers[at], further) for at, peer in enumerate(rest))]


def joining(arrangement: Arrangement, peers: Sequence[str], last: str) -> list[Step]:
    """Return how to add `peers` to a team that runs, beside its surface `last`."""
    is_tabbed = arrangement.kind in ("windows", "sessions")
    before = [last, *peers[:-1]]
    return [Step(peer, beside, "tab" if is_tabbed else "down") for peer, beside in zip(peers, before, strict=True)]


_WORDS: dict[str, tuple[How, How]] = {
    "main-left": ("right", "down"),
    "rows": ("right", "down"),
    "columns": ("right", "right"),
    "main-top": ("down", "right"),
}


def _tile(peers: Sequence[str], index: int) -> Step:
    """Two rows that grow to the right."""
    return Step(peers[1], peers[0], "down") if index == 1 else Step(peers[index], peers[index - 2], "right")


def _windows(arrangement: Arrangement, peers: Sequence[str]) -> Iterator[Step]:
    wanted = set(peers)
    trees = [
        tree for window in arrangement.kind if not isinstance(window, str) and (tree := _kept(window.node, wanted))
    ]
    first = _first(trees[0])
    yield Step(first, None, "right")
    yield from _splits(trees[0])
    placed = {first, *(step.peer for step in _splits(trees[0]))}
    yield from (Step(peer, first, "tab") for peer in peers if peer not in placed)


def _kept(node: Node, wanted: set[str]) -> Node | None:
    """Return the tree without the peers that are not to be opened."""
    if isinstance(node, Leaf):
        return node if node.peer in wanted else None
    pairs = [
        (kept, size) for child, size in zip(node.children, node.sizes, strict=True) if (kept := _kept(child, wanted))
    ]
    if len(pairs) < 2:
        return pairs[0][0] if pairs else None
    return Split(node.direction, tuple(kept for kept, _ in pairs), tuple(size for _, size in pairs))


def _splits(node: Node) -> Iterator[Step]:
    """Part a region among the children, then each child's own; a region is held by the first peer in it."""
    if isinstance(node, Leaf):
        return
    how: How = "right" if node.direction == "columns" else "down"
    for before, child in zip(node.children, node.children[1:], strict=False):
        yield Step(_first(child), _first(before), how)
    for child in node.children:
        yield from _splits(child)


def _first(node: Node) -> str:
    return node.peer if isinstance(node, Leaf) else _first(node.children[0])
