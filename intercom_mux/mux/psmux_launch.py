"""The program that psmux starts in a surface: it runs the peer's program there and keeps how that ended.

Run by its path, as `python -I -S psmux_launch.py DIRECTORY`; imports nothing of the project. psmux says 0 of every
death (`pane_dead_status`), and its shell would read a command line once more. In DIRECTORY:

    launch.json  what to run; without words, only to hold the surface open
    pid          the program, from its start
    status       its exit status, from its end on

The surface then stays, with the last screen, until it is closed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

ANNOUNCED = ("PSMUX_", "TMUX", "TERM", "COLORTERM", "SHELL")
"""Beginnings of the names that psmux sets: they win over the environment handed over."""


def main(directory: str) -> None:
    with open(os.path.join(directory, "launch.json"), encoding="utf-8") as file:
        spec = json.load(file)
    # A handler, not SIG_IGN, which the program would inherit: Ctrl-C is for it alone.
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    if spec["argv"]:
        status = _run(directory, spec)
        _write(directory, "status", str(status))
        os.write(1, f"\r\nPane is dead (status {status})\r\n".encode())
    else:
        _write(directory, "pid", str(os.getpid()))
    while True:
        time.sleep(3600)


def _run(directory: str, spec: dict) -> int:  # type: ignore[type-arg]  # read by whatever Python is there
    announced = {name: value for name, value in os.environ.items() if name.startswith(ANNOUNCED)}
    env = {**spec["base"], **announced, "PWD": spec["cwd"], **spec["env"]}
    for name in spec["unset"]:
        env.pop(name, None)
    try:
        child = subprocess.Popen(spec["argv"], cwd=spec["cwd"], env=env)
    except OSError as error:
        os.write(2, f"{spec['argv'][0]}: {error.strerror}\n".encode())
        _write(directory, "pid", str(os.getpid()))
        return 127 if isinstance(error, FileNotFoundError) else 126
    _write(directory, "pid", str(child.pid))
    status = child.wait()
    return 128 - status if status < 0 else status


def _write(directory: str, name: str, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    path = os.path.join(directory, name)
    try:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(f"{path}.new", path)
    except OSError:
        # The directory was removed with the surface: nobody asks any more.
        pass


if __name__ == "__main__":
    main(sys.argv[1])
