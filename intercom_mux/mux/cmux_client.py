"""The one place that speaks to cmux: its socket for nearly everything, its command line for what only that offers.

The socket takes JSON, so that no text is reinterpreted (`cmux send` turns backslash-n into Enter), nothing stands in
`ps`, and a look costs no process. Every call is a connection of its own, bounded in time.
"""

from __future__ import annotations

import errno
import json
import os
import socket as sockets
import subprocess
from typing import TYPE_CHECKING, Any

from intercom_mux.mux.cmux_errors import explain

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
CALL_LIMIT_S = 5.0
_LARGEST = 16 * 1024 * 1024


class CmuxClient:
    """Calls to the app behind `socket`; password and capability come from the environment at each call."""

    def __init__(self, socket: Path, limit_s: float = CALL_LIMIT_S) -> None:
        self.socket = socket
        self._limit_s = limit_s

    def call(self, method: str, params: Json | None = None, *, what: str = "") -> Json:
        """Carry out a method of the second protocol and return its result.

        Raises:
            MultiplexerError: As `cmux_errors.SAYINGS` tells.
        """
        request = {"id": "1", "method": method, "params": params or {}}
        answer = self.line(json.dumps(request), what=what or method)
        try:
            value = json.loads(answer)
            if value["ok"]:
                result: Json = value.get("result") or {}
                return result
            said = f"{value['error']['code']}: {value['error']['message']}"
        except (ValueError, KeyError, TypeError):
            said = answer
        raise explain(said, what or method, method=method)

    def line(self, text: str, *, what: str = "") -> str:
        """Send one line and return the one that answers it.

        Raises:
            MultiplexerError: Unreachable, denied, silent; or the answer is an error of the first protocol.
        """
        password = os.environ.get("CMUX_SOCKET_PASSWORD")
        lines = ([f"auth {password}"] if password else []) + [text]
        answer = ""
        try:
            with sockets.socket(sockets.AF_UNIX) as connection:
                connection.settimeout(self._limit_s)
                connection.connect(str(self.socket))
                with connection.makefile("rwb") as stream:
                    for each in lines:
                        stream.write(_framed(each))
                        stream.flush()
                        answer = stream.readline(_LARGEST).decode("utf-8", "replace").rstrip("\n")
                        if not answer:
                            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
                        if answer.startswith("ERROR"):
                            break
        except OSError as error:
            raise explain(self._said(error), what) from error
        if answer.startswith("ERROR"):
            raise explain(answer, what)
        return answer

    def _said(self, error: OSError) -> str:
        """Return the words in which cmux's own command line tells the same."""
        if isinstance(error, TimeoutError):
            return "Command timed out"
        if isinstance(error, FileNotFoundError):
            return f"Socket not found at {self.socket}"
        reason = f"({error.strerror}, errno {error.errno})"
        if isinstance(error, (BrokenPipeError, ConnectionResetError)):
            return f"Failed to write to socket {reason}"
        return f"Failed to connect to socket at {self.socket} {reason}"


def _framed(line: str) -> bytes:
    token = os.environ.get("CMUX_SOCKET_CAPABILITY")
    return (f"_cmux_capability_v1 {token} {line}\n" if token else f"{line}\n").encode()


def run_cli(program: str, *words: str, socket: Path | None = None, limit_s: float = CALL_LIMIT_S) -> str:
    """Run the command line once and return what it prints; globals stand first, where every version takes them.

    Raises:
        MultiplexerError: It does not run, failed, or took longer than `limit_s`.
    """
    where = ["--socket", str(socket)] if socket else []
    argv = [program, *where, *words]
    try:
        run = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit_s,
            check=False,
            env={**os.environ, "CMUX_QUIET": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise explain("Command timed out", words[0]) from error
    except OSError as error:
        raise explain(f"Unknown command: {error}", words[0]) from error
    if run.returncode != 0:
        lines = run.stderr.strip().splitlines() or run.stdout.strip().splitlines()
        raise explain(lines[0] if lines else f"ended with {run.returncode}", words[0])
    return run.stdout
