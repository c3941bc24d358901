"""The `arrange` and `focus` of a layout file: a word, or a tree of columns and rows in one window or several."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from intercom_mux.layout.document import Listing, Mapping
from intercom_mux.layout.model import ARRANGEMENTS, Arrangement, Leaf, Split, Window, leaves
from intercom_mux.layout.problems import Guess, quoted
from intercom_mux.layout.section import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.layout.document import Node as Written
    from intercom_mux.layout.model import Mark, Node, PeerSpec
    from intercom_mux.layout.section import Values

Direction = Literal["columns", "rows"]

NODE_KEYS = ("columns", "rows", "peer", "size", "focus")
WINDOW_KEYS = ("name", "columns", "rows", "peer", "focus")
_SIZE = re.compile(r"[1-9][0-9]?%|[1-9][0-9]{0,3}")
SIZE_PATTERN = rf"^({_SIZE.pattern})$"


def read_arrangement(root: Section, peers: Sequence[PeerSpec]) -> tuple[Arrangement, list[str]]:
    """Return the arrangement, complete if no problem was noted, and what the user should be told about it."""
    focus = root.line("focus")
    names = [peer.name for peer in peers]
    if focus is not None and focus not in names:
        root.fault("focus", f"no peer is named {quoted(focus)}", Guess(focus, tuple(names), "the peers are"))
    if not isinstance(root.value("arrange"), Mapping):
        return Arrangement(root.choice("arrange", ARRANGEMENTS) or "main-left", focus), []
    reader = _Reader(root.values, peers)
    windows = reader.windows(root.section("arrange"))
    left = [name for name in names if name not in reader.placed]
    if not windows or not left:
        return Arrangement(tuple(windows), focus or reader.focus), []
    *others, last = windows
    windows = [*others, Window(last.name, _with_rows(last.node, left))]
    return Arrangement(tuple(windows), focus or reader.focus), [f"arrange does not name {', '.join(left)}: put last"]


class _Reader:
    """Reads one tree; `placed` are the peers met so far, `focus` the one that is marked so."""

    def __init__(self, values: Values, peers: Sequence[PeerSpec]) -> None:
        self.placed: dict[str, Mark] = {}
        self.focus: str | None = None
        self._values = values
        self._problems = values.problems
        self._peers = peers

    def windows(self, section: Section) -> list[Window]:
        if "windows" not in section:
            node = self._split_or_peer(section, NODE_KEYS[:2], "rows")
            return [Window("", node)] if node else []
        section.check_keys(("windows",))
        written = section.value("windows")
        if not isinstance(written, Listing) or not written.items:
            section.fault("windows", "must be a list of windows, each with a name and columns, rows or a peer")
            return []
        return [
            window
            for index, item in enumerate(written.items)
            if (window := self._window(item, f"arrange.windows[{index}]"))
        ]

    def _window(self, item: Written, key: str) -> Window | None:
        if not isinstance(item, Mapping):
            self._problems.add(
                item.mark, key, f"must be a mapping with a name and columns, rows or a peer, not {item.kind}"
            )
            return None
        section = Section(item, key, self._values)
        name = section.line("name")
        if "name" not in section:
            self._problems.add(section.mark, key, "needs a name")
        node = self._split_or_peer(section, WINDOW_KEYS, "rows")
        return Window(name or "", node) if node else None

    def _split_or_peer(self, section: Section, known: Sequence[str], across: Direction) -> Node | None:
        """Return what a mapping holds; `across` is how the peers of one entry are put."""
        section.check_keys(known)
        kinds = [name for name in NODE_KEYS[:3] if name in known and name in section]
        if len(kinds) != 1:
            wanted = "columns, rows or peer" if "peer" in known else "columns, rows or windows"
            self._problems.add(section.mark, section.path, f"needs one of {wanted}")
            return None
        if kinds[0] == "peer":
            node = section.value("peer")
            leaf = self._entry(node, section.key("peer"), across) if node else None
            if section.flag("focus") and leaf:
                self._note_focus(section, leaf)
            return leaf
        if "focus" in section:
            section.fault("focus", "belongs to a peer, not to a split")
        direction: Direction = "columns" if kinds[0] == "columns" else "rows"
        return self._split(section, direction)

    def _note_focus(self, section: Section, node: Node) -> None:
        if self.focus is not None:
            section.fault("focus", f"{self.focus} has the focus already")
        self.focus = next(leaves(node))

    def _split(self, section: Section, direction: Direction) -> Split | None:
        written = section.value(direction)
        if not isinstance(written, Listing) or not written.items:
            section.fault(direction, "must be a list of peers and splits")
            return None
        across: Direction = "rows" if direction == "columns" else "columns"
        children: list[Node] = []
        sizes: list[str | None] = []
        for index, item in enumerate(written.items):
            key = f"{section.key(direction)}[{index}]"
            if isinstance(item, Mapping):
                own = Section(item, key, self._values)
                child, size = self._split_or_peer(own, NODE_KEYS, across), _size(own)
            else:
                child, size = self._entry(item, key, across), None
            if child is not None:
                children.append(child)
                sizes.append(size)
        if sum(int(size[:-1]) for size in sizes if size and size.endswith("%")) > 100:
            section.fault(direction, "the sizes come to more than 100%")
        return Split(direction, tuple(children), tuple(sizes)) if children else None

    def _entry(self, item: Written, key: str, across: Direction) -> Node | None:
        """Return the peers that a name stands for: one, or all of an entry with a count."""
        name = self._values.text(item, key)
        if name is None:
            return None
        found = [peer.name for peer in self._peers if name in (peer.name, peer.entry)]
        if not found:
            known = tuple(dict.fromkeys(word for peer in self._peers for word in (peer.entry, peer.name)))
            if known:
                self._problems.add(
                    item.mark, key, f"no peer is named {quoted(name)}", Guess(name, known, "the peers are")
                )
            return None
        for peer in found:
            if peer in self.placed:
                self._problems.add(item.mark, key, f"{peer} is placed already, on line {self.placed[peer].line}")
                return None
            self.placed[peer] = item.mark
        if len(found) == 1:
            return Leaf(found[0])
        return Split(across, tuple(map(Leaf, found)), (None,) * len(found))


def _size(section: Section) -> str | None:
    size = section.word("size")
    if size is None or _SIZE.fullmatch(size):
        return size
    section.fault("size", f"must be as 40% (of the whole) or 30 (cells), not {quoted(size)}")
    return None


def _with_rows(node: Node, names: Sequence[str]) -> Node:
    """Return `node` with `names` as further rows of its last split."""
    more = tuple(map(Leaf, names))
    if isinstance(node, Split) and isinstance(node.children[-1], Split):
        return Split(node.direction, (*node.children[:-1], _with_rows(node.children[-1], names)), node.sizes)
    if isinstance(node, Split) and node.direction == "rows":
        return Split("rows", (*node.children, *more), (*node.sizes, *[None] * len(more)))
    if isinstance(node, Split):
        return Split("columns", (*node.children[:-1], _with_rows(node.children[-1], names)), node.sizes)
    return Split("rows", (node, *more), (None,) * (1 + len(more)))
