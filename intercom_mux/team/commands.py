"""Running the layout's own commands: before_up, after_up, before_down, and the setup of worktrees."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

from intercom_mux.errors import TeamError
from intercom_mux.host.pipes import reading
from intercom_mux.host.process import DETACHED, end_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from intercom_mux.team.command_plan import CommandPlan

TAIL_LINES = 20
"""How much of its output a failure shows."""
END_S = 2.0
"""How long a command that ran out of time may take to end politely."""
_DRAIN_S = 0.1


def environment(team: str, project: str, socket: str, stage: str) -> dict[str, str]:
    """Return the variables that every command of the layout finds besides those of the caller."""
    return {
        "INTERCOM_MUX_TEAM": team,
        "INTERCOM_MUX_PROJECT": project,
        "INTERCOM_MUX_TEAM_SOCKET": socket,
        "INTERCOM_MUX_STAGE": stage,
    }


def run_stage(
    stage: str, commands: Iterable[CommandPlan], env: Mapping[str, str], on_line: Callable[[str], None]
) -> list[TeamError]:
    """Run the commands of a stage one after the other and return the failures that are only to be told.

    Raises:
        TeamError: `E_COMMAND`: one whose failure aborts has failed; those after it were not run.
    """
    failures = []
    for command in commands:
        try:
            run(stage, command, env, on_line)
        except TeamError as error:
            if command.on_failure == "abort":
                raise
            failures.append(error)
    return failures


def run(what: str, command: CommandPlan, env: Mapping[str, str], on_line: Callable[[str], None]) -> None:
    """Run one command to its end, handing on its output line by line.

    It has no input and a session of its own, all of which ends with it when its time is over or the caller is
    interrupted. What it leaves in the background when it ends by itself is its own business.

    Raises:
        TeamError: `E_COMMAND`: it could not be started, failed, or ran out of time; the end of its output is told.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)

    def line(text: str) -> None:
        tail.append(text)
        on_line(text)

    try:
        process = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=DETACHED,
        )
    except OSError as error:
        raise _failure(what, command, f"could not be started: {error.strerror or error}", ()) from error
    with process:
        try:
            status = _follow(process, line, command.timeout_s)
        except BaseException:
            _end(process)
            raise
    if status is None:
        raise _failure(what, command, f"did not end within {command.timeout_s:g} s", tail)
    if status != 0:
        raise _failure(what, command, f"ended with status {status if status > 0 else 128 - status}", tail)


def _follow(process: subprocess.Popen[bytes], line: Callable[[str], None], limit_s: float) -> int | None:
    """Read until the command has ended, whoever else still holds its output; None when its time ran out."""
    deadline = time.monotonic() + limit_s
    descriptor = cast("IO[bytes]", process.stdout).fileno()
    pending = b""
    with reading(descriptor) as read:
        while True:
            has_ended = process.poll() is not None
            data = read(0 if has_ended else _DRAIN_S)
            if data is not None:
                *lines, pending = (pending + data).split(b"\n")
                for one in lines:
                    line(one.decode(errors="replace").rstrip("\r"))
                if not data:
                    break
            elif has_ended:
                break
            if not has_ended and time.monotonic() > deadline:
                _end(process)
                return None
    if pending:
        line(pending.decode(errors="replace"))
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        _end(process)
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and its process group: TERM, a grace, KILL."""
    for force, grace_s in ((False, END_S), (True, None)):
        with suppress(ProcessLookupError):
            end_group(process.pid, force=force)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            continue


def _failure(what: str, command: CommandPlan, problem: str, tail: Iterable[str]) -> TeamError:
    shown = command.argv[2] if command.argv[:2] == ["sh", "-c"] else " ".join(command.argv)
    last = list(tail)
    output = "".join(f"\n    {line}" for line in last)
    return TeamError(
        f"{what}: {_cut(shown)} {problem}" + (f"; its last output:{output}" if output else ""),
        code="E_COMMAND",
        hint=f"try it by hand in {command.cwd}",
        stage=what,
        command=list(command.argv),
        cwd=command.cwd,
        output=last,
    )


def _cut(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else text
    return first if len(first) <= 80 and first == text.strip() else f"{first[:79]}…"
