"""Taking secrets out of a stream of bytes that comes in pieces. Pure."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

REVEALING = 4
"""At the end of a stream so many bytes that begin a secret are masked too; fewer are printed."""


class Masker:
    """Replaces every secret by `[masked NAME]`, the leftmost first and of those at one place the longest.

    However a stream is cut into pieces, the same comes out: an end that may be the begin of a secret is held back until
    it is known not to be one. No more is ever held than the longest secret has bytes.
    """

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        values: dict[bytes, bytes] = {}
        for name, value in secrets:
            if value:
                values.setdefault(os.fsencode(value), b"[masked " + os.fsencode(name) + b"]")
        self._masks = values
        self._values = sorted(values, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._values)))
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be told now of all that was fed."""
        if not self._values:
            return data
        data = self._held + data
        out = []
        at = 0
        match = self._next(data, 0)
        while True:
            cut = self._begin_of_secret(data, at)
            if match is None or match.start() >= cut:
                out.append(data[at:cut])
                self._held = data[cut:]
                return b"".join(out)
            out += [data[at : match.start()], self._masks[match[0]]]
            at = match.end()
            match = self._next(data, at)

    def end(self) -> bytes:
        """Return what was held back: nothing more will come."""
        held, self._held = self._held, b""
        out = []
        at = 0
        while match := self._next(held, at):
            out += [held[at : match.start()], self._masks[match[0]]]
            at = match.end()
        cut = self._begin_of_secret(held, at)
        out.append(held[at:cut])
        if len(rest := held[cut:]) >= REVEALING:
            rest = next(self._masks[value] for value in self._values if value.startswith(rest))
        return b"".join([*out, rest])

    def _next(self, data: bytes, at: int) -> re.Match[bytes] | None:
        # Looking for each value is many times faster than the pattern, and most pieces hold none.
        if any(data.find(value, at) >= 0 for value in self._values):
            return self._pattern.search(data, at)
        return None

    def _begin_of_secret(self, data: bytes, at: int) -> int:
        """Return the first place from `at` on from where `data` ends as a secret begins; its end if there is none."""
        first = len(data)
        for value in self._values:
            place = data.find(value[:1], max(at, len(data) - len(value) + 1))
            while 0 <= place < first:
                if value.startswith(data[place:]):
                    first = place
                place = data.find(value[:1], place + 1)
        return first
