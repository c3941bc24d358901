"""What a killed `git worktree add` leaves among a repository's own files, which git itself does not get over.

An entry of `worktrees/` whose `commondir` was not written yet makes every later `git worktree` and `git branch` of that
repository fail, a person's too. gitrepository-layout(5) says what an entry holds.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from intercom_mux.team.git import git


def drop_half_made(repository: Path, path: Path) -> None:
    """Remove the entry of a worktree at `path` that git had not written to its end, and `path`; whole ones stay.

    To be called only while nobody makes a worktree there, for one that is known never to have been made.

    Raises:
        GitError: There is no repository any more.
    """
    entries = Path(repository, git(repository, "rev-parse", "--git-common-dir")) / "worktrees"
    for entry in entries.glob(f"{path.name}*"):
        is_whole = _text(entry / "commondir") != ""
        if not is_whole and _text(entry / "gitdir") in {"", str(path / ".git")}:
            shutil.rmtree(entry, ignore_errors=True)
            shutil.rmtree(path, ignore_errors=True)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""
