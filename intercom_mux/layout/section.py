"""Typed reading of one mapping of a layout file: every fault is noted with its place, and reading goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from intercom_mux.layout import expand
from intercom_mux.layout.document import Listing, Mapping, Node, Scalar
from intercom_mux.layout.problems import Guess, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from intercom_mux.layout.model import Mark
    from intercom_mux.layout.problems import Problems

MAX_EXPANDED = 2_000_000
"""Characters that all values of a file together may come to, so that variables cannot be made to explode."""

_VALUE_COST = 16
"""What each value counts beyond its length."""

_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")


class Values:
    """Reads scalars as text with their variables replaced; shared by all sections of a file.

    `lookup` gives the value of a variable or None. Reading ends with `problems.error()` at the value that takes the
    file beyond `MAX_EXPANDED`.
    """

    def __init__(self, problems: Problems, lookup: Callable[[str], str | None]) -> None:
        self.problems = problems
        self._lookup = lookup
        self._left = MAX_EXPANDED

    def text(self, node: Node, key: str) -> str | None:
        """Return the text of a scalar, or None after noting why there is none."""
        if not isinstance(node, Scalar):
            self.problems.add(node.mark, key, f"must be text, not {node.kind}")
        elif node.kind == "a boolean":
            problem = f'YAML reads {node.text} as a boolean; quote it if you mean "{node.text}"'
            self.problems.add(node.mark, key, problem)
        elif node.kind == "nothing":
            self.problems.add(node.mark, key, _nothing(node))
        else:
            return self._expanded(node, node.text, key)
        return None

    def word(self, node: Node, key: str) -> str | None:
        """Return the text of any scalar, as `text` but taking an unquoted yes or true for what it looks like."""
        if isinstance(node, Scalar) and node.kind == "a boolean":
            return node.text
        return self.text(node, key)

    def words(self, node: Node, key: str, split: Callable[[str], list[str]]) -> list[str] | None:
        """Return a list of texts; a scalar is split first and expanded then, so that a value stays one word."""
        if isinstance(node, Listing):
            read = [self.text(item, f"{key}[{index}]") for index, item in enumerate(node.items)]
        elif isinstance(node, Scalar) and node.kind == "text":
            try:
                read = [self._expanded(node, word, key) for word in split(node.text)]
            except ValueError as error:
                self.problems.add(node.mark, key, f"cannot be split into words: {str(error).lower()}")
                return None
        else:
            self.problems.add(node.mark, key, f"must be text or a list of texts, not {node.kind}")
            return None
        return [word for word in read if word is not None] if None not in read else None

    def _expanded(self, node: Scalar, text: str, key: str) -> str | None:
        try:
            value, undefined = expand.render(expand.parse(text), self._lookup)
        except expand.TemplateError as error:
            self.problems.add(node.mark_of(error.fragment), key, error.problem)
            return None
        for name in undefined:
            self.problems.add(node.mark_of("${" + name), key, _undefined(name))
        self._left -= len(value) + _VALUE_COST
        if self._left < 0:
            self.problems.add(node.mark, key, f"the values of this file come to more than {MAX_EXPANDED} characters")
            raise self.problems.error()
        if "\0" in value or not _is_utf8(value):
            self.problems.add(node.mark, key, "holds a NUL or bytes that are not UTF-8")
            return None
        return value if not undefined else None


class Section:
    """One mapping, under a dotted key ("" for the whole file).

    Iterates over its keys. `is_given` is False for the empty one that stands in for an absent or faulty mapping.
    """

    def __init__(self, mapping: Mapping, key: str, values: Values) -> None:
        self.mark = mapping.mark
        self.is_given = True
        self.values = values
        self.problems = values.problems
        self._key = key
        self._entries = mapping.entries

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    @property
    def path(self) -> str:
        """The section's own dotted key."""
        return self._key

    def check_keys(self, known: Sequence[str]) -> None:
        """Note every key that is not in `known`."""
        for name, entry in self._entries.items():
            if name not in known:
                guess = Guess(name, tuple(known), "known here:")
                self.problems.add(entry.mark, self.key(name), "unknown key", guess)

    def key(self, name: str) -> str:
        """Return the dotted key of an entry, as messages show it."""
        plain = name if re.fullmatch(r"[\w./-]{1,60}", name) else quoted(name)
        return f"{self._key}.{plain}" if self._key else plain

    def key_mark(self, name: str) -> Mark:
        """Return where the key of an entry stands."""
        return self._entries[name].mark

    def value(self, name: str) -> Node | None:
        """Return the bare node, None when there is no such key."""
        entry = self._entries.get(name)
        return entry.value if entry else None

    def fault(self, name: str, problem: str, guess: Guess | None = None) -> None:
        """Note a problem of the value at `name`."""
        self.problems.add(self._entries[name].value.mark, self.key(name), problem, guess)

    def key_fault(self, name: str, problem: str) -> None:
        """Note a problem of the key `name` itself."""
        self.problems.add(self._entries[name].mark, self.key(name), problem)

    def text(self, name: str) -> str | None:
        """Return any text, or None when absent or faulty; so do all the following."""
        node = self.value(name)
        return self.values.text(node, self.key(name)) if node is not None else None

    def word(self, name: str) -> str | None:
        """Return the text of any scalar: an unquoted yes or true is taken as written."""
        node = self.value(name)
        return self.values.word(node, self.key(name)) if node is not None else None

    def words(self, name: str, split: Callable[[str], list[str]]) -> list[str] | None:
        """Return a list of texts; a single text is split first and expanded then, so that a value stays one word."""
        node = self.value(name)
        return self.values.words(node, self.key(name), split) if node is not None else None

    def line(self, name: str) -> str | None:
        """Return one line of visible text, not empty."""
        text = self.text(name)
        if text is None or (text.strip() and text.isprintable()):
            return text
        self.fault(name, "must not be empty" if not text.strip() else "must be one line of printable text")
        return None

    def choice(self, name: str, options: Sequence[str]) -> str | None:
        """Return one of `options`."""
        text = self.text(name)
        if text is None or text in options:
            return text
        self.fault(name, f"must be {_either(options)}, not {quoted(text)}", Guess(text, tuple(options)))
        return None

    def whole(self, name: str, low: int, high: int) -> int | None:
        """Return a whole number from `low` to `high`; quoted digits do."""
        what = f"a whole number from {low} to {high}"
        text = self._plain(name, what)
        if text is None or (re.fullmatch(r"[0-9]{1,6}", text) and low <= int(text) <= high):
            return int(text) if text else None
        self.fault(name, f"must be {what}, not {quoted(text)}")
        return None

    def flag(self, name: str) -> bool | None:
        """Return a boolean."""
        text = self._plain(name, "true or false")
        if text is None or text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE if text else None
        self.fault(name, f"must be true or false, not {quoted(text)}")
        return None

    def _plain(self, name: str, what: str) -> str | None:
        """Return the text of a scalar that is meant to be `what`."""
        node = self.value(name)
        if node is None or (isinstance(node, Scalar) and node.kind != "nothing"):
            return self.word(name)
        self.fault(name, f"must be {what}, not {node.kind}")
        return None

    def section(self, name: str, known: Sequence[str] | None = None) -> Section:
        """Return the mapping at `name`, its keys checked if `known` is given; one with nothing in it reads as empty."""
        node = self.value(name)
        if isinstance(node, Scalar) and node.kind == "nothing":
            node = Mapping(node.mark)
        if isinstance(node, Mapping):
            section = Section(node, self.key(name), self.values)
            if known is not None:
                section.check_keys(known)
            return section
        if node is not None:
            what = quoted(node.text) if isinstance(node, Scalar) else node.kind
            self.fault(name, f'must be a mapping of "key: value" lines, not {what}')
        absent = Section(Mapping(self.mark), self.key(name), self.values)
        absent.is_given = False
        return absent


def _nothing(node: Scalar) -> str:
    if node.text == "~":
        return 'YAML reads ~ as nothing; quote it: "~"'
    return 'has no value: give one, remove the key, or write "" for an empty text'


def _undefined(name: str) -> str:
    return f"${{{name}}} is not set: pass --var {name}=…, set it under vars, or write ${{{name}:-default}}"


def _either(options: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(options[:-1]), options[-1]]))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
