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
import ntpath
import os
import re
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ANNOUNCED = ("PSMUX_", "TMUX", "TERM", "COLORTERM", "SHELL")
"""Beginnings of the names that psmux sets: they win over the environment handed over."""


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return None


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
    argv = spec["argv"]
    env = {**spec["base"], **announced, "PWD": spec["cwd"], **spec["env"]}
    for name in spec["unset"]:
        env.pop(name, None)
    try:
        command = windows_command(argv, env, spec["cwd"]) if sys.platform == "win32" else argv
        child = subprocess.Popen(command, cwd=spec["cwd"], env=env)
    except (OSError, ValueError) as error:
        os.write(2, f"{argv[0]}: {getattr(error, 'strerror', None) or error}\n".encode())
        _write(directory, "pid", str(os.getpid()))
        return 127 if isinstance(error, FileNotFoundError) else 126
    _write(directory, "pid", str(child.pid))
    status = child.wait()
    return 128 - status if status < 0 else status


def windows_command(
    argv: list[str], env: dict[str, str], cwd: str, read: Callable[[str], str | None] = _read
) -> list[str] | str:
    """Return what to hand to CreateProcess, which by itself finds only `.exe` files and runs no script.

    The program is looked for as cmd does, in the PATH and with the PATHEXT of `env`. Of a script that npm made the
    node program behind it is run: its words go through no shell, and may have line ends.

    Args:
        read: Returns the beginning of a file as text, None when there is none.

    Raises:
        ValueError: It is another batch file, and a word has what cannot be handed to one.
    """
    name, words = argv[0], argv[1:]
    program = _find(name, env, cwd, read)
    if program is None or not program.lower().endswith((".cmd", ".bat")):
        return [program or name, *words]
    shim = re.search(r'"%_prog%" +"%dp0%\\([^"%]+)" %\*', read(program) or "")
    if shim is None:
        return batch_command(program, words)
    directory = ntpath.dirname(program)
    node = ntpath.join(directory, "node.exe")
    if read(node) is None:
        node = _find("node", env, cwd, read) or "node"
    return [node, ntpath.join(directory, shim[1]), *words]


def _find(name: str, env: dict[str, str], cwd: str, read: Callable[[str], str | None]) -> str | None:
    variables = {key.upper(): value for key, value in env.items()}
    endings = [ending for ending in variables.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").lower().split(";") if ending]
    places = [part.strip('"') for part in variables.get("PATH", "").split(";")]
    if ntpath.dirname(name):
        places = [cwd]
    if name.lower().endswith(tuple(endings)):
        endings = ["", *endings]
    paths = (ntpath.join(place, name + ending) for place in places if place for ending in endings)
    return next((path for path in paths if read(path) is not None), None)


def batch_command(script: str, words: list[str]) -> str:
    r"""Return the command line that has cmd run a batch file with exactly these words.

    cmd reads it before the program's own rules do: quotes are doubled, and `%` is followed by an empty substring of a
    variable, so that nothing between two of them is taken for a variable's name.

    Raises:
        ValueError: A word has a line end, which ends the command for cmd, or a NUL.
    """
    if any(character in word for word in words for character in "\r\n\0"):
        raise ValueError("a batch file takes no argument with a line break; name the program behind it")
    return " ".join(['cmd.exe /e:ON /v:OFF /d /c "' + _batch_word(script), *map(_batch_word, words)]) + '"'


def _batch_word(word: str) -> str:
    word = re.sub(r'(\\*)"', r'\1\1""', word)
    word = re.sub(r"(\\+)\Z", r"\1\1", word)
    return '"' + word.replace("%", "%%cd:~,%") + '"'


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
