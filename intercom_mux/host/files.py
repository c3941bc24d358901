"""Opening, owning and replacing files."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 1.0
"""How long a file that another process has open may resist being replaced or removed, on Windows."""

if sys.platform == "win32":
    EXACT = os.O_BINARY | os.O_NOINHERIT
    """Flags for `os.open`: bytes as they are."""
    WITHOUT_WAITING = 0
    """Flags for `os.open`: not waiting for somebody at the other end of a pipe."""
else:
    EXACT = os.O_NOFOLLOW | os.O_CLOEXEC
    """Flags for `os.open`: bytes as they are, and no symbolic link."""
    WITHOUT_WAITING = os.O_NONBLOCK
    """Flags for `os.open`: not waiting for somebody at the other end of a pipe."""


def owner_problem(info: os.stat_result) -> str:
    """Return why what `info` tells of does not belong to this user, "" when it does.

    Windows tells no owner there: a place is private there because the user's profile is.
    """
    if sys.platform == "win32" or info.st_uid == os.getuid():
        return ""
    return f"belongs to uid {info.st_uid}, not to you"


def is_own(uid: int) -> bool:
    """Return whether a uid that the system told is this user's; Windows tells none."""
    return sys.platform != "win32" and uid == os.getuid()


def is_trusted(owner: int) -> bool:
    """Return whether a file's owner (`st_uid`) is this user or the system."""
    return sys.platform == "win32" or owner in {os.getuid(), 0}


def mode_problem(info: os.stat_result) -> int:
    """Return the mode bits that open a file to others, 0 for none; Windows has none."""
    return 0 if sys.platform == "win32" else info.st_mode & 0o077


def write_whole(file: Path, text: str) -> None:
    """Write `file` anew, 0600; the death of any process leaves the old one or the new one, never a part.

    There is no fsync. Raises `OSError`.
    """
    temporary = file.with_name(f".{file.name}-{os.urandom(4).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | EXACT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace(temporary: Path, file: Path) -> None:
    """Put `temporary` in the place of `file`, at once and whole. Raises `OSError`."""
    _patiently(lambda: os.replace(temporary, file))


def remove(file: Path) -> None:
    """Remove `file` if it is there. Raises `OSError`."""
    _patiently(lambda: file.unlink(missing_ok=True))


if sys.platform == "win32":

    def _patiently(act: Callable[[], None]) -> None:
        """Outwait whoever reads the file just now: Windows refuses as long as it is open."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return act()
            except PermissionError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.005)
else:

    def _patiently(act: Callable[[], None]) -> None:
        act()
