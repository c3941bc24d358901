"""git worktrees of peers: made by `up`, kept or removed by `down`.

A peer's worktree is `<repository>.worktrees/<team>/<peer>`, beside the repository: inside it, searches, watchers and
builds of the project would run into it; in our state directory, agents would meet a hidden place that no trust or
sandbox rule of their users covers, perhaps on another file system.

What was made is on record (`worktrees.json` in the team's state directory), written before each step, so that the next
`up` or `down` knows after any crash what it finds. Work is never removed: not what is uncommitted, and no commit that
only the worktree or its branch holds.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import TeamError
from intercom_mux.team import worktree_checks
from intercom_mux.team.command_plan import CommandPlan
from intercom_mux.team.commands import run
from intercom_mux.team.git import CHECKOUT_LIMIT_S, GitError, git, holds
from intercom_mux.team.state import team_id
from intercom_mux.team.worktree_admin import broken, relink
from intercom_mux.team.worktree_records import Record, Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from intercom_mux.layout.model import Worktree

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorktreePlan:
    """A worktree that a peer is to have.

    Attributes:
        repository: Top directory of the work tree that the peer would else work in.
        cwd: Where in the worktree the peer starts, at `path` or below.
        base: The commit it begins with.
        is_named: Whether the layout names the branch; an existing one is then used, else another name is taken.
        keep: "if-changed", "always" or "never".
    """

    repository: str
    path: str
    cwd: str
    branch: str
    base: str
    is_named: bool
    keep: str
    setup: CommandPlan | None = None

    @classmethod
    def from_json(cls, value: Json) -> WorktreePlan:
        """Return what `dataclasses.asdict` gave."""
        return cls(**{**value, "setup": CommandPlan(**value["setup"]) if value["setup"] else None})


@dataclass(frozen=True, slots=True)
class Kept:
    """What `down` has left of a worktree, and why; `path` is "" where only the branch is left."""

    peer: str
    path: str
    branch: str
    reason: str

    @property
    def told(self) -> str:
        """Return one line for people."""
        where = f"worktree {self.path}" if self.path else "its worktree is gone; the branch"
        on = f" (branch {self.branch})" if self.path else f" {self.branch}"
        return f"{where}{on} stays: {self.reason}"


@dataclass(slots=True)
class Prepared:
    """What `prepare` did: `made` are the peers whose worktree is new, `failed` those without one and why."""

    made: list[str] = field(default_factory=list)
    failed: dict[str, TeamError] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


# -- planning ------------------------------------------------------------------------------------------------------


def plan(worktree: Worktree, *, team: str, project: Path, peer: str, cwd: Path) -> WorktreePlan:
    """Return the worktree that `peer` gets instead of `cwd`. Looks at the repository, changes nothing.

    Teams of one name share a repository only if their projects are parts of it; the place then has the team's id.

    Raises:
        GitError: There is no repository, it has no work tree or no commit, or `base` or `branch` mean nothing to it.
    """
    repository = _repository(cwd)
    if not repository.samefile(project):
        team = team_id(team, project)
    base = _commit(repository, worktree.base or "HEAD")
    path = repository.parent / f"{repository.name}.worktrees" / team / peer
    wanted = worktree.branch.replace("{team}", team).replace("{peer}", peer) if worktree.branch else None
    if wanted is not None and not holds(repository, "check-ref-format", "--branch", wanted):
        raise GitError(f'"{wanted}" cannot be the name of a branch')
    inside = Path(os.path.realpath(cwd)).relative_to(os.path.realpath(repository))
    setup = CommandPlan.of(worktree.setup, path) if worktree.setup else None
    return WorktreePlan(
        repository=str(repository),
        path=str(path),
        cwd=str(path / inside),
        branch=wanted or _as_branch(f"{team}/{peer}"),
        base=base,
        is_named=wanted is not None,
        keep=worktree.keep,
        setup=setup,
    )


def _repository(cwd: Path) -> Path:
    try:
        is_bare = git(cwd, "rev-parse", "--is-bare-repository") == "true"
        top = "" if is_bare else git(cwd, "rev-parse", "--show-toplevel")
    except GitError as error:
        if "not a git repository" in error.message:
            raise GitError(f"{cwd} is not in a git repository, so there is nothing to make a worktree of") from error
        raise
    if not top:
        raise GitError(f"{cwd} is in a bare repository: it has no files to work in")
    return Path(top)


def _commit(repository: Path, base: str) -> str:
    try:
        return git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    except GitError as error:
        if base == "HEAD":
            raise GitError(f"the repository {repository} has no commit yet: make one first") from error
        raise GitError(f'base "{base}" is no commit of {repository}') from error


def _as_branch(name: str) -> str:
    """Return a peer's name as git takes it for a branch: no `..`, and neither `.` nor `.lock` at an end."""
    return re.sub(r"\.(?=\.|/|$)|\.(?=lock(/|$))", "-", name)


# -- up ------------------------------------------------------------------------------------------------------------


def prepare(
    team_id: str, wanted: dict[str, WorktreePlan], env: dict[str, str], on_line: Callable[[str, str], None]
) -> Prepared:
    """Have every wanted worktree there and set up; what was kept is used again. Idempotent.

    `on_line` is told the peer and a line of its setup's output. Failures are per peer and do not stop the others.
    """
    records = Records(team_id)
    _drop_broken(records)
    prepared = Prepared()
    for peer, one in wanted.items():
        try:
            _prepare(records, peer, one, prepared)
            _set_up(records, peer, one, env, on_line)
        except TeamError as error:
            prepared.failed[peer] = error
        except OSError as error:
            prepared.failed[peer] = GitError(f"cannot make {one.path}: {error.strerror}")
    return prepared


def _prepare(records: Records, peer: str, one: WorktreePlan, prepared: Prepared) -> None:
    path = Path(one.path)
    record = records.get(peer)
    if record is not None and record.path != one.path:
        told = f"the project or its repository has moved since {record.path} was made"
        raise GitError(told, hint=f"move or remove that worktree and {records.file}", path=record.path)
    if record is not None and not record.is_made:
        _undo(record)
        record = None
        records.forget(peer)
    if record is not None and record.is_going:
        record = _restore(records, record)
    is_registered = path in worktree_checks.registered(Path(one.repository))
    if is_registered and (path / ".git").exists():
        if record is None:
            record = Record(peer, one.repository, one.path, _branch_of(path), one.base, one.keep, made_branch=False)
        records.keep(replace(record, is_made=True, keep=one.keep))
        if record.branch != one.branch and one.is_named:
            prepared.notices.append(f"{peer}: its kept worktree is on branch {record.branch}, not {one.branch}")
        return
    if path.exists() and any(path.iterdir()):
        raise GitError(f"{path} is there already, and is no worktree of {one.repository}", hint="move it away")
    _add(records, peer, one, record)
    prepared.made.append(peer)


def _add(records: Records, peer: str, one: WorktreePlan, left: Record | None) -> None:
    """Make the worktree, on the branch that is left of an earlier one if there is any."""
    repository, path = Path(one.repository), Path(one.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if left is not None and worktree_checks.has_branch(repository, left.branch):
        branch, is_new, is_ours = left.branch, False, left.made_branch
    elif one.is_named:
        branch = one.branch
        is_new = is_ours = not worktree_checks.has_branch(repository, branch)
    else:
        branch, is_new, is_ours = worktree_checks.free_branch(repository, one.branch), True, True
    record = Record(peer, one.repository, one.path, branch, one.base, one.keep, made_branch=is_ours)
    records.keep(record)
    # Forced, as a worktree whose directory somebody has removed is still registered.
    arguments = ["-b", branch, str(path), one.base] if is_new else [str(path), branch]
    force = ["--force"] if path in worktree_checks.registered(repository) else []
    try:
        git(repository, "worktree", "add", "--quiet", *force, *arguments, limit_s=CHECKOUT_LIMIT_S)
    except GitError:
        _undo(record)
        if left is None:
            records.forget(peer)
        else:
            records.keep(left)
        raise
    records.keep(replace(record, is_made=True))


def _drop_broken(records: Records) -> None:
    """Have git work again in repositories in which it was killed; all at once, as each is in the way of the others."""
    for record in records.values():
        if not record.is_made or record.is_going:
            with suppress(GitError):
                _drop_broken_of(record)


def _drop_broken_of(record: Record) -> None:
    path = Path(record.path)
    for entry in broken(Path(record.repository), path):
        # The entry last, for it tells whose the files are.
        if not record.is_made:
            shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(entry, ignore_errors=True)


def _restore(records: Records, record: Record) -> Record:
    """Make a worktree whole again whose removal was interrupted, if there is anything of it; return its record.

    git removes the files first and the entry last, so what is missing can be written again, over nothing that is there.
    """
    path = Path(record.path)
    if path.exists():
        relink(Path(record.repository), path)
        holds(path, "checkout-index", "--all", "--quiet")
    record = replace(record, is_going=False)
    records.keep(record)
    return record


def _undo(record: Record) -> None:
    """Remove what an interrupted start has left: nobody has worked in it yet."""
    repository, path = Path(record.repository), Path(record.path)
    if path in worktree_checks.registered(repository):
        holds(repository, "worktree", "remove", "--force", "--force", str(path))
        if path.exists():
            # git refuses where its link was not written yet.
            shutil.rmtree(path, ignore_errors=True)
        holds(repository, "worktree", "unlock", str(path))
        holds(repository, "worktree", "prune")
    elif path.exists() and not any(path.iterdir()):
        path.rmdir()
    if record.made_branch:
        _remove_branch(repository, record.branch, record.base)


def _set_up(
    records: Records,
    peer: str,
    one: WorktreePlan,
    env: dict[str, str],
    on_line: Callable[[str, str], None],
) -> None:
    record = records[peer]
    if one.setup is not None and not record.is_set_up:
        ours = {**env, "INTERCOM_MUX_PEER": peer, "INTERCOM_MUX_STAGE": "setup"}
        run(f"setup of {peer}", one.setup, ours, lambda line: on_line(peer, line))
    if not Path(one.cwd).is_dir():
        raise GitError(f"{one.cwd} is not in the worktree: no file of that directory is committed")
    records.keep(replace(record, is_set_up=True))


# -- down ----------------------------------------------------------------------------------------------------------


def clear(team_id: str, peers: Iterable[str] | None = None) -> list[Kept]:
    """Remove the worktrees of a team, or of some peers, as their layout said, and return what was left and why.

    Nobody may run in them any more. Idempotent; never raises for a repository that is gone or refuses.
    """
    records = Records(team_id)
    _drop_broken(records)
    kept = []
    for record in list(records.values()):
        if peers is not None and record.peer not in peers:
            continue
        try:
            left = _clear(records, record)
        except (TeamError, OSError) as error:
            left = Kept(record.peer, record.path, record.branch, str(error))
        if left is None or not left.path:
            records.forget(record.peer)
        if left is not None:
            kept.append(left)
    return kept


def unsaved(team_id: str, peer: str) -> str | None:
    """Return what would be lost if the worktree of `peer` went, None for nothing or when it has none."""
    record = Records(team_id).get(peer)
    if record is None or not Path(record.path).exists():
        return None
    return worktree_checks.uncommitted(Path(record.path)) or worktree_checks.unmerged(Path(record.path), record.branch)


def _clear(records: Records, record: Record) -> Kept | None:
    repository, path = Path(record.repository), Path(record.path)
    if not record.is_made:
        _undo(record)
        return None
    if not path.exists():
        if repository.exists():
            holds(repository, "worktree", "prune")
        return _clear_branch(record) if record.is_going else None
    if record.is_going:
        record = _restore(records, record)
    if record.keep == "always":
        return Kept(record.peer, record.path, record.branch, "keep: always")
    if changed := worktree_checks.uncommitted(path):
        return Kept(record.peer, record.path, record.branch, changed)
    alone = worktree_checks.unmerged(path, record.branch)
    is_detached = not worktree_checks.is_on(path, record.branch)
    if alone and (record.keep == "if-changed" or is_detached or not record.made_branch):
        return Kept(record.peer, record.path, record.branch, alone)
    records.keep(replace(record, is_going=True))
    try:
        # Without --force git looks once more for what is not committed, in the instant that it removes.
        git(repository, "worktree", "remove", record.path)
    except GitError:
        _restore(records, record)
        raise
    return _clear_branch(record)


def _clear_branch(record: Record) -> Kept | None:
    """Remove what is left when a worktree has gone: empty directories, and its branch unless commits are only there."""
    repository = Path(record.repository)
    _remove_empty_parents(Path(record.path))
    tip = worktree_checks.tip(repository, record.branch)
    if tip is None:
        return None
    if alone := worktree_checks.unmerged(repository, record.branch):
        return Kept(record.peer, "", record.branch, alone)
    if record.made_branch:
        _remove_branch(repository, record.branch, tip)
    return None


def _remove_branch(repository: Path, branch: str, tip: str) -> None:
    """Remove a branch if it still is at `tip`; git compares and removes in one step."""
    holds(repository, "update-ref", "-d", f"refs/heads/{branch}", tip)


def _remove_empty_parents(path: Path) -> None:
    for directory in (path.parent, path.parent.parent):
        try:
            directory.rmdir()
        except OSError:
            return


def _branch_of(path: Path) -> str:
    return git(path, "rev-parse", "--abbrev-ref", "HEAD")
