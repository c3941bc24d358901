"""YAML text to a small tree of nodes that know their place. Nothing here knows what a layout is.

Built from parser events, with aliases shared rather than copied: the tree is never larger than the file, and never
cyclic. A scalar keeps the text as written; only booleans and nulls are told apart, so `1.10` and `0755` stay text.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from intercom_mux.layout.model import Mark
from intercom_mux.layout.problems import quoted

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.layout.problems import Problems

MAX_DEPTH = 20
"""Levels of nesting a file may have; a layout needs five."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG_KINDS = {"tag:yaml.org,2002:bool": "a boolean", "tag:yaml.org,2002:null": "nothing"}

_ASCII = frozenset("\t\n\r" + "".join(map(chr, range(0x20, 0x7F))))
_BEYOND = ((0x85, 0x85), (0xA0, 0xD7FF), (0xE000, 0xFEFE), (0xFF00, 0xFFFD), (0x10000, 0x10FFFF))
"""What YAML 1.1 allows in a file (its production `c-printable`), without the byte order mark. Not a regex: to compile
one of these ranges takes longer than to read a layout."""

_SYNTAX = (
    ("mapping values are not", 'a ":" is not expected here: quote a value that has one, or look at the line above'),
    ("sequence entries are not allowed", 'a "- " is not expected here: a list starts on a line of its own'),
    ("could not find expected ':'", 'expected "key: value"'),
    ("expected ',' or", "this does not fit between brackets: check commas and brackets, and quote a ${…}"),
    ("did not find expected key", "this does not fit the lines above it: check indentation and quotes"),
    ("did not find expected '-'", "this does not fit the list above it: check the indentation"),
    ("expected <block end>", "this does not fit the lines above it: check indentation and quotes"),
    ("unexpected end of stream", "this quote is never closed"),
    ("unknown escape character", "a backslash in double quotes starts an escape: use single quotes, or write it twice"),
    ("node content", "a value is expected here"),
)
"""What the parsers say (libyaml's words, then PyYAML's own), and what a person can act on; the first that fits."""


class Source:
    """The text of a file and its lines; turns an offset in characters into a place, always inside the file."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self._starts = [0, *(offset + 1 for offset, char in enumerate(text) if char == "\n")]
        self._last = max(len(text.rstrip()) - 1, 0)

    def mark(self, offset: int) -> Mark:
        """Return the place of `offset`; a line's end, and all beyond the last line, is the character before it."""
        offset = min(offset, self._last)
        line = bisect_right(self._starts, offset)
        start = self._starts[line - 1]
        while offset > start and self.text[offset] in "\r\n":
            offset -= 1
        return Mark(self.path, line, offset - start + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A single value as written. `kind` is "text", "a boolean" or "nothing"; quoted values are always text."""

    source: Source
    start: int
    end: int
    text: str
    kind: str

    @property
    def mark(self) -> Mark:
        return self.source.mark(self.start)

    def mark_of(self, fragment: str) -> Mark:
        """Return where `fragment` first stands in the value as written, else where the value starts."""
        found = self.source.text.find(fragment, self.start, self.end)
        return self.source.mark(found if found >= 0 else self.start)


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """A YAML sequence."""

    mark: Mark
    items: list[Node] = field(default_factory=list)
    kind = "a list"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A value of a mapping, with the place of its key."""

    mark: Mark
    value: Node


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """A YAML mapping in file order; of a key written twice the first stays."""

    mark: Mark
    entries: dict[str, Entry] = field(default_factory=dict)
    kind = "a mapping"


Node = Scalar | Listing | Mapping


def parse(path: Path, text: str, problems: Problems) -> Node | None:
    """Return the one document of `text`, or None when it is empty or cannot be read; faults go to `problems`."""
    source = Source(path, text)
    forbidden = [char for char in set(text) - _ASCII if not any(low <= ord(char) <= high for low, high in _BEYOND)]
    if forbidden:
        offset = min(map(text.index, forbidden))
        problems.add(source.mark(offset), "", f"the control character {quoted(text[offset])} is not allowed")
        return None
    return _Builder(source, problems).document()


class _Refused(Exception):
    """Reading cannot go on from here."""

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(problem)
        self.offset = offset
        self.problem = problem


class _Builder:
    """Turns the events of one parser run into nodes. Events are `Any`: the published types lack their attributes."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self._source = source
        self._problems = problems
        self._events = _LOADER(source.text)
        self._anchors: dict[str, Node | None] = {}
        """Finished nodes by anchor; None while the anchored node is still being read."""

    def document(self) -> Node | None:
        try:
            self._events.get_event()  # the start of the stream
            if self._events.check_event(yaml.StreamEndEvent):
                return None
            self._events.get_event()  # the start of the document
            node = self._node(0)
            self._events.get_event()  # its end
            if not self._events.check_event(yaml.StreamEndEvent):
                self._refuse(self._events.peek_event(), "a second document starts here; a layout is one document")
            return node
        except _Refused as refusal:
            self._problems.add(self._source.mark(refusal.offset), "", refusal.problem)
        except yaml.MarkedYAMLError as error:
            offset, complaint = _explain(error, self._source.text)
            self._problems.add(self._source.mark(offset), "", complaint)
        finally:
            self._events.dispose()
        return None

    def _node(self, depth: int) -> Node:
        event = self._events.get_event()
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor:
            self._anchors[event.anchor] = None
        node = self._content(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _content(self, event: Any, depth: int) -> Node:
        if event.tag:
            mark = self._source.mark(event.start_mark.index)
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._problems.add(mark, "", f"the tag {quoted(tag)} is not supported; remove it")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._listing(event, depth)
        return self._mapping(event, depth)

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            self._refuse(event, f"alias *{event.anchor} has no anchor &{event.anchor} before it")
        node = self._anchors[event.anchor]
        if node is None:
            self._refuse(event, f"alias *{event.anchor} stands inside its own anchor")
        return node

    def _scalar(self, event: Any) -> Scalar:
        tag = self._events.resolve(yaml.ScalarNode, event.value, event.implicit)
        kind = _TAG_KINDS.get(tag, "text")
        return Scalar(self._source, event.start_mark.index, event.end_mark.index, event.value, kind)

    def _listing(self, event: Any, depth: int) -> Listing:
        listing = Listing(self._source.mark(event.start_mark.index))
        while not self._events.check_event(yaml.SequenceEndEvent):
            listing.items.append(self._node(depth + 1))
        self._events.get_event()
        return listing

    def _mapping(self, event: Any, depth: int) -> Mapping:
        mapping = Mapping(self._source.mark(event.start_mark.index))
        while not self._events.check_event(yaml.MappingEndEvent):
            key_event = self._events.peek_event()
            key = self._node(depth + 1)
            value = self._node(depth + 1)
            self._enter(mapping, self._source.mark(key_event.start_mark.index), key, value)
        self._events.get_event()
        return mapping

    def _enter(self, mapping: Mapping, mark: Mark, key: Node, value: Node) -> None:
        """Add one entry, or say why not."""
        if not isinstance(key, Scalar):
            self._problems.add(mark, "", f"a key must be a plain word, not {key.kind}")
        elif key.text == "<<":
            self._problems.add(mark, "<<", 'merge keys are not supported; put what peers share under "defaults"')
        elif key.text in mapping.entries:
            first = mapping.entries[key.text].mark
            self._problems.add(mark, "", f"{quoted(key.text)} is written twice; first on line {first.line}")
        else:
            mapping.entries[key.text] = Entry(mark, value)

    def _refuse(self, event: Any, problem: str) -> NoReturn:
        raise _Refused(event.start_mark.index, problem)


def _explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return where to point, and the parser's complaint in words a person can act on."""
    problem = error.problem or error.context or "unreadable"
    stopped = error.problem_mark.index if error.problem_mark else 0
    opened = error.context_mark.index if error.context_mark else stopped
    if not text[stopped:].strip() and text[opened : opened + 1] in ("'", '"', "[", "{"):
        return opened, f"this {text[opened]} is never closed"
    found = text[stopped : stopped + 1]
    if found == "\t":
        return stopped, "a tab: YAML is indented with spaces"
    if "cannot start any token" in problem:
        return stopped, f"{quoted(found)} cannot start a value: put the value in quotes"
    for said, plain in _SYNTAX:
        if said in problem:
            return stopped, plain
    return stopped, f"not valid YAML: {problem}"
