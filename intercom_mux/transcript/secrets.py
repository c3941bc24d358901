"""Which variables of an environment hold secrets, by their names or by what the layout says. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MIN_CHARS = 6
"""A shorter value is masked nowhere: as a part of other words it would stand all over a transcript."""

_SECRET = re.compile(
    r"(?i)token(?!s|iz)|secret|passw|passphrase|api_?key|access_?key|private_?key|credential|(?:^|_)(?:auth|pat)(?:$|_)"
)
_PLACE = re.compile(r"(?i)_(?:sock|socket|file|path|dir|id)$")
_URL_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")


def looks_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret, as far as its name tells; where a secret lies is none."""
    return bool(_SECRET.search(name)) and not _PLACE.search(name)


def secrets_of(environment: Mapping[str, str], marked: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return name and value of all that must not be recorded, longest value first.

    `marked` are names that count as secret whatever they look like. Of a value of several lines each line is one; of a
    URL with a password, in any variable, that password is. What is shorter than `MIN_CHARS` is left out.
    """
    found: dict[str, str] = {}
    for name, value in environment.items():
        is_secret = name in marked or looks_secret(name)
        parts = value.splitlines() if is_secret else _URL_PASSWORD.findall(value)
        for part in parts:
            if len(part.strip()) >= MIN_CHARS:
                found.setdefault(part.strip(), name)
    return sorted(((name, value) for value, name in found.items()), key=lambda each: -len(each[1]))
