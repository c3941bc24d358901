"""The agent's pane: raw mode, a thread that keeps reading, the queue of submissions, and a clean end.

Reading never stops while the agent works: what arrives is kept, shown in the composer and handed out in order.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from intercom_mux.agents.demo.editor import Editor, Key
from intercom_mux.agents.demo.screen import Screen
from intercom_mux.host import keyboard, signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType, TracebackType
    from typing import Self

_READ_BYTES = 65_536
_PASTE_ON = "\x1b[?2004h"
_PASTE_OFF = "\x1b[?2004l"
_EXIT_STATUS = {number: 128 + number if number == signal.SIGTERM else 0 for number in signals.STOP}


class Terminal:
    """Standard input and output as a terminal, or as plain lines when one of them is none.

    Enter it in the main thread: it takes over SIGWINCH and what asks it to stop (`signals.STOP`), and ends the program
    by raising `SystemExit` there (0 for Ctrl-C, a lost terminal and SIGHUP; 143 for SIGTERM). On exit the terminal is
    as before.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._in = sys.stdin.fileno()
        self._out = sys.stdout.fileno()
        self._is_terminal = os.isatty(self._in) and os.isatty(self._out)
        self._screen = Screen(
            self._write, self._size, is_terminal=self._is_terminal, has_colour=not environ.get("NO_COLOR")
        )
        self._editor = Editor()
        self._submissions: deque[str] = deque()
        self._has_ended = False
        self._is_open = False
        self._is_waiting = False
        self._changed = threading.Condition()
        self._wake_reader, self._wake_writer = os.pipe()
        self._undo_raw: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        for number in _EXIT_STATUS:
            signal.signal(number, _exit)
        if self._is_terminal:
            # The reader draws: the signal may arrive while this thread is drawing.
            keyboard.on_resize(lambda: os.write(self._wake_writer, b"w"))
            self._undo_raw = keyboard.raw(self._in, self._out)
            self._write(_PASTE_ON)
        self._is_open = True
        threading.Thread(target=self._read, name="terminal reader", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in _EXIT_STATUS:
            signal.signal(number, signal.SIG_IGN)
        keyboard.on_resize(None)
        is_locked = self._changed.acquire(timeout=1)
        self._is_open = False
        self._screen.close()
        if self._undo_raw is not None:
            self._write(_PASTE_OFF)
            self._undo_raw()
        if is_locked:
            self._changed.release()

    def show(self, text: str, style: str = "") -> None:
        """Add lines to the transcript; see `Screen.show` for the styles."""
        with self._changed:
            self._screen.show(text, style)

    def status(self, status: str) -> None:
        """Put `demo · STATUS` into the terminal's title."""
        with self._changed:
            self._screen.title(status)

    def next_submission(self, timeout_s: float | None = None) -> str | None:
        """Wait for the next submitted draft and take it; None when the time is over.

        Raises:
            EOFError: The input has ended and everything submitted was taken.
        """
        with self._changed:
            self._is_waiting = True
            self._changed.wait_for(lambda: self._submissions or self._has_ended, timeout_s)
            self._is_waiting = False
            if self._submissions:
                taken = self._submissions.popleft()
                self._screen.compose(self._editor.draft, self._submissions)
                return taken
            if self._has_ended:
                raise EOFError
            return None

    def has_submissions(self) -> bool:
        """Return whether something submitted waits."""
        return bool(self._submissions)

    def _read(self) -> None:
        while True:
            has_input, is_woken = keyboard.wait_for_input(self._in, self._wake_reader)
            if is_woken:
                os.read(self._wake_reader, _READ_BYTES)
                self._take([])
            if has_input:
                try:
                    data = os.read(self._in, _READ_BYTES)
                except OSError:
                    data = b""
                if not data:
                    self._end()
                    return
                self._take(self._editor.feed(data))

    def _take(self, events: list[str | Key]) -> None:
        """Queue what was submitted, act on keys, and draw the composer anew."""
        with self._changed:
            self._submissions += [event for event in events if isinstance(event, str)]
            self._changed.notify()
            is_taken_next = self._is_waiting and self._submissions
            if self._is_open and not self._editor.is_pasting and not is_taken_next:
                self._screen.compose(self._editor.draft, self._submissions)
        if Key.QUIT in events:
            self._interrupt()

    def _end(self) -> None:
        """Take the end of the input: a lost terminal ends the program now, other input when all of it is done."""
        self._take(self._editor.end())
        with self._changed:
            self._has_ended = True
            self._changed.notify()
        if self._is_terminal:
            self._interrupt()

    def _interrupt(self) -> None:
        """End the program even when its main thread waits in a system call."""
        keyboard.interrupt_main()
        with self._changed:
            self._changed.notify()

    def _size(self) -> tuple[int, int]:
        try:
            columns, height = os.get_terminal_size(self._out)
        except OSError:
            return 80, 24
        return columns or 80, height or 24

    def _write(self, text: str) -> None:
        """Write all of `text`; a terminal that is gone takes nothing, and the reader ends the program."""
        data = text.encode("utf-8", "replace")
        try:
            while data:
                data = data[os.write(self._out, data) :]
        except OSError:
            pass


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(_EXIT_STATUS[signal.Signals(number)])
