"""The terminal as a program reads it: key by key, with what else the systems do differently."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.platform == "win32":
    import _thread
    import ctypes
    import msvcrt

    _CTRL_C_IS_A_SIGNAL = 0x0001
    _KEYS_AS_SEQUENCES = 0x0200
    _SEQUENCES_AS_THEY_ARE = 0x0001 | 0x0002 | 0x0004 | 0x0008
    """Of an output: processed, wrapped, with escape sequences, and a line feed that is no more than that."""

    def raw(source: int, target: int) -> Callable[[], None]:
        """Have a console pass on every key and every escape sequence as it is; return what undoes that."""
        before = _mode(source), _mode(target)
        _set_mode(source, _KEYS_AS_SEQUENCES)
        _set_mode(target, _SEQUENCES_AS_THEY_ARE)

        def undo() -> None:
            for descriptor, mode in zip((source, target), before, strict=True):
                _set_mode(descriptor, mode)

        return undo

    def key_by_key(source: int) -> Callable[[], None]:
        """Have a console pass on keys unechoed, Ctrl-C excepted; return what undoes that."""
        before = _mode(source)
        _set_mode(source, _CTRL_C_IS_A_SIGNAL | _KEYS_AS_SEQUENCES)
        return lambda: _set_mode(source, before)

    def _mode(descriptor: int) -> int:
        mode = ctypes.c_uint32()
        if not ctypes.windll.kernel32.GetConsoleMode(msvcrt.get_osfhandle(descriptor), ctypes.byref(mode)):
            raise OSError("not a console")
        return mode.value

    def _set_mode(descriptor: int, mode: int) -> None:
        ctypes.windll.kernel32.SetConsoleMode(msvcrt.get_osfhandle(descriptor), mode)

    def on_resize(_act: Callable[[], object] | None) -> None:
        """Have `act` called when the terminal changes its size, None = no more; a console does not tell."""

    def wait_for_input(_source: int, _wake: int) -> tuple[bool, bool]:
        """Wait until one of two files has something; return which. A console can only be waited for by reading it."""
        return True, False

    def interrupt_main() -> None:
        """Interrupt the main thread as Ctrl-C does; one that waits notices when it is woken."""
        _thread.interrupt_main()

    def ask(question: str) -> str:
        """Put a question at the terminal and return the line that is typed."""
        sys.stderr.write(question)
        sys.stderr.flush()
        return sys.stdin.readline()

else:
    import select
    import termios
    import tty

    def raw(source: int, _target: int) -> Callable[[], None]:
        """Have a terminal pass on every byte as it is; Ctrl-C is a key, for a paste may hold one.

        Return what undoes that, also on a terminal that is gone by then.
        """
        before = termios.tcgetattr(source)
        termios.tcsetattr(source, termios.TCSANOW, _raw_modes(before))

        def undo() -> None:
            try:
                termios.tcsetattr(source, termios.TCSANOW, before)
            except termios.error:
                pass

        return undo

    def _raw_modes(modes: list[Any]) -> list[Any]:
        input_flags, output_flags, control_flags, local_flags, *speeds, characters = modes
        characters = list(characters)
        characters[termios.VMIN] = 1
        characters[termios.VTIME] = 0
        input_flags &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.ISTRIP)
        local_flags &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
        output_flags &= ~termios.OPOST
        return [input_flags, output_flags, control_flags, local_flags, *speeds, characters]

    def key_by_key(source: int) -> Callable[[], None]:
        """Have a terminal pass on keys unechoed from those typed ahead on, Ctrl-C excepted; return what undoes it."""
        before = termios.tcgetattr(source)
        tty.setcbreak(source, termios.TCSADRAIN)
        return lambda: termios.tcsetattr(source, termios.TCSADRAIN, before)

    def on_resize(act: Callable[[], object] | None) -> None:
        """Have `act` called when the terminal changes its size, None = no more."""
        signal.signal(signal.SIGWINCH, signal.SIG_IGN if act is None else lambda *_: act())

    def wait_for_input(source: int, wake: int) -> tuple[bool, bool]:
        """Wait until one of two files has something; return which."""
        readable, _, _ = select.select([source, wake], [], [])
        return source in readable, wake in readable

    def interrupt_main() -> None:
        """Interrupt the main thread as Ctrl-C does, even when it waits in a system call."""
        main = threading.main_thread().ident
        assert main is not None  # noqa: S101 - the main thread has been started
        signal.pthread_kill(main, signal.SIGINT)

    def ask(question: str) -> str:
        """Put a question at the terminal and return the line that is typed."""
        with open("/dev/tty", "r+b", buffering=0) as terminal:
            terminal.write(question.encode())
            return terminal.readline().decode(errors="replace")
