"""What asks a process to stop."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

if sys.platform == "win32":
    # A console tells only these two; SIGTERM from another process ends us without a word.
    STOP = (signal.SIGINT, signal.SIGBREAK)

    def on_stop(loop: AbstractEventLoop, act: Callable[[], None]) -> None:
        """Have the event loop call `act` when we are asked to stop; its own handlers exist on POSIX only."""
        for number in STOP:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))

else:
    STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def on_stop(loop: AbstractEventLoop, act: Callable[[], None]) -> None:
        """Have the event loop call `act` when we are asked to stop."""
        for number in STOP:
            loop.add_signal_handler(number, act)


ENDED = tuple(number for number in STOP if number != signal.SIGINT)
"""What ends a command from outside, Ctrl-C excepted."""
