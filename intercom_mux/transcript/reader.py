"""Reading a transcript from some place on, also while it grows and while its oldest part is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from intercom_mux.transcript.store import GRAIN_MS, entries, index_file, log_file, numbers

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.transcript.store import Entry

PART_BYTES = 1_000_000
_LINE_BYTES = 4096
"""A line that began so many bytes before the time asked for is not shown whole."""


class Piece(NamedTuple):
    """Bytes that came at `at` (Unix milliseconds), or a mark that stands there, without bytes."""

    data: bytes
    at: int
    mark: str = ""


class Reader:
    """Reads on from the place where it stands, at first the beginning of what there is."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0
        self._position = 0
        self._marks_told = 0
        self._index_seen = -1

    def seek_time(self, since: int) -> None:
        """Go to the line in which something may have come at `since` (Unix milliseconds) or later; else to the end."""
        for number in numbers(self._directory):
            for place, entry in enumerate(self._index(number)):
                if entry.at + GRAIN_MS > since:
                    self._number, self._marks_told = number, place
                    self._position = self._begin_of_line(number, entry.offset)
                    return
        self.seek_tail(0)

    def seek_tail(self, size: int) -> None:
        """Go to where at least `size` bytes are left, or to the beginning if there are not so many; 0 is the end."""
        left = size
        self._number = self._position = self._marks_told = 0
        self._index_seen = -1
        for number in reversed(numbers(self._directory)):
            length = self._length(number)
            self._number, self._position = number, max(0, length - left)
            index = self._index(number)
            self._marks_told = len(index) if size == 0 else sum(entry.offset < self._position for entry in index)
            left -= length
            if left <= 0:
                return

    def read(self) -> list[Piece]:
        """Return what stands next, at most `PART_BYTES` of it; nothing at the end for now."""
        while True:
            pieces = self._read_segment() if self._number else []
            if pieces:
                return pieces
            later = [number for number in numbers(self._directory) if number > self._number]
            if not later:
                return []
            # The writer was done with this segment before it began the next one.
            if self._number and (pieces := self._read_segment()):
                return pieces
            self._number, self._position, self._marks_told, self._index_seen = later[0], 0, 0, -1

    def _read_segment(self) -> list[Piece]:
        try:
            with log_file(self._directory, self._number).open("rb") as log:
                log.seek(self._position)
                data = log.read(PART_BYTES)
        except FileNotFoundError:
            return []
        if not data and self._index_length(self._number) == self._index_seen:
            return []
        self._index_seen = self._index_length(self._number)
        index = self._index(self._number)
        begin, end = self._position, self._position + len(data)
        at = index[0].at if index else 0
        pieces: list[Piece] = []
        cut = begin
        for place, entry in enumerate(index):
            if entry.offset > end:
                break
            if entry.offset > cut:
                pieces.append(Piece(data[cut - begin : entry.offset - begin], at))
                cut = entry.offset
            if entry.mark and place >= self._marks_told:
                pieces.append(Piece(b"", entry.at, entry.mark))
            self._marks_told = max(self._marks_told, place + 1)
            at = entry.at
        if end > cut:
            pieces.append(Piece(data[cut - begin :], at))
        self._position = end
        return pieces

    def _index(self, number: int) -> list[Entry]:
        try:
            return entries(index_file(self._directory, number).read_bytes())
        except FileNotFoundError:
            return []

    def _begin_of_line(self, number: int, offset: int) -> int:
        """Return where the line begins that `offset` is in; `offset` itself where that is too far away."""
        start = max(0, offset - _LINE_BYTES)
        try:
            with log_file(self._directory, number).open("rb") as log:
                log.seek(start)
                before = log.read(offset - start)
        except FileNotFoundError:
            return offset
        newline = before.rfind(b"\n")
        return start + newline + 1 if newline >= 0 or start == 0 else offset

    def _index_length(self, number: int) -> int:
        try:
            return index_file(self._directory, number).stat().st_size
        except FileNotFoundError:
            return 0

    def _length(self, number: int) -> int:
        try:
            return log_file(self._directory, number).stat().st_size
        except FileNotFoundError:
            return 0
