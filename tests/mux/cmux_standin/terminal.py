"""One real terminal of the stand-in: a PTY with a program in it, drawn on a screen."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from typing import TYPE_CHECKING

from tests.mux.cmux_standin.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEYS = {
    "enter": "\r", "return": "\r", "tab": "\t", "escape": "\x1b", "esc": "\x1b", "backspace": "\x7f",
    "delete": "\x1b[3~", "space": " ", "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
    "home": "\x1b[H", "end": "\x1b[F", "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "shift+tab": "\x1b[Z",
}  # fmt: skip
"""Named keys of send-key; ctrl, alt, shift and cmd combine with letters. There are no digits."""


class Terminal:
    """A program on a PTY; `ended` is called once when it is gone."""

    def __init__(self, command: str | None, cwd: str, env: Mapping[str, str], ended: Callable[[], None]) -> None:
        self.screen = Screen()
        self._ended = ended
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                argv = ["/bin/sh", "-c", f"exec {command}"] if command else [env.get("SHELL") or "/bin/sh"]
                os.execvpe(argv[0], argv, dict(env))
            finally:
                os._exit(127)
        size = struct.pack("HHHH", self.screen.rows, self.screen.columns, 0, 0)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, size)
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def write(self, data: bytes) -> None:
        """Give bytes to the program as if typed."""
        os.write(self._fd, data)

    def close(self) -> None:
        """Hang up, as the closing of a terminal does."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            try:
                os.killpg(self.pid, signal.SIGHUP)
            except ProcessLookupError:
                pass

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.screen.feed(data)
        else:
            self._ended()


def typed(text: str) -> bytes:
    """Return what the program gets for `text`: CRLF, LF and CR are one 0x0D each; escape sequences do not arrive."""
    text = re.sub(r"\x1b\[[0-9;?]*[@-~]|\x1b\][^\x07]*\x07", "", text)
    return re.sub(r"\r\n|\n", "\r", text).encode()


def key_bytes(key: str) -> bytes | None:
    """Return what a key sends, None for one that is not known."""
    key = key.lower()
    if key in KEYS:
        return KEYS[key].encode()
    match = re.fullmatch(r"(ctrl|alt|shift|cmd)[+-]([a-z])", key)
    if match is None:
        return None
    modifier, letter = match.groups()
    return {"ctrl": chr(ord(letter) & 31), "alt": f"\x1b{letter}", "shift": letter.upper(), "cmd": ""}[
        modifier
    ].encode()
