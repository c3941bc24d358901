"""git worktrees of peers: made by `up`, kept or removed by `down`.

A peer's worktree is `<repository>.worktrees/<team>/<peer>`, beside the repository: inside it, searches, watchers and
builds of the project would run into it; in our state directory, agents would meet a hidden place that no trust or
sandbox rule of their users covers, perhaps on another file system.

What was made is on record (`worktrees.json` in the team's state directory), written before each step, so that the next
`up` or `down` knows after any crash what it finds. Work is never removed: not what is uncommitted, and no commit that
only the worktree or its branch holds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.errors import TeamError
from intercom_mux.team import worktree_checks
from intercom_mux.team.command_plan import CommandPlan
from intercom_mux.team.commands import run
from intercom_mux.team.git import CHECKOUT_LIMIT_S, GitError, git, holds
from intercom_mux.team.state import team_id
from intercom_mux.team.worktree_admin import drop_half_made

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
class Record:
    """A worktree that was made, or is being made.

    Attributes:
        made_branch: Whether the branch is ours to remove.
        is_made: False from before git is called until it is done: till then nobody can have worked in it.
        is_set_up: Whether its setup command has succeeded.
    """

    peer: str
    repository: str
    path: str
    branch: str
    base: str
    keep: str
    made_branch: bool = True
    is_made: bool = False
    is_set_up: bool = False


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
    records = load(team_id)
    _drop_half_made(records)
    prepared = Prepared()
    for peer, one in wanted.items():
        try:
            _prepare(team_id, records, peer, one, prepared)
            _set_up(team_id, records, peer, one, env, on_line)
        except TeamError as error:
            prepared.failed[peer] = error
        except OSError as error:
            prepared.failed[peer] = GitError(f"cannot make {one.path}: {error.strerror}")
    return prepared


def _prepare(team_id: str, records: dict[str, Record], peer: str, one: WorktreePlan, prepared: Prepared) -> None:
    path = Path(one.path)
    record = records.get(peer)
    if record is not None and record.path != one.path:
        told = f"the project or its repository has moved since {record.path} was made"
        raise GitError(told, hint=f"move or remove that worktree and {_file(team_id)}", path=record.path)
    if record is not None and not record.is_made:
        _undo(record)
        record = None
        _forget(team_id, records, peer)
    is_registered = path in worktree_checks.registered(Path(one.repository))
    if is_registered and (path / ".git").exists():
        if record is None:
            record = Record(peer, one.repository, one.path, _branch_of(path), one.base, one.keep, made_branch=False)
        _keep(team_id, records, replace(record, is_made=True, keep=one.keep))
        if record.branch != one.branch and one.is_named:
            prepared.notices.append(f"{peer}: its kept worktree is on branch {record.branch}, not {one.branch}")
        return
    if path.exists() and any(path.iterdir()):
        raise GitError(f"{path} is there already, and is no worktree of {one.repository}", hint="move it away")
    _add(team_id, records, peer, one, record)
    prepared.made.append(peer)


def _add(team_id: str, records: dict[str, Record], peer: str, one: WorktreePlan, left: Record | None) -> None:
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
    record = Record(peer, one.repository, one.path, branch, one.base, one.keep, made_branch=is_ours and is_new)
    _keep(team_id, records, record)
    # Forced, as a worktree whose directory somebody has removed is still registered.
    arguments = ["-b", branch, str(path), one.base] if is_new else [str(path), branch]
    force = ["--force"] if path in worktree_checks.registered(repository) else []
    try:
        git(repository, "worktree", "add", "--quiet", *force, *arguments, limit_s=CHECKOUT_LIMIT_S)
    except GitError:
        _undo(record)
        if left is None:
            _forget(team_id, records, peer)
        else:
            _keep(team_id, records, left)
        raise
    _keep(team_id, records, replace(record, is_made=True, made_branch=is_ours))


def _drop_half_made(records: dict[str, Record]) -> None:
    """Have git work again in repositories in which it was killed; all at once, as each is in the way of the others."""
    for record in records.values():
        if not record.is_made:
            with suppress(GitError):
                drop_half_made(Path(record.repository), Path(record.path))


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
    team_id: str,
    records: dict[str, Record],
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
    _keep(team_id, records, replace(record, is_set_up=True))


# -- down ----------------------------------------------------------------------------------------------------------


def clear(team_id: str, peers: Iterable[str] | None = None) -> list[Kept]:
    """Remove the worktrees of a team, or of some peers, as their layout said, and return what was left and why.

    Nobody may run in them any more. Idempotent; never raises for a repository that is gone or refuses.
    """
    records = load(team_id)
    _drop_half_made(records)
    kept = []
    for record in list(records.values()):
        if peers is not None and record.peer not in peers:
            continue
        try:
            left = _clear(record)
        except (TeamError, OSError) as error:
            left = Kept(record.peer, record.path, record.branch, str(error))
        if left is None or not left.path:
            _forget(team_id, records, record.peer)
        if left is not None:
            kept.append(left)
    return kept


def unsaved(team_id: str, peer: str) -> str | None:
    """Return what would be lost if the worktree of `peer` went, None for nothing or when it has none."""
    record = load(team_id).get(peer)
    if record is None or not Path(record.path).exists():
        return None
    return worktree_checks.uncommitted(Path(record.path)) or worktree_checks.unmerged(Path(record.path), record.branch)


def _clear(record: Record) -> Kept | None:
    repository, path = Path(record.repository), Path(record.path)
    if not record.is_made:
        _undo(record)
        return None
    if not path.exists():
        if repository.exists():
            holds(repository, "worktree", "prune")
        return None
    if record.keep == "always":
        return Kept(record.peer, record.path, record.branch, "keep: always")
    if changed := worktree_checks.uncommitted(path):
        return Kept(record.peer, record.path, record.branch, changed)
    tip = worktree_checks.tip(repository, record.branch)
    alone = worktree_checks.unmerged(path, record.branch)
    is_detached = not worktree_checks.is_on(path, record.branch)
    if alone and (record.keep == "if-changed" or is_detached or not record.made_branch):
        return Kept(record.peer, record.path, record.branch, alone)
    # Without --force git looks once more for what is not committed, in the instant that it removes.
    git(repository, "worktree", "remove", record.path)
    _remove_empty_parents(path)
    if alone:
        return Kept(record.peer, "", record.branch, alone)
    if record.made_branch and tip:
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


# -- records -------------------------------------------------------------------------------------------------------


def load(team_id: str) -> dict[str, Record]:
    """Return the team's worktrees by peer.

    Raises:
        TeamError: The record is damaged.
    """
    file = _file(team_id)
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return {row["peer"]: Record(**row) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        hint = "see `git worktree list` for what there is, then remove the file"
        raise TeamError(f"cannot read {file}: {error}", code="E_TEAM_STATE", hint=hint) from error


def _keep(team_id: str, records: dict[str, Record], record: Record) -> None:
    records[record.peer] = record
    _save(team_id, records)


def _forget(team_id: str, records: dict[str, Record], peer: str) -> None:
    records.pop(peer, None)
    _save(team_id, records)


def _save(team_id: str, records: dict[str, Record]) -> None:
    file = _file(team_id)
    if not records:
        file.unlink(missing_ok=True)
        return
    paths.private_dir(file.parent)
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps([asdict(record) for record in records.values()], indent=1), encoding="utf-8")
    temporary.replace(file)


def _file(team_id: str) -> Path:
    return paths.team_state_dir(team_id) / "worktrees.json"
