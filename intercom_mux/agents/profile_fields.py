"""Typed reading of one mapping of a profile: every fault is noted with its place, and reading goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from intercom_mux.layout.problems import Guess, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intercom_mux.agents.profile_tree import Tree
    from intercom_mux.layout.problems import Problems

_LARGEST = 1_000_000
_KINDS = {str: "text", list: "a list", dict: "a mapping", int: "a whole number", bool: "true or false"}


def kind_of(value: Any) -> str:
    """Return what a value of the file is, in words."""
    return "nothing" if value is None else _KINDS[type(value)]


class Fields:
    """One mapping, read key by key. `close` reports the keys that nobody asked for, so it comes last.

    Args:
        prefix: What messages put before every key, as `agents.mine` in a layout.
    """

    def __init__(self, raw: Any, where: str, tree: Tree, problems: Problems, prefix: str) -> None:
        self._where = where
        self._tree = tree
        self._problems = problems
        self._prefix = prefix
        self._asked: list[str] = []
        self._raw: dict[str, Any] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            self.complain("", f"must be a mapping, not {kind_of(raw)}")

    def complain(self, key: str, problem: str, guess: Guess | None = None) -> None:
        """Note a fault of the value at `key`."""
        place = self._path(key) if key else self._where
        shown = ".".join(part for part in (self._prefix, place) if part)
        self._problems.add(self._tree.mark(place), shown, problem, guess)

    def close(self) -> None:
        """Note every key that was not asked for."""
        for key in self._raw:
            if key not in self._asked:
                self.complain(key, "unknown key", Guess(key, tuple(self._asked), "known here:"))

    def __contains__(self, key: str) -> bool:
        return key in self._raw

    def take(self, key: str, *kinds: type) -> Any:
        """Return the value if it is of one of `kinds`, else None; a boolean is not a number."""
        self._asked.append(key)
        value = self._raw.get(key)
        if value is None or type(value) in kinds:
            return value
        names = " or ".join(_KINDS[kind] for kind in kinds)
        self.complain(key, f"must be {names}, not {kind_of(value)}{_quoting(value, kinds)}")
        return None

    def text(self, key: str) -> str | None:
        """Return a text, None when absent or faulty."""
        value: str | None = self.take(key, str)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.take(key, bool)
        return default if value is None else bool(value)

    def number(self, key: str, default: int) -> int:
        """Return a whole number from 0 to a million."""
        value = self.take(key, int)
        if value is None:
            return default
        if not 0 <= value <= _LARGEST:
            self.complain(key, f"must be from 0 to {_LARGEST}, not {value}")
        return int(value)

    def choice(self, key: str, allowed: tuple[str, ...]) -> str | None:
        """Return one of `allowed`, None when absent or faulty."""
        value = self.text(key)
        return value if value is None or self.is_one_of(key, value, allowed) else None

    def is_one_of(self, key: str, value: str, allowed: tuple[str, ...]) -> bool:
        """Return whether `value` is allowed, noting it if it is not."""
        if value not in allowed:
            self.complain(key, f"must be one of {', '.join(allowed)}, not {quoted(value)}", Guess(value, allowed))
        return value in allowed

    def choices(self, key: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of `allowed`, each once; faulty ones are left out."""
        values = self.texts(key)
        if len(set(values)) < len(values):
            self.complain(key, "names one twice")
        return tuple(value for value in values if self.is_one_of(key, value, allowed))

    def items(self, key: str) -> list[Any]:
        """Return a list, empty when absent."""
        return self.take(key, list) or []

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; a single text does."""
        value = self.take(key, list, str)
        values = [value] if isinstance(value, str) else value or []
        if not all(isinstance(one, str) for one in values):
            self.complain(key, "must be text or a list of texts")
            return ()
        return tuple(values)

    def regex(self, key: str) -> re.Pattern[str] | None:
        """Return a compiled regex; ^ and $ match at line ends."""
        value = self.text(key)
        return None if value is None else self._compile(key, value)

    def regexes(self, key: str) -> tuple[re.Pattern[str], ...]:
        """Return one or several regexes."""
        compiled = (self._compile(key, value) for value in self.texts(key))
        return tuple(pattern for pattern in compiled if pattern is not None)

    def table(self, key: str) -> Fields | None:
        """Return the mapping at `key`."""
        value = self.take(key, dict)
        return None if value is None else self._inner(key, value)

    def mapping(self, key: str) -> Iterator[tuple[str, Any]]:
        """Yield the entries of the mapping at `key` as they are."""
        yield from (self.take(key, dict) or {}).items()

    def tables(self, key: str) -> Iterator[Fields]:
        """Yield the mappings listed at `key`."""
        for index, value in enumerate(self.items(key)):
            yield self._inner(f"{key}[{index}]", value)

    def named_tables(self, key: str) -> Iterator[tuple[str, Fields]]:
        """Yield the mappings of the mapping at `key`; one without a value is empty."""
        for name, value in self.mapping(key):
            yield name, self._inner(f"{key}.{name}", {} if value is None else value)

    def _inner(self, key: str, value: Any) -> Fields:
        return Fields(value, self._path(key), self._tree, self._problems, self._prefix)

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def _compile(self, key: str, value: str) -> re.Pattern[str] | None:
        try:
            return re.compile(value, re.MULTILINE)
        except re.error as error:
            self.complain(key, f"is not a regex: {error}")
            return None


def _quoting(value: Any, kinds: tuple[type, ...]) -> str:
    return "; quote it" if isinstance(value, (bool, int)) and str in kinds else ""
