"""A tree of columns and rows as tmux's own layout string (`select-layout`), and where a new peer goes. Pure.

tmux gives the cells of a layout string to the panes of the window in their order, so panes are opened in reading order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.layout.model import Leaf, Split, Window, leaves

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from intercom_mux.layout.model import Node

_LEAST = 2
"""Cells that every pane keeps in each direction; one of them may be its border line."""

PANE_WIDTH, PANE_HEIGHT = 80, 12


def layout_string(node: Node, width: int, height: int) -> str:
    """Return the layout of a window of `width` by `height` cells, with the checksum that tmux wants before it."""
    cells = _cells(node, width, height, 0, 0)
    checksum = 0
    for char in cells.encode():
        checksum = ((checksum >> 1) + ((checksum & 1) << 15) + char) & 0xFFFF
    return f"{checksum:04x},{cells}"


def _cells(node: Node, width: int, height: int, left: int, top: int) -> str:
    place = f"{width}x{height},{left},{top}"
    if isinstance(node, Leaf):
        return f"{place},0"
    is_columns = node.direction == "columns"
    inner = []
    for child, length in zip(node.children, shares(width if is_columns else height, node.sizes), strict=True):
        inner.append(_cells(child, *((length, height) if is_columns else (width, length)), left, top))
        left, top = (left + length + 1, top) if is_columns else (left, top + length + 1)
    opened, closed = "{}" if is_columns else "[]"
    return f"{place}{opened}{','.join(inner)}{closed}"


def shares(total: int, sizes: Sequence[str | None]) -> list[int]:
    """Return the cells of each child of a split that is `total` long, which come to it with a line between each two.

    Percents are of `total`. Sizes that do not leave `_LEAST` for everybody are cut in proportion; if all children have
    sizes, they are stretched or cut in proportion to fit.
    """
    room = total - (len(sizes) - 1)
    wanted = [None if size is None else _cells_of(size, total) for size in sizes]
    free = wanted.count(None)
    fixed = sum(length for length in wanted if length is not None)
    limit = room - free * _LEAST
    if fixed and (fixed > limit or not free):
        wanted = [None if length is None else max(_LEAST, length * limit // fixed) for length in wanted]
    left = room - sum(length for length in wanted if length is not None)
    shared = iter(_even(left, free))
    lengths = [next(shared) if length is None else length for length in wanted]
    lengths[-1] += room - sum(lengths)
    return lengths


def _cells_of(size: str, total: int) -> int:
    return max(_LEAST, total * int(size[:-1]) // 100) if size.endswith("%") else max(_LEAST, int(size))


def _even(total: int, count: int) -> list[int]:
    return [total // count + (index < total % count) for index in range(count)] if count else []


def room_for(node: Node) -> tuple[int, int]:
    """Return width and height that leave every pane room for an agent's screen, given equal shares."""
    if isinstance(node, Leaf):
        return PANE_WIDTH, PANE_HEIGHT
    widths, heights = zip(*map(room_for, node.children), strict=True)
    lines = len(node.children) - 1
    if node.direction == "columns":
        return max(widths) * len(widths) + lines, max(heights)
    return max(widths), max(heights) * len(heights) + lines


def only(node: Node, peers: Collection[str]) -> Node:
    """Return the tree with the leaves of `peers` alone, of which it has one at least; splits of one child go."""
    return _only(node, peers) or node


def _only(node: Node, peers: Collection[str]) -> Node | None:
    if isinstance(node, Leaf):
        return node if node.peer in peers else None
    kept = [
        (each, size) for child, size in zip(node.children, node.sizes, strict=True) if (each := _only(child, peers))
    ]
    if not kept:
        return None
    if len(kept) == 1:
        return kept[0][0]
    children, sizes = zip(*kept, strict=True)
    return Split(node.direction, children, sizes)


def placed(windows: Sequence[Window], peers: Sequence[str]) -> list[Window]:
    """Return `windows` with each of `peers` in one of them; one that has no place yet goes beside a sibling."""
    found = list(windows)
    for peer in peers:
        others = [other for window in found for other in leaves(window.node)]
        if peer not in others:
            beside = sibling(peer, others)
            found = [Window(window.name, put_in(window.node, peer, beside)) for window in found]
    return found


def put_in(node: Node, peer: str, beside: str) -> Node:
    """Return the tree with `peer` after the leaf `beside`, as a further row, or column where columns are its home."""
    if isinstance(node, Leaf):
        return Split("rows", (node, Leaf(peer)), (None, None)) if node.peer == beside else node
    if Leaf(beside) in node.children:
        at = node.children.index(Leaf(beside)) + 1
        children = (*node.children[:at], Leaf(peer), *node.children[at:])
        return Split(node.direction, children, (*node.sizes[:at], None, *node.sizes[at:]))
    return Split(node.direction, tuple(put_in(child, peer, beside) for child in node.children), node.sizes)


def sibling(peer: str, others: Sequence[str]) -> str:
    """Return whom of `others` a peer without a place goes beside: the last one of its entry, else the last one.

    `worker-4` is of one entry with `worker-1` and `worker`.
    """
    entry = _entry(peer)
    return next((other for other in reversed(others) if _entry(other) == entry), others[-1])


def _entry(peer: str) -> str:
    stem, dash, number = peer.rpartition("-")
    return stem if dash and number.isdecimal() else peer
