"""The program that cmux starts in a surface: it runs the peer's program in a terminal of its own inside that one.

Run by its path, as `python -I -S cmux_launch.py DIRECTORY`; imports nothing of the project. All bytes go through, both
ways; standing between, it keeps what cmux does not tell. In DIRECTORY:

    launch.json  what to run, and where the log goes, which gets every byte printed: a file, or a pipe
    in           a pipe; what is written to it is typed, which is how a paste of several lines gets in
    pid          ours, from the start
    title        the one that the program has set last (that of the tab is the peer's name)
    bracketed    1 while the program wants pastes bracketed
    status       the exit status, from the end of the program on

The surface then stays, with the last screen, until it is closed (unless `stays` is false): cmux closes a surface whose
program has ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import stat
import sys
import termios
import tty

ANNOUNCED = ("CMUX_", "GHOSTTY_", "TERM", "COLORTERM", "SHELL")
"""Beginnings of the names that cmux sets: they win over the environment handed over."""

_TITLE = re.compile(rb"\x1b\][02];([^\x07\x1b]*)(?:\x07|\x1b\\)")
_BRACKETED = re.compile(rb"\x1b\[\?2004([hl])")
_PART = 4096
_LOOK_S = 0.2
_WAITING_MAX = 4 * 1_048_576
_OURS = 0


def main(directory: str) -> None:
    with open(os.path.join(directory, "launch.json"), encoding="utf-8") as file:
        spec = json.load(file)
    os.mkfifo(os.path.join(directory, "in"), 0o600)
    _write(directory, "pid", str(os.getpid()))
    # Where we were typed into a shell, its prompt and our line go.
    os.write(1, b"\x1b[H\x1b[2J\x1b[3J")
    size = fcntl.ioctl(_OURS, termios.TIOCGWINSZ, b"\0" * 8)
    child, master = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, size)
        _exec(spec)
    endings: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        endings.append(number)
        try:
            os.kill(child, number)
        except ProcessLookupError:
            pass

    def resize(_number: int, _frame: object) -> None:
        fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(_OURS, termios.TIOCGWINSZ, b"\0" * 8))

    signal.signal(signal.SIGWINCH, resize)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    before = termios.tcgetattr(_OURS)
    tty.setraw(_OURS)
    status = _pass_through(child, master, directory, spec["log"])
    _write(directory, "status", str(status))
    if endings or not spec["stays"]:
        raise SystemExit(status)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        termios.tcsetattr(_OURS, termios.TCSANOW, before)
        os.write(1, f"\r\nPane is dead (status {status})\r\n".encode())
    except (OSError, termios.error):
        return
    while True:
        signal.pause()


def _pass_through(child: int, master: int, directory: str, log: str | None) -> int:
    """Copy both ways until the program has ended and all it printed is out; return its status.

    What is to be typed never blocks us: a program may print much before it reads.
    """
    kept = _Log(log) if log else None
    typed = os.open(os.path.join(directory, "in"), os.O_RDWR | os.O_NONBLOCK)
    os.set_blocking(master, False)
    status: int | None = None
    rest = pending = b""
    sources = [master, _OURS, typed]
    while True:
        wait_s = 0 if status is not None else _LOOK_S
        ready, writable, _ = select.select(sources, [master] if pending and sources else [], [], wait_s)
        for source in (_OURS, typed):
            if source in ready:
                data = _read(source)
                pending += data
                if source == _OURS and not data and status is None:
                    # The terminal is gone: the program hears of it as it would without us.
                    sources.remove(_OURS)
                    os.kill(child, signal.SIGHUP)
        if writable:
            pending = pending[_write_some(master, pending[:_PART]) :]
        printed = _read(master) if master in ready else b""
        if printed:
            _write_all(1, printed)
            if kept:
                kept.add(printed)
            rest = _keep_words(directory, rest + printed)
        elif master in ready:
            sources = []
        if kept:
            kept.add(b"")
        if status is None:
            status = _ended(child, is_certain=not sources)
        elif not printed:
            return status


class _Log:
    """Where all that is printed goes; who does not read it never holds up the program."""

    def __init__(self, path: str) -> None:
        is_pipe = os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)
        how = os.O_RDWR | os.O_NONBLOCK if is_pipe else os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._descriptor = os.open(path, how | os.O_NOFOLLOW, 0o600)
        self._waiting = b""

    def add(self, data: bytes) -> None:
        """Write `data` after what waits; beyond 4 MiB the end of it is dropped."""
        waiting = (self._waiting + data)[:_WAITING_MAX]
        while waiting and (taken := _write_some(self._descriptor, waiting)):
            waiting = waiting[taken:]
        self._waiting = waiting


def _ended(child: int, *, is_certain: bool) -> int | None:
    """Return the program's status, None while it runs; `is_certain` waits for it."""
    pid, raw = os.waitpid(child, 0 if is_certain else os.WNOHANG)
    if pid == 0:
        return None
    return os.WEXITSTATUS(raw) if os.WIFEXITED(raw) else 128 + os.WTERMSIG(raw)


def _keep_words(directory: str, seen: bytes) -> bytes:
    """Keep the last title, and whether the program wants pastes bracketed; return what may go on in the next part."""
    titles = list(_TITLE.finditer(seen))
    if titles:
        _write(directory, "title", titles[-1][1].decode("utf-8", "replace"))
    modes = _BRACKETED.findall(seen)
    if modes:
        _write(directory, "bracketed", "1" if modes[-1] == b"h" else "0")
    start = seen.rfind(b"\x1b")
    is_whole = start < 0 or _TITLE.match(seen, start) or _BRACKETED.match(seen, start)
    return b"" if is_whole else seen[start:][:_PART]


def _exec(spec: dict) -> None:  # type: ignore[type-arg]  # read by whatever Python is there
    announced = {name: value for name, value in os.environ.items() if name.startswith(ANNOUNCED)}
    env = {**spec["base"], **announced, "PWD": spec["cwd"], **spec["env"]}
    for name in spec["unset"]:
        env.pop(name, None)
    program = spec["argv"][0]
    try:
        os.chdir(spec["cwd"])
        os.execvpe(program, spec["argv"], env)  # noqa: S606 - an argv list, no shell
    except OSError as error:
        os.write(2, f"{program}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _read(descriptor: int) -> bytes:
    """Return what there is, nothing at the end of it."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def _write_some(descriptor: int, data: bytes) -> int:
    """Return how much was taken; all of it where nobody will ever take it."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0
    except OSError:
        return len(data)


def _write_all(descriptor: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        # Nobody reads any more, which ends us by other ways.
        pass


def _write(directory: str, name: str, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    path = os.path.join(directory, name)
    try:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(f"{path}.new", path)
    except OSError:
        # `down` has removed the directory: nobody asks any more.
        pass


if __name__ == "__main__":
    main(sys.argv[1])
