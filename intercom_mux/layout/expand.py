"""Variables and counts: `${NAME}`, `${NAME:-default}`, and `count: 2` becoming two names. Pure: no I/O, no YAML.

`$${` is a literal `${`. A default may hold further references. As in the shell, `:-` also replaces an empty value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intercom_mux.layout.model import VARIABLE_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_TEXT = 100_000
"""Longest expanded value in characters: below the 128 KiB that Linux allows one argument or variable."""

_MAX_DEPTH = 8
_OPENING = re.compile(r"\$\$\{|\$\{")
_OPENING_OR_END = re.compile(r"\$\$\{|\$\{|\}")
_NAME = re.compile(VARIABLE_PATTERN)


class TemplateError(ValueError):
    """A text whose `${` cannot be read, or that grows too long; `fragment` is the spot in it."""

    def __init__(self, problem: str, fragment: str = "${") -> None:
        super().__init__(problem)
        self.problem = problem
        self.fragment = fragment


@dataclass(frozen=True, slots=True)
class Reference:
    """`${name}`, or `${name:-default}`."""

    name: str
    default: Template | None = None


Template = tuple[str | Reference, ...]


def parse(text: str) -> Template:
    """Split `text` into literals and references.

    Raises:
        TemplateError: A `${` is not closed, names nothing, uses another operator than `:-`, or nests too deep.
    """
    template, _end = _parse(text, 0, 0)
    return template


def render(template: Template, lookup: Callable[[str], str | None]) -> tuple[str, list[str]]:
    """Return the text with every reference replaced, and the names that have neither value nor default.

    Values are inserted as they are: a `${` inside a value stays.

    Raises:
        TemplateError: The text would be longer than `MAX_TEXT`.
    """
    pieces: list[str] = []
    undefined: list[str] = []
    for part in template:
        if isinstance(part, str):
            pieces.append(part)
            continue
        value = lookup(part.name)
        if part.default is not None and not value:
            value, inner = render(part.default, lookup)
            undefined += inner
        elif value is None:
            undefined.append(part.name)
        pieces.append(value or "")
    if sum(map(len, pieces)) > MAX_TEXT:
        raise TemplateError(f"longer than {MAX_TEXT} characters")
    return "".join(pieces), undefined


def names_in(text: str) -> Iterator[tuple[str, bool]]:
    """Yield every variable that `text` refers to, with whether that reference has a default."""
    for match in re.finditer(rf"(?<!\$)\$\{{({VARIABLE_PATTERN})(:-|\}})", text):
        yield match[1], match[2] == ":-"


def peer_names(name: str, count: int) -> list[str]:
    """Return the bare name for a count of 1, else `name-1` to `name-N`."""
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]


def _parse(text: str, position: int, depth: int) -> tuple[Template, int]:
    """Parse from `position` to the end of the text, or inside a reference to its `}`; return where that is."""
    parts: list[str | Reference] = []
    stops = _OPENING_OR_END if depth else _OPENING
    while match := stops.search(text, position):
        parts.append(text[position : match.start()])
        position = match.end()
        if match[0] == "}":
            return tuple(filter(None, parts)), position
        if match[0] == "$${":
            parts.append("${")
        else:
            reference, position = _parse_reference(text, position, depth)
            parts.append(reference)
    if depth:
        raise TemplateError("this ${ is never closed with }; in a command, quote one that has spaces")
    parts.append(text[position:])
    return tuple(filter(None, parts)), len(text)


def _parse_reference(text: str, position: int, depth: int) -> tuple[Reference, int]:
    """Parse what follows a `${` at `position`; return the reference and the position after its `}`."""
    fragment = text[position - 2 : position + 20]
    if depth == _MAX_DEPTH:
        raise TemplateError(f"${{ is nested deeper than {_MAX_DEPTH} levels")
    name = _NAME.match(text, position)
    if name is None:
        raise TemplateError("${ needs a variable name after it; write $${ for a literal ${", fragment)
    if text.startswith("}", name.end()):
        return Reference(name[0]), name.end() + 1
    if not text.startswith(":-", name.end()):
        opening = "${" + name[0]
        if name.end() == len(text):
            raise TemplateError(f"{opening} is never closed with }}", opening)
        raise TemplateError(f"{opening} must be followed by }} or by :-default}}", opening)
    default, end = _parse(text, name.end() + 2, depth + 1)
    return Reference(name[0], default), end
