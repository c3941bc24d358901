"""What the journal has accepted and not yet put into SQLite: one append per commit.

An entry is its length, its CRC-32 and pickled records. It is with the kernel on return of `append`, so it survives the
death of the process; the first entry that is not whole ends the log. Only our own kinds of values are read back.
"""

from __future__ import annotations

import io
import os
import pickle
from struct import Struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

from intercom_mux.host import files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HEAD = Struct(">II")

Record = tuple[Any, ...]


class _Reader(pickle.Unpickler):
    """Reads plain values and session keys; a class of any other name is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("intercom_mux.broker.core.model", "SessionKey"):
            return super().find_class(module, name)
        raise ValueError(f"{module}.{name} does not belong into a journal")


class RedoLog:
    """The log at `path`, 0600, of `size` bytes. One writer, which holds the broker's lock."""

    def __init__(self, path: Path, *, full_durability: bool = False) -> None:
        """Open or create it. Raises `OSError`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | files.EXACT
        self._fd = os.open(path, flags, 0o600)
        self.size = os.fstat(self._fd).st_size
        self._full_durability = full_durability

    def read(self) -> list[Record]:
        """Return the records of every whole entry, in order. Raises `ValueError` if somebody else wrote it."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        with os.fdopen(os.dup(self._fd), "rb") as log:
            data = log.read(self.size)
        records: list[Record] = []
        start = 0
        while start + _HEAD.size <= len(data):
            size, checksum = _HEAD.unpack_from(data, start)
            body = data[start + _HEAD.size : start + _HEAD.size + size]
            if len(body) < size or crc32(body) != checksum:
                break
            records += _Reader(io.BytesIO(body)).load()
            start += _HEAD.size + size
        return records

    def append(self, records: Sequence[Record]) -> None:
        """Write one entry, whole or not at all.

        Raises:
            OSError: The disk is full or fails; the log is as it was.
        """
        body = pickle.dumps(records, protocol=5)
        entry = _HEAD.pack(len(body), crc32(body)) + body
        try:
            written = os.write(self._fd, entry)
            if written < len(entry):
                raise OSError("the disk is full")
            if self._full_durability:
                os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += written

    def clear(self) -> None:
        """Forget every entry: all of it is in SQLite."""
        os.ftruncate(self._fd, 0)
        self.size = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
