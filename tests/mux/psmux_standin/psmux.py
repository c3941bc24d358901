"""A program `psmux` on top of a real tmux: `python psmux.py VERSION ARGUMENTS…`, servers in PSMUX_DATA_DIR.

What is the same is tmux's own: panes, sizes, screens, keys, and the syntax of targets. Only what psmux is known to do
otherwise is done here, after its documentation (docs/tmux_args_reference.md), its issues and its change log:

* `-V` prints two lines, the first of which claims to be tmux.
* There is no socket to choose: the value of `-S` is swallowed. `-L NAME` is a namespace.
* Up to 3.3.8 an attached `-Lname` is passed over in silence, which means the default namespace; an attached
  `-tname` is passed over too, so that the command acts on the active one.
* `kill-server` without a namespace ends the servers of every namespace in the directory.
* Up to 3.3.8 a target that does not resolve is the active window, with status 0.
* `split-window -P` may print an invented id (issue 559): here, up to 3.3.8, always. `new-window -P` prints nothing.
* `pane_dead_status` is 0 whatever the program said.
* `capture-pane` has no -a -C -N -q, `display-message` no -a -v, `paste-buffer` no -r; `send-keys -H` came after 3.3.8.
* 3.3.4 pastes nothing (issue 264), with status 0.
* `send-paste [-t TARGET] BASE64` is a bracketed paste. When it came is not known: here it came after 3.3.8, so that
  both ways are tried.
* A session within a session is refused (PSMUX_SESSION), unless PSMUX_ALLOW_NESTING=1.

Not the same: psmux has a server per session, here one per namespace, which a driver with one session per namespace
cannot tell apart; the shell is sh, not PowerShell, so that what is quoted for one of them proves nothing for the other
(`launch.cmd` is read by cmd.py beside this file); the texts of errors are tmux's; terminals are Unix ones, not ConPTY;
and `set-hook`, `wait-for`, control mode and the options are as in tmux.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

NEWEST = "3.3.9"
PROFILES = ("3.3.4", "3.3.8", NEWEST)
REFUSED = {
    "capture-pane": "aCNq",
    "display-message": "av",
    "paste-buffer": "r",
}


def main(version: str, words: list[str]) -> int:
    is_old = version != NEWEST
    namespace, rest = globals_of(words, is_old=is_old)
    if rest[:1] == ["-V"]:
        print(f"tmux {version}\npsmux {version} (0000000 2026-08-01)")
        return 0
    if not rest:
        return fail("no command")
    command, *arguments = rest
    if is_old:
        arguments = [word for word in arguments if not re.fullmatch(r"-t.+", word)]
    refusal = refused(command, arguments, is_old=is_old)
    if refusal:
        return fail(refusal)
    socket = data_dir() / f"{namespace or 'default'}.sock"
    if command == "attach-session":
        os.execvp("tmux", ["tmux", "-u", "-f", os.devnull, "-S", str(socket), command, *arguments])
    if command == "kill-server" and namespace is None:
        for each in data_dir().glob("*.sock"):
            tmux(each, [command])
        return 0
    if command == "send-paste":
        return send_paste(socket, arguments)
    if command == "paste-buffer" and version == "3.3.4":
        return 0
    run = acted(socket, command, arguments, is_old=is_old)
    sys.stdout.buffer.write(printed(command, arguments, run, is_old=is_old))
    sys.stderr.buffer.write(run.stderr)
    return run.returncode


def refused(command: str, arguments: list[str], *, is_old: bool) -> str:
    """Return why the command is refused, "" when it is not."""
    if command == "send-paste" and is_old:
        return f"unknown command: {command}"
    if command == "new-session" and os.environ.get("PSMUX_SESSION") and os.environ.get("PSMUX_ALLOW_NESTING") != "1":
        return "sessions should be nested with care, unset PSMUX_SESSION to force"
    without = REFUSED.get(command, "") + ("H" if command == "send-keys" and is_old else "")
    wrong = [flag for flag in flags(arguments) if flag in without]
    return f"command {command}: unknown flag -{wrong[0]}" if wrong else ""


def flags(arguments: list[str]) -> str:
    return "".join(word[1:] for word in arguments if re.fullmatch(r"-[A-Za-z]+", word))


def acted(socket: Path, command: str, arguments: list[str], *, is_old: bool) -> subprocess.CompletedProcess[bytes]:
    """Have tmux do it; in the old profile on the active window where the target does not resolve."""
    if command == "new-session":
        arguments = ["-e", "PSMUX_SESSION=1", *arguments]
    arguments = [word.replace("#{pane_dead_status}", "0") for word in arguments]
    if arguments[-1:] == [".\\launch.cmd"]:
        arguments[-1:] = [sys.executable, "-S", "-E", str(Path(__file__).with_name("cmd.py")), "launch.cmd"]
    stdin = sys.stdin.buffer.read() if command == "load-buffer" and arguments[-1:] == ["-"] else b""
    run = tmux(socket, [command, *arguments], stdin)
    if is_old and run.returncode and run.stderr.startswith(b"can't find") and "-t" in arguments:
        at = arguments.index("-t")
        run = tmux(socket, [command, *arguments[:at], *arguments[at + 2 :]], stdin)
        run.returncode, run.stderr = 0, b""
    return run


def printed(command: str, arguments: list[str], run: subprocess.CompletedProcess[bytes], *, is_old: bool) -> bytes:
    if "P" not in flags(arguments) or run.returncode:
        return run.stdout
    if command == "new-window":
        return b""
    return b"%4711\n" if command == "split-window" and is_old else run.stdout


def globals_of(words: list[str], *, is_old: bool) -> tuple[str | None, list[str]]:
    """Return the namespace and what follows the global flags."""
    namespace = None
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-V":
        word = rest.pop(0)
        if word in ("-S", "-f"):
            rest.pop(0)
        elif word == "-L":
            namespace = rest.pop(0)
        elif word.startswith("-L") and not is_old:
            namespace = word[2:]
    return namespace, rest


def send_paste(socket: Path, arguments: list[str]) -> int:
    *where, text = arguments
    run = tmux(socket, ["load-buffer", "-b", "psmux", "-"], base64.b64decode(text))
    if run.returncode == 0:
        run = tmux(socket, ["paste-buffer", "-p", "-r", "-d", "-b", "psmux", *where])
    sys.stderr.buffer.write(run.stderr)
    return run.returncode


def tmux(socket: Path, command: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    argv = ["tmux", "-u", "-f", os.devnull, "-S", str(socket), *command]
    return subprocess.run(argv, input=stdin, capture_output=True, check=False)


def data_dir() -> Path:
    return Path(os.environ["PSMUX_DATA_DIR"])


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
