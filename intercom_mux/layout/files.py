"""Bounded reading of small text files. A FIFO or device is refused, not waited for."""

from __future__ import annotations

import codecs
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class UnreadableError(Exception):
    """Why a file cannot be read, as the end of a sentence that begins with its name."""


class NotTextError(UnreadableError):
    """The file is not UTF-8; `line` and `column`, from 1, say where."""

    def __init__(self, line: int, column: int, byte: int) -> None:
        super().__init__(f"is not UTF-8 text: line {line} holds the byte 0x{byte:02x}")
        self.line = line
        self.column = column
        self.byte = byte


def read_text(path: Path, limit: int) -> str:
    """Return the text of a regular file of at most `limit` bytes, without a byte order mark.

    Raises:
        NotTextError: It is not UTF-8.
        UnreadableError: It is absent, forbidden, too large, or no regular file.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableError("is a directory")
        if not stat.S_ISREG(mode):
            raise UnreadableError("is not a regular file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(data) > limit:
        raise UnreadableError(f"is larger than {limit} bytes")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode().split("\n")
        raise NotTextError(len(before), len(before[-1]) + 1, data[error.start]) from error
