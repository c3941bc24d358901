"""Starting, telling apart and ending processes, as far as the systems differ. Trees are `team/processes.py`'s."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psutil


def parent_unless_reused(process: psutil.Process) -> int:
    """Return the parent's pid, 0 if it now belongs to a younger process.

    Windows goes on naming a parent that has ended, whose orphans are found by it.
    """
    import psutil

    parent = process.ppid()
    try:
        is_younger = psutil.Process(parent).create_time() > process.create_time()
    except psutil.Error:
        return parent
    return 0 if is_younger else parent


if sys.platform == "win32":
    import ctypes
    import subprocess
    import zlib

    PYTHON = (sys.executable, "-I", "-X", "utf8")
    """How a process of ours is started; text in files is UTF-8 on every system."""
    SCRIPT = "intercom-mux.cmd"
    """The command of this package, beside the interpreter: pip makes no program of a script there."""
    DETACHED = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    """`creationflags` beside `start_new_session`: a console of its own that is not shown, so that no Ctrl-C and no
    closed window reaches it, and what it starts opens no window either."""

    def is_running(pid: int) -> bool:
        """Return whether a process of this pid runs; signal 0 would be Ctrl-C here."""
        import psutil

        return psutil.pid_exists(pid)

    def may_be_older(pid: int, _written_at: float) -> bool:
        """Return whether `pid` lives and may have written a file at a time; here nobody looks at its own."""
        return is_running(pid)

    def end(pid: int) -> None:
        """End a process; here that asks it nothing. Raises `OSError`."""
        os.kill(pid, signal.SIGTERM)

    def terminal_of_caller() -> tuple[str, str]:
        """Return a name of this terminal that lasts as long as it does, and a short one to show.

        The console window is its own for each terminal, a hidden one included; WT_SESSION tells apart those that
        Windows Terminal gave the same window one after the other.
        """
        console = ctypes.windll.kernel32.GetConsoleWindow() or os.getppid()
        tab = zlib.crc32(os.environ.get("WT_SESSION", "").encode())
        return f"{console}-{tab}", str(console)

    def shell_pid() -> int:
        """Return the process that stands for this terminal."""
        return os.getppid()

    def session_and_group(pid: int) -> tuple[int, int]:
        """Return that of a process: here there are none, each stands alone."""
        return pid, 0

    def own_group() -> int:
        """Return the process group we are in, 0 where there are none."""
        return 0

    parent_of = parent_unless_reused

    def is_this_users(_process: psutil.Process) -> bool:
        """Return whether a process is this user's, as far as matters before its environment is read: it then tells."""
        return True

    def has_terminal(_process: psutil.Process) -> bool:
        """Return whether a process has a terminal, which nobody tells here."""
        return False

    def has_group(_group: int) -> bool:
        """Return whether a process group has members: there are none."""
        return False

    def stop_group(_group: int) -> None:
        """Stop all processes of a group."""

    def end_group(pid: int, *, force: bool) -> None:  # noqa: ARG001 - there is only force here
        """End a process started with `start_new_session` and what it started. Raises `ProcessLookupError` if gone."""
        import psutil

        try:
            tree = [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]
        except psutil.Error:
            raise ProcessLookupError(pid) from None
        for process in tree:
            try:
                process.kill()
            except psutil.Error:
                continue

    def has_ended(pid: int) -> bool:
        """Return whether a process is gone."""
        return not is_running(pid)

    def become(argv: list[str], environment: Mapping[str, str]) -> NoReturn:
        """Be another program, as far as the caller can tell; `os.exec` would give the prompt back at once."""
        with subprocess.Popen(argv, env=environment) as child:
            while True:
                try:
                    sys.exit(child.wait())
                except KeyboardInterrupt:
                    continue

else:
    PYTHON = (sys.executable, "-I")
    """How a process of ours is started."""
    SCRIPT = "intercom-mux"
    """The command of this package, beside the interpreter."""
    DETACHED = 0
    """`creationflags` beside `start_new_session`."""

    def is_running(pid: int) -> bool:
        """Return whether a process of this pid exists, zombies included."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            pass
        return True

    def has_ended(pid: int) -> bool:
        """Return whether a process is gone; a child of ours that has ended is reaped, one of another counts as here."""
        try:
            return os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            return not is_running(pid)

    def end(pid: int) -> None:
        """Ask a process to end. Raises `OSError`."""
        os.kill(pid, signal.SIGTERM)

    def may_be_older(pid: int, written_at: float) -> bool:
        """Return whether `pid` lives and is older than a file written at a time (Unix seconds): pids are reused."""
        if not is_running(pid):
            return False
        try:
            fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            (boot,) = (line for line in _read("/proc/stat").splitlines() if line.startswith("btime "))
        except (OSError, ValueError):
            return True
        started_at = int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return fields[0] != "Z" and started_at < written_at + 2

    def _read(file: str) -> str:
        with open(file) as stream:
            return stream.read()

    def terminal_of_caller() -> tuple[str, str]:
        """Return a name of this terminal that lasts as long as it does, and a short one to show."""
        leader = os.getsid(0)
        try:
            terminal = os.ttyname(0).removeprefix("/dev/").replace("/", "")
        except OSError:
            terminal = str(leader)
        return f"{leader}-{_start_ticks(leader)}", terminal

    def _start_ticks(pid: int) -> str:
        """Return when a process started, in whatever unit the system counts: it only has to tell two holders apart."""
        try:
            return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19]
        except (OSError, IndexError):
            return "0"

    def shell_pid() -> int:
        """Return the process that stands for this terminal."""
        return os.getsid(0)

    def session_and_group(pid: int) -> tuple[int, int]:
        """Return that of a process. Raises `OSError` if it is gone."""
        return os.getsid(pid), os.getpgid(pid)

    def own_group() -> int:
        """Return the process group we are in, 0 where there are none."""
        return os.getpgrp()

    def parent_of(process: psutil.Process) -> int:
        """Return the parent's pid. Raises `psutil.Error`."""
        return process.ppid()

    def is_this_users(process: psutil.Process) -> bool:
        """Return whether a process is this user's. Raises `psutil.Error`."""
        return process.uids().real == os.getuid()

    def has_terminal(process: psutil.Process) -> bool:
        """Return whether a process has a terminal. Raises `psutil.Error`."""
        return process.terminal() is not None

    def has_group(group: int) -> bool:
        """Return whether a process group has members, zombies included."""
        try:
            os.killpg(group, 0)
        except OSError as error:
            return not isinstance(error, ProcessLookupError)
        return True

    def stop_group(group: int) -> None:
        """Stop all processes of a group: the kernel lets no fork slip past. Raises `OSError`."""
        os.killpg(group, signal.SIGSTOP)

    def end_group(pid: int, *, force: bool) -> None:
        """End a process started with `start_new_session` and what it started. Raises `ProcessLookupError` if gone."""
        os.killpg(pid, signal.SIGKILL if force else signal.SIGTERM)

    def become(argv: list[str], environment: Mapping[str, str]) -> NoReturn:
        """Be another program. Raises `OSError`."""
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - an argv list, no shell
