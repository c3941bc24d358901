"""An exclusive lock on an open file, which ends with its holder in whatever way that ends."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt
    import os
    import time

    _FAR = 1 << 30
    """Which byte is locked: Windows keeps others from reading a locked one, and who holds a lock is read from it."""

    def try_lock(descriptor: int) -> bool:
        """Lock an open file; False while another process holds it."""
        try:
            _at_far_byte(descriptor, msvcrt.LK_NBLCK)
        except OSError:
            return False
        return True

    def lock(descriptor: int) -> None:
        """Lock an open file, waiting as long as it takes."""
        while not try_lock(descriptor):
            time.sleep(0.01)

    def release(descriptor: int) -> None:
        """Give up a lock before closing its file: else Windows takes its time."""
        _at_far_byte(descriptor, msvcrt.LK_UNLCK)

    def _at_far_byte(descriptor: int, mode: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, mode, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file; False while another process holds it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def lock(descriptor: int) -> None:
        """Lock an open file, waiting as long as it takes."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def release(_descriptor: int) -> None:
        """Give up a lock before closing its file, which does it by itself."""
