"""Makes a Python on Linux one as on Windows, as far as what Python offers there goes; run at its start.

`sys.platform` says win32, modules and names that exist on POSIX only are gone, and those of Windows that we use are
there, each as its documentation says and no more:

* `msvcrt.locking` locks one byte of an open file, exclusively, and fails at once with EACCES (here `flock`, which too
  belongs to the open file and ends with it). `msvcrt.get_osfhandle` gives what the console functions take.
* `os.kill` ends a process without asking it, whatever the signal: TerminateProcess. 0 is no probe, but Ctrl-C.
* `subprocess` passes over `start_new_session` and takes `creationflags`; here the flags make a new session.
* A console has modes (here those of the terminal) and a window.
* `psutil.Process` has no `terminal` (nor `uids`, which psutil itself needs here).

Not the same: paths are POSIX ones (`os.name` is posix), open files can be removed and replaced, the selector is epoll,
asyncio has the POSIX event loop without its signal handlers and Unix sockets, and fork is what starts a process.
Everything of the standard library and of the libraries that asks for the platform is imported before it changes.
"""

# ruff: noqa: F401
from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import importlib
import logging.handlers
import os
import pathlib
import selectors
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import termios
import types
import uuid
import webbrowser
from typing import Any

import click
import click.shell_completion
import click.testing
import libtmux
import psutil
import rich.console
import rich.live
import rich.table
import yaml

for name in ("textual.app", "textual.widgets", "textual.drivers.linux_driver", "mcp", "mcp.server", "jsonschema"):
    try:
        importlib.import_module(name)
    except ImportError:
        continue

POSIX_MODULES = (
    "fcntl",
    "termios",
    "tty",
    "pty",
    "pwd",
    "grp",
    "resource",
    "syslog",
    "readline",
    "posix",
)
POSIX_SIGNALS = [name for name in dir(signal) if name.startswith("SIG") and name[3].isalpha()]
WINDOWS_SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"}
POSIX_OF_OS = (
    *("getuid", "geteuid", "getgid", "getegid", "getsid", "setsid", "getpgid", "getpgrp", "setpgid", "killpg", "fork"),
    *("forkpty", "openpty", "ttyname", "mkfifo", "pread", "pwrite", "sysconf", "uname", "nice", "fchmod", "chown"),
    *("set_blocking", "WNOHANG", "WIFEXITED", "WEXITSTATUS", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY"),
)
"""What `os` has not got on Windows (`fchmod` until 3.13, `set_blocking` until 3.12)."""


def locking(descriptor: int, mode: int, _size: int) -> None:
    """Be `msvcrt.locking`."""
    if mode == MSVCRT.LK_UNLCK:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


MSVCRT: Any = types.ModuleType("msvcrt")
MSVCRT.LK_UNLCK, MSVCRT.LK_NBLCK = 0, 2
MSVCRT.locking = locking
MSVCRT.get_osfhandle = lambda descriptor: descriptor


class Kernel32:
    """The console functions. A console's input and its output have modes of their own; here they share a terminal's."""

    def __init__(self) -> None:
        self._cooked: list[Any] = []

    def GetConsoleWindow(self) -> int:  # noqa: N802 - its name
        return int(os.environ.get("AS_WINDOWS_CONSOLE", "0")) or GETSID(0)

    def GetConsoleMode(self, handle: int, mode: Any) -> int:  # noqa: N802 - its name
        try:
            self._cooked = self._cooked or termios.tcgetattr(handle)
        except termios.error:
            return 0
        mode._obj.value = 0x0007
        return 1

    def SetConsoleMode(self, handle: int, mode: int) -> int:  # noqa: N802 - its name
        modes = termios.tcgetattr(handle)
        if handle == 0:
            modes[0] = self._cooked[0] & ~(0 if mode & 0x0006 else termios.ICRNL | termios.IXON)
            by_line = 0 if mode & 0x0006 else termios.ICANON | termios.ECHO | termios.IEXTEN
            modes[3] = self._cooked[3] & ~(by_line | (0 if mode & 0x0001 else termios.ISIG))
        else:
            modes[1] = self._cooked[1] & ~(termios.OPOST if mode & 0x0008 else 0)
        termios.tcsetattr(handle, termios.TCSANOW, modes)
        return 1


GETSID = os.getsid
KILL, POPEN, HARD, BREAK = os.kill, subprocess.Popen.__init__, signal.SIGKILL, signal.SIGUSR1


def kill(pid: int, number: int) -> None:
    """Be `os.kill`, for what it is asked to do here."""
    if number != signal.SIGTERM:
        raise AssertionError(f"os.kill({pid}, {number}) is something else on Windows")
    KILL(pid, HARD)


def whole(module: types.ModuleType) -> types.ModuleType:
    """Return a module with all that `module` has now."""
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update(module.__dict__)
    return copy


def keep_for_libraries(*originals: types.ModuleType) -> None:
    """Leave what is loaded by now, the libraries, the whole module: they are POSIX ones here."""
    for original in originals:
        kept = whole(original)
        for module in list(sys.modules.values()):
            if module is not sys.modules[__name__] and getattr(module, original.__name__, None) is original:
                setattr(module, original.__name__, kept)


def popen(self: Any, *arguments: Any, **options: Any) -> None:
    """Be `subprocess.Popen`."""
    options["start_new_session"] = bool(options.pop("creationflags", 0))
    POPEN(self, *arguments, **options)


def socketpair() -> tuple[socket.socket, socket.socket]:
    """Be `socket.socketpair`, which is two TCP sockets there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


def no_signal_handler(*_: object) -> None:
    """Be `add_signal_handler` of an event loop."""
    raise NotImplementedError


def become_windows() -> None:
    """Take away and put in place."""
    keep_for_libraries(os, signal)
    # Programs have no endings here, whatever PATHEXT says.
    shutil.sys = whole(sys)  # type: ignore[attr-defined]
    for name in POSIX_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # what makes its import fail
    for name in POSIX_OF_OS:
        delattr(os, name)
    for name in POSIX_SIGNALS:
        if name not in WINDOWS_SIGNALS:
            for module in (signal, sys.modules["_signal"]):
                if hasattr(module, name):
                    delattr(module, name)
    for name in ("setitimer", "ITIMER_REAL", "alarm", "pause", "pthread_kill", "pthread_sigmask"):
        delattr(signal, name)
        if hasattr(sys.modules["_signal"], name):
            delattr(sys.modules["_signal"], name)
    for name in ("AF_UNIX", "SO_PEERCRED"):
        delattr(socket, name)
        delattr(sys.modules["_socket"], name)
    for name in ("start_unix_server", "open_unix_connection"):
        delattr(asyncio, name)
    asyncio.SelectorEventLoop.add_signal_handler = no_signal_handler  # type: ignore[method-assign,assignment]
    del psutil.Process.terminal
    windows: Any = {signal: {"SIGBREAK": BREAK}, os: {"O_BINARY": 0, "O_NOINHERIT": 0, "kill": kill}}
    windows[socket] = {"SO_EXCLUSIVEADDRUSE": socket.SO_KEEPALIVE, "socketpair": socketpair}
    windows[subprocess] = {"CREATE_NO_WINDOW": 0x08000000, "CREATE_NEW_PROCESS_GROUP": 0x200}
    windows[subprocess.Popen] = {"__init__": popen}
    windows[ctypes] = {"windll": types.SimpleNamespace(kernel32=Kernel32())}
    for owner, names in windows.items():
        for name, value in names.items():
            setattr(owner, name, value)
    sys.modules["msvcrt"] = MSVCRT
    sys.platform = "win32"


become_windows()
