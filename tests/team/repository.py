"""A real git repository for tests."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Repository:
    """A repository at `path` with one commit on `main`, made there or around what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.git("init", "--quiet", "-b", "main")
        (path / "readme").write_text("one\n")
        self.commit("one")

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        who = {f"GIT_{role}_{what}": "t@t" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **who}
        argv = ["git", *arguments]
        done = subprocess.run(argv, cwd=cwd or self.path, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message: str, cwd: Path | None = None) -> str:
        self.git("add", "-A", cwd=cwd)
        self.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=cwd)
        return self.git("rev-parse", "HEAD", cwd=cwd)

    def branches(self) -> set[str]:
        return set(self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines())

    def worktrees(self) -> int:
        """How many there are besides the main one."""
        return self.git("worktree", "list", "--porcelain").count("worktree ") - 1
