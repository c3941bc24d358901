"""Directories and files of ours: whether they are this user's alone, and what lies there for nobody."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.doctor.finding import Finding
from intercom_mux.host import files, unix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def directories() -> Iterator[Finding]:
    """Yield what is wrong with the directories of state and sockets, and what is in them; else that all is well."""
    roots = [root for root in (paths.state_dir(), paths.runtime_dir()) if os.path.lexists(root)]
    wrong = [*_unusable(paths.state_dir()), *(finding for root in roots for finding in _look(root))]
    yield from wrong
    if not wrong:
        shown = " and ".join(map(str, roots))
        yield Finding("ok", "places", f"{shown}: yours alone" if shown else "nothing of ours is here yet")


def _unusable(root: Path) -> Iterator[Finding]:
    """Yield that nothing can be written in `root`, or that it cannot be made in what is there of the way to it."""
    there = next(path for path in (root, *root.parents) if os.path.lexists(path))
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    why = "you may not write there" if there.is_dir() else "it is no directory"
    text = f"{there}: {why}" if there == root else f"{root} cannot be made in {there}: {why}"
    yield Finding("error", "places", text, f"{paths.ELSEWHERE} another directory")


def _look(root: Path) -> Iterator[Finding]:
    below = _below(root) if root.is_dir() and not root.is_symlink() else []
    for path in (root, *below):
        try:
            info = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(info.st_mode):
            if path == root:
                yield Finding("error", "places", f"{path} is a symbolic link, which is refused", f"rm {path}")
        elif problem := files.owner_problem(info):
            yield Finding("error", "places", f"{path} {problem}", f"sudo rm -r {path}")
        elif files.mode_problem(info) and (stat.S_ISDIR(info.st_mode) or _is_secret(path, info)):
            yield _too_open(path, info)


def _below(root: Path) -> Iterator[Path]:
    """Yield what is to be private in itself in a directory that is; not what agents have made deep below."""
    yield from (path for path in root.glob("*") if not path.is_dir())
    for pattern in ("t/*", "t/*/*", "teams/*", "teams/*/*"):
        yield from root.glob(pattern)


_SECRETS = {"state.json", "plan.json", "team.secret"}


def _is_secret(path: Path, info: os.stat_result) -> bool:
    """Whether a file has to be 0600 in itself: by it somebody speaks for a session."""
    return stat.S_ISSOCK(info.st_mode) or path.suffix == ".identity" or path.name in _SECRETS


def _too_open(path: Path, info: os.stat_result) -> Finding:
    wanted = 0o700 if stat.S_ISDIR(info.st_mode) else 0o600

    def mend() -> str:
        path.chmod(wanted)
        return f"{path} is {wanted:o} now"

    text = f"{path} is open to others ({stat.S_IMODE(info.st_mode):o})"
    return Finding("warning", "places", text, f"chmod {wanted:o} {path}", mend)


def sockets() -> Iterator[Finding]:
    """Yield the broker's address when nobody listens there although a file says so."""
    path = paths.broker_socket()
    if not unix.ARE_THERE or not os.path.lexists(path) or unix.listening_pid(path) is not None:
        return

    def mend() -> str:
        # Looked at again: a broker may have started there meanwhile.
        if unix.listening_pid(path) is None:
            path.unlink(missing_ok=True)
        return f"{path} is removed"

    text = f"nobody listens at {path}: its broker was killed"
    yield Finding("warning", "socket", text, "any command starts a broker anew", mend)
