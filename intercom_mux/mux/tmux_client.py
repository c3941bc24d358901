"""One run of the tmux client: bounded in time, with stdin, and with an environment of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.environment import base_environment
from intercom_mux.mux.tmux_version import install_hint

if TYPE_CHECKING:
    from collections.abc import Sequence


class ClientRun(NamedTuple):
    """What a client printed, by lines, and how it ended; named as in libtmux's `tmux_cmd`."""

    cmd: list[str]
    returncode: int
    stdout: list[str]
    stderr: list[str]


def run_client(argv: Sequence[str], *, stdin: str, limit_s: float) -> ClientRun:
    """Run a tmux client to its end.

    Raises:
        MultiplexerError: There is no such program, or it did not end in `limit_s` (`E_OUTCOME_UNKNOWN`).
    """
    try:
        # The server inherits environment and directory of the client that starts it.
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=base_environment(),
            cwd="/",
        )
    except FileNotFoundError as error:
        raise MultiplexerError("tmux is not installed", code="E_TMUX_MISSING", hint=install_hint()) from error
    with process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            # Not read to the end: a wedged server holds the pipes, which the client has handed to it.
            process.kill()
            raise MultiplexerError(
                f"tmux did not answer within {limit_s:g} s",
                code="E_OUTCOME_UNKNOWN",
                hint="check the server, then try again",
            ) from error
        except BaseException:
            process.kill()
            raise
    lines = stdout.rstrip("\n").split("\n") if stdout else []
    return ClientRun(list(argv), process.returncode, lines, stderr.splitlines())
