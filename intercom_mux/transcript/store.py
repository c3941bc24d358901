"""One peer's transcript on disk: numbered segments of bytes, each with an index of when they came.

`00000007.log` holds bytes as they were printed, secrets masked. `00000007.idx` has one line per stretch of at most
`GRAIN_MS`: `OFFSET MILLISECONDS`, the place in the segment where it begins and when (Unix time). A line with a third
word is a mark: at that place the program was `started`, recording `resumed` after its recorder had died, or bytes were
`lost N` because they could not be written. A line stands there before the bytes that it is about.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from intercom_mux.host.files import EXACT

if TYPE_CHECKING:
    from pathlib import Path

GRAIN_MS = 100
SEGMENTS = 4
"""A transcript is so many files at most; the oldest goes when a new one begins."""


class Entry(NamedTuple):
    """One line of an index: from `offset` on is what came at `at` (Unix milliseconds) and in the `GRAIN_MS` after."""

    offset: int
    at: int
    mark: str = ""


def entries(index: bytes) -> list[Entry]:
    """Return the whole lines of an index; what is no line of one is passed over."""
    found = []
    for line in index[: index.rfind(b"\n") + 1].splitlines():
        offset, _, rest = line.decode("ascii", "replace").partition(" ")
        at, _, mark = rest.partition(" ")
        if offset.isdecimal() and at.isdecimal():
            found.append(Entry(int(offset), int(at), mark))
    return found


def numbers(directory: Path) -> list[int]:
    """Return the numbers of the segments that there are, oldest first."""
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdecimal())


def log_file(directory: Path, number: int) -> Path:
    """Return the file of the bytes of a segment."""
    return directory / f"{number:08}.log"


def index_file(directory: Path, number: int) -> Path:
    """Return the file of a segment's index."""
    return directory / f"{number:08}.idx"


def remove_segment(directory: Path, number: int) -> int:
    """Remove a segment and return how many bytes it had; one that is gone had none."""
    size = 0
    for file in (log_file(directory, number), index_file(directory, number)):
        with suppress(FileNotFoundError):
            size += file.stat().st_size
            file.unlink()
    return size


class Writer:
    """The one who adds to the transcript in `directory`, an existing one.

    Bytes and index come to `limit` at most, but for a few lines of the index.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._segment = max(1, limit // SEGMENTS)
        self._number = 0
        self._log = self._index = -1
        self._size = self._index_size = 0
        self._last = 0
        self._is_open = False

    def add(self, data: bytes, at: int) -> None:
        """Append what was printed at `at`.

        Raises:
            OSError: It cannot be written; a part may have been.
        """
        while data:
            self._ready()
            if at - self._last >= GRAIN_MS or self._last > at or self._index_size == 0:
                self._note(Entry(self._size, at))
            room = max(1, self._segment - self._size - self._index_size)
            written = os.write(self._log, data[:room])
            self._size += written
            data = data[written:]

    def mark(self, word: str, at: int) -> None:
        """Note that something happened at this place.

        Raises:
            OSError: It cannot be written.
        """
        self._ready()
        self._note(Entry(self._size, at, word))

    def last_mark(self, word: str) -> int:
        """Return when `word` was noted last, 0 for never, as far as the transcript goes back."""
        for number in reversed(numbers(self._directory)):
            with suppress(OSError):
                index = index_file(self._directory, number).read_bytes()
                found = [entry.at for entry in entries(index) if entry.mark == word]
                if found:
                    return found[-1]
        return 0

    def close(self) -> None:
        """Give the files back; adding opens them again."""
        for descriptor in (self._log, self._index):
            if descriptor >= 0:
                os.close(descriptor)
        self._log = self._index = -1
        self._is_open = False

    def _note(self, entry: Entry) -> None:
        words = [str(entry.offset), str(entry.at), *([entry.mark] if entry.mark else [])]
        line = " ".join(words).encode("ascii") + b"\n"
        os.write(self._index, line)
        self._index_size += len(line)
        self._last = entry.at

    def _ready(self) -> None:
        if not self._is_open:
            self.close()
            there = numbers(self._directory)
            self._open(there[-1] if there else 1)
        if self._size + self._index_size >= self._segment:
            self.close()
            self._open(self._number + 1)
            for number in numbers(self._directory)[:-SEGMENTS]:
                remove_segment(self._directory, number)

    def _open(self, number: int) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | EXACT
        self._number = number
        # The index first: who sees a segment finds its index.
        self._index = os.open(index_file(self._directory, number), flags, 0o600)
        self._log = os.open(log_file(self._directory, number), flags, 0o600)
        self._size, self._index_size = os.fstat(self._log).st_size, os.fstat(self._index).st_size
        self._last = 0
        self._is_open = True
        whole = index_file(self._directory, number).read_bytes().rfind(b"\n") + 1
        if whole < self._index_size:
            os.ftruncate(self._index, whole)
            self._index_size = whole
