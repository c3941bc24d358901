"""What git knows about worktrees and branches: whether work would be lost. Reads only."""

from __future__ import annotations

from pathlib import Path

from intercom_mux.team.git import git, holds


def registered(repository: Path) -> set[Path]:
    """Return the directories of the repository's worktrees, those that are missing included."""
    rows = git(repository, "worktree", "list", "--porcelain", "-z").split("\0")
    return {Path(row.removeprefix("worktree ")) for row in rows if row.startswith("worktree ")}


def has_branch(repository: Path, branch: str) -> bool:
    """Return whether there is a local branch of that name."""
    return holds(repository, "show-ref", "--verify", "--quiet", f"refs/heads/{branch}")


def tip(repository: Path, branch: str) -> str | None:
    """Return the commit that a branch is at, None when there is no such branch."""
    return git(repository, "rev-parse", f"refs/heads/{branch}") if has_branch(repository, branch) else None


def free_branch(repository: Path, name: str) -> str:
    """Return `name` if a branch can have it, else the first of name-2, name-3, … that can.

    A branch `a` and a branch `a/b` exclude each other in git; if `name` meets such a one, its slashes become dashes.
    """
    taken = set(git(repository, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines())
    parts = name.split("/")
    if any("/".join(parts[:count]) in taken for count in range(1, len(parts))):
        name = name.replace("/", "-")
    candidate, number = name, 2
    while candidate in taken or any(branch.startswith(f"{candidate}/") for branch in taken):
        candidate, number = f"{name}-{number}", number + 1
    return candidate


def is_on(worktree: Path, branch: str) -> bool:
    """Return whether the worktree has `branch` checked out."""
    return git(worktree, "rev-parse", "--symbolic-full-name", "HEAD") == f"refs/heads/{branch}"


def uncommitted(worktree: Path) -> str | None:
    """Say what the worktree holds that no commit has, None for nothing. Ignored files do not count."""
    state = git(worktree, "status", "--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=none")
    files = [row for row in state.split("\0") if row]
    if not files:
        # These bits hide changes from `git status`.
        rows = [row for row in git(worktree, "ls-files", "-v", "-z").split("\0") if row]
        files = [row for row in rows if row[0].islower() or (row[0] == "S" and (worktree / row[2:]).exists())]
    if not files:
        return None
    return f"uncommitted changes: {', '.join(row[2:].strip() for row in files[:3])}{' …' if len(files) > 3 else ''}"


def unmerged(worktree: Path, branch: str) -> str | None:
    """Say which commits only the worktree or `branch` holds, None when another branch, tag or remote has them all."""
    tips = ["HEAD"]
    if has_branch(worktree, branch):
        tips.append(f"refs/heads/{branch}")
    main = git(worktree, "worktree", "list", "--porcelain", "-z").split("\0\0")[0].split("\0")
    others = [row.removeprefix("HEAD ") for row in main if row.startswith("HEAD ")]
    elsewhere = [f"--exclude={branch}", "--branches", "--tags", "--remotes"]
    count = int(git(worktree, "rev-list", "--count", *tips, "--not", *others, *elsewhere))
    return f"{count} {'commit' if count == 1 else 'commits'} in no other branch" if count else None
