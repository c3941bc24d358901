"""Where surfaces go in psmux: which pane is split, how, and how much of it the new one takes. Pure; for `psmux` only.

Everything is splits of what was opened, in an order that leaves each region its share; what finds no room is a window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from intercom_mux.layout.model import Arrangement, Leaf, Split, Window, leaves
from intercom_mux.mux.tmux_layout import only, placed, room_for, shares, sibling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intercom_mux.layout.model import Node

WIDTH, HEIGHT = 220, 50
"""Cells of a window that nobody watches yet."""


@dataclass(frozen=True, slots=True)
class Step:
    """Open `peer` as the right or lower part of `beside`, `percent` of it; or (None) in a window called `window`."""

    peer: str
    beside: str | None = None
    direction: Literal["columns", "rows"] = "rows"
    percent: int = 50
    window: str = ""


def steps(session: str, arrangement: Arrangement, peers: Sequence[str]) -> list[Step]:
    """Return how to open `peers`, one at least and none of which runs yet, each after the one it stands beside."""
    found: list[Step] = []
    for window in _windows(session, arrangement, peers):
        wanted = [peer for peer in leaves(window.node) if peer in peers]
        if wanted:
            tree = only(window.node, wanted)
            found += [Step(_first(tree), window=window.name or session), *_splits(tree, *_size(tree))]
    return found


def joining(arrangement: Arrangement, peers: Sequence[str], running: Sequence[str]) -> list[Step]:
    """Return how to add `peers` to a team that runs: beside a sibling, or each in a window where that is the rule."""
    if arrangement.kind in ("windows", "sessions"):
        return [Step(peer, window=peer) for peer in peers]
    found, others = [], list(running)
    for peer in peers:
        found.append(Step(peer, sibling(peer, others), window=peer))
        others.append(peer)
    return found


def _windows(session: str, arrangement: Arrangement, peers: Sequence[str]) -> list[Window]:
    kind = arrangement.kind
    if not isinstance(kind, str):
        return placed(kind, peers)
    if kind in ("windows", "sessions"):
        return [Window(peer, Leaf(peer)) for peer in peers]
    return [Window(session, _tree(kind, peers))]


def _tree(word: str, peers: Sequence[str]) -> Node:
    if word in ("rows", "columns"):
        return _line(word, [Leaf(peer) for peer in peers])
    if word == "tiled":
        across = math.ceil(math.sqrt(len(peers)))
        rows = [peers[at : at + across] for at in range(0, len(peers), across)]
        return _line("rows", [_line("columns", [Leaf(peer) for peer in row]) for row in rows])
    first, *rest = (Leaf(peer) for peer in peers)
    outer, inner = ("columns", "rows") if word == "main-left" else ("rows", "columns")
    return _line(outer, [first, _line(inner, rest)]) if rest else first


def _line(direction: str, nodes: Sequence[Node]) -> Node:
    if len(nodes) == 1:
        return nodes[0]
    return Split("columns" if direction == "columns" else "rows", tuple(nodes), (None,) * len(nodes))


def _size(node: Node) -> tuple[int, int]:
    """Return cells enough for the shares of everybody, be they there or not."""
    width, height = room_for(node)
    return max(WIDTH, width), max(HEIGHT, height)


def _splits(node: Node, width: int, height: int) -> Iterator[Step]:
    """Part a region among the children, then each child's own; a region is held by the first peer in it."""
    if isinstance(node, Leaf):
        return
    lengths = shares(width if node.direction == "columns" else height, node.sizes)
    for at, (before, child) in enumerate(zip(node.children, node.children[1:], strict=False)):
        percent = round(100 * sum(lengths[at + 1 :]) / sum(lengths[at:]))
        yield Step(_first(child), _first(before), node.direction, min(max(percent, 1), 99), _first(child))
    for child, length in zip(node.children, lengths, strict=True):
        yield from _splits(child, *((length, height) if node.direction == "columns" else (width, length)))


def _first(node: Node) -> str:
    return next(leaves(node))
