"""Calls of git: bounded, with an environment of our own, and never taking a lock that a person's git would wait for."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from intercom_mux.errors import TeamError

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 30.0
CHECKOUT_LIMIT_S = 600.0

_FIXED = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_ADVICE": "0"}
_CONFIG = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")


class GitError(TeamError):
    """git refused, is missing, or did not end in time."""

    code = "E_GIT"


def git(directory: Path, *arguments: str, limit_s: float = LIMIT_S) -> str:
    """Run git in `directory` and return what it printed, without the last line end.

    Raises:
        GitError: It failed; the message is git's own.
    """
    status, output, error = _run(directory, arguments, limit_s)
    if status != 0:
        raise GitError(_problem(error) or f"git ended with status {status}", directory=str(directory))
    return output.removesuffix("\n")


def _problem(error: str) -> str:
    """Return the line that says what is wrong: the first that git marks as such, else the last."""
    lines = error.strip().splitlines()
    marked = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return (marked or lines[-1:] or [""])[0].removeprefix("fatal: ").removeprefix("error: ")


def holds(directory: Path, *arguments: str) -> bool:
    """Return whether git ends with status 0."""
    return _run(directory, arguments, LIMIT_S)[0] == 0


def _run(directory: Path, arguments: tuple[str, ...], limit_s: float) -> tuple[int, str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *_CONFIG, *arguments],
            cwd=directory,
            env={**environment, **_FIXED},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed", hint="install git, or leave `worktree` out") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {arguments[0]} did not end within {limit_s:g} s", directory=str(directory)) from error
    return done.returncode, done.stdout, done.stderr
