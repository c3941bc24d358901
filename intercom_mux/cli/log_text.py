"""Printing a recorded terminal output as text: its end, and then what comes."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_BYTES = 1_000_000
_HELD_BYTES = 4096
_POLL_S = 0.2
_ESCAPE = re.compile(
    rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC
    rb"|\x1b[PX^_].*?\x1b\\"  # DCS, SOS, PM, APC
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    rb"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
_UNFINISHED = re.compile(rb"\x1b(?:\][^\x07\x1b]*\x1b?|[PX^_](?:(?!\x1b\\).)*|\[[0-?]*[ -/]*|[ -/]*)\Z", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_C1 = re.compile(rb"\xc2[\x80-\x9f]")


def plain(data: bytes) -> bytes:
    """Return terminal output without escape sequences; a line that was overprinted keeps its last version."""
    text = _ESCAPE.sub(b"", data).replace(b"\r\n", b"\n")
    lines = [line.rstrip(b"\r").rpartition(b"\r")[2] for line in text.split(b"\n")]
    # A C1 control leaves something in its place, or what is around it could become one.
    return b"\n".join(_C1.sub(b"\xef\xbf\xbd", _CONTROL.sub(b"", line)) for line in lines)


def print_log(file: Path, *, lines: int, follow: bool, raw: bool) -> None:
    """Write the last `lines` lines of `file` to standard output; with `follow`, go on until interrupted.

    A file that is not there, or begins anew, is waited for.
    """
    out = sys.stdout.buffer
    size = file.stat().st_size if file.exists() else 0
    data, position = _read(file, max(0, size - _TAIL_BYTES))
    data, held = _finished(data) if follow and not raw else (data, b"")
    shown = (data if raw else plain(data)).rstrip(b"\n").split(b"\n") if data else []
    out.write(b"".join(line + b"\n" for line in shown[max(0, len(shown) - lines) :]))
    out.flush()
    while follow:
        time.sleep(_POLL_S)
        data, position = _read(file, position)
        if raw:
            out.write(data)
        else:
            data, held = _finished(held + data)
            out.write(plain(data))
        out.flush()


def _read(file: Path, position: int) -> tuple[bytes, int]:
    """Return what `file` holds from `position` on, and where that ends; from the start if it has become shorter."""
    try:
        with file.open("rb") as stream:
            stream.seek(position if file.stat().st_size >= position else 0)
            return stream.read(), stream.tell()
    except FileNotFoundError:
        return b"", 0


def _finished(data: bytes) -> tuple[bytes, bytes]:
    """Split off an escape sequence that has only begun at the end of `data`, unless it is a very long one."""
    unfinished = _UNFINISHED.search(data, max(0, len(data) - _HELD_BYTES))
    return (data[: unfinished.start()], unfinished[0]) if unfinished else (data, b"")
