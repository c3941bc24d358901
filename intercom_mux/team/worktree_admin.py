"""What a killed git leaves of a worktree among a repository's own files, which git itself does not get over.

An entry of `worktrees/` without `commondir`, not written yet or removed already, makes every later `git worktree` and
`git branch` of that repository fail, a person's too. gitrepository-layout(5) says what an entry holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.team.git import git

if TYPE_CHECKING:
    from collections.abc import Iterator


def broken(repository: Path, path: Path) -> list[Path]:
    """Return the entries of a worktree at `path` that are not whole.

    To be asked only while nobody makes or removes a worktree there, of one that was being made or removed.

    Raises:
        GitError: There is no repository any more.
    """
    found = [entry for entry in _entries(repository, path) if not _is_whole(entry)]
    return [entry for entry in found if _text(entry / "gitdir") in {"", str(path / ".git")}]


def relink(repository: Path, path: Path) -> None:
    """Write the link of the worktree at `path` into its repository again if it is gone.

    Raises:
        GitError: There is no repository any more.
        OSError: It cannot be written.
    """
    link = path / ".git"
    for entry in _entries(repository, path):
        if not link.exists() and _is_whole(entry) and _text(entry / "gitdir") == str(link):
            link.write_text(f"gitdir: {entry}\n", encoding="utf-8", errors="surrogateescape")


def _entries(repository: Path, path: Path) -> Iterator[Path]:
    """Yield the entries that may be those of a worktree at `path`."""
    return Path(repository, git(repository, "rev-parse", "--git-common-dir"), "worktrees").glob(f"{path.name}*")


def _is_whole(entry: Path) -> bool:
    return _text(entry / "commondir") != ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""
