"""Worktrees of peers: made, used again, removed; and no work is ever lost, wherever the program is killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from intercom_mux.layout.model import Command, Worktree
from intercom_mux.team import worktree_checks, worktrees
from intercom_mux.team.git import GitError
from intercom_mux.team.worktree_records import Records
from tests.support import marked_processes, wait_until
from tests.team.repository import Repository

TEAM = "team-1"


@pytest.fixture
def repository(home: Path) -> Repository:
    return Repository(home / "shop")


def plan(
    repository: Repository, peer: str = "worker", cwd: Path | None = None, **more: object
) -> worktrees.WorktreePlan:
    return worktrees.plan(Worktree(**more), team="team", project=repository.path, peer=peer, cwd=cwd or repository.path)  # type: ignore[arg-type]  # test data


def prepare(one: worktrees.WorktreePlan, peer: str = "worker") -> worktrees.Prepared:
    return worktrees.prepare(TEAM, {peer: one}, {}, lambda _peer, _line: None)


def test_a_worktree_stands_beside_the_repository_on_a_branch_of_its_own(repository: Repository) -> None:
    """The peer works in a checkout of HEAD that no search in the project meets."""
    one = plan(repository)
    assert not prepare(one).failed
    path = repository.path.parent / "shop.worktrees" / "team" / "worker"
    assert Path(one.cwd) == path
    assert (path / "readme").read_text() == "one\n"
    assert repository.git("branch", "--show-current", cwd=path) == "team/worker"
    assert repository.git("status", "--porcelain") == ""


def test_a_relative_directory_is_kept_inside_the_worktree(repository: Repository) -> None:
    """A peer of a subdirectory starts in the same one of its worktree."""
    (repository.path / "web").mkdir()
    (repository.path / "web" / "page").write_text("")
    repository.commit("web")
    one = plan(repository, cwd=repository.path / "web")
    assert not prepare(one).failed
    assert one.cwd == one.path + "/web"
    assert Path(one.cwd, "page").exists()


def test_an_untouched_worktree_goes_with_its_branch(repository: Repository) -> None:
    """Where nothing was done nothing is left, not even the directories."""
    one = plan(repository)
    prepare(one)
    assert worktrees.clear(TEAM) == []
    assert not Path(one.path).parent.parent.exists()
    assert repository.branches() == {"main"}
    assert Records(TEAM) == {}


@pytest.mark.parametrize("keep", ["if-changed", "never"])
@pytest.mark.parametrize("what", ["untracked", "changed", "staged", "hidden"])
def test_uncommitted_work_stays(repository: Repository, keep: str, what: str) -> None:
    """Whatever git could lose keeps the worktree, whatever the layout says, and where it is is told."""
    one = plan(repository, keep=keep)
    prepare(one)
    path = Path(one.path)
    if what == "hidden":
        repository.git("update-index", "--assume-unchanged", "readme", cwd=path)
    (path / ("new" if what == "untracked" else "readme")).write_text("two\n")
    if what == "staged":
        repository.git("add", "-A", cwd=path)
    (kept,) = worktrees.clear(TEAM)
    assert kept.path == one.path
    assert kept.reason.startswith("uncommitted changes: ")
    assert path.exists()


def test_commits_that_are_nowhere_else_keep_the_worktree(repository: Repository) -> None:
    """A branch that is not merged stays with its worktree; merged, both go."""
    one = plan(repository)
    prepare(one)
    repository.commit("two", cwd=Path(one.path))
    (kept,) = worktrees.clear(TEAM)
    assert kept.reason == "1 commit in no other branch"
    repository.git("merge", "--quiet", "team/worker")
    assert worktrees.clear(TEAM) == []
    assert repository.branches() == {"main"}


def test_keep_never_leaves_the_branch_of_unmerged_commits(repository: Repository) -> None:
    """The directory goes, the commits stay in their branch, and the next worktree takes another name."""
    one = plan(repository, keep="never")
    prepare(one)
    commit = repository.commit("two", cwd=Path(one.path))
    (kept,) = worktrees.clear(TEAM)
    assert (kept.path, kept.branch) == ("", "team/worker")
    assert not Path(one.path).exists()
    assert repository.git("rev-parse", "team/worker") == commit
    prepare(one)
    assert repository.git("branch", "--show-current", cwd=Path(one.path)) == "team/worker-2"


def test_a_commit_on_a_detached_head_stays(repository: Repository) -> None:
    """`keep: never` removes no directory whose commit no branch holds."""
    one = plan(repository, keep="never")
    prepare(one)
    repository.git("checkout", "--quiet", "--detach", cwd=Path(one.path))
    repository.commit("two", cwd=Path(one.path))
    (kept,) = worktrees.clear(TEAM)
    assert kept.path == one.path


def test_keep_always_is_used_again_by_the_next_start(repository: Repository) -> None:
    """What was kept is found again with what was done in it, and its setup is not repeated."""
    setup = Command(("sh", "-c", "echo set up >> log"))
    one = plan(repository, keep="always", setup=setup)
    assert prepare(one).made == ["worker"]
    (kept,) = worktrees.clear(TEAM)
    assert kept.reason == "keep: always"
    again = prepare(plan(repository, keep="always", setup=setup))
    assert not again.made
    assert not again.failed
    assert Path(one.path, "log").read_text() == "set up\n"


def test_a_setup_that_fails_is_told_with_its_output_and_tried_again(repository: Repository) -> None:
    """The peer does not get its worktree until the setup has succeeded once."""
    one = plan(repository, setup=Command(("sh", "-c", "echo no network; test -e ../ok")))
    failure = prepare(one).failed["worker"]
    assert failure.code == "E_COMMAND"
    assert "setup of worker" in failure.message
    assert "    no network" in failure.message
    Path(one.path).parent.joinpath("ok").touch()
    assert not prepare(one).failed


@pytest.mark.parametrize(
    ("taken", "got"), [("team/worker", "team/worker-2"), ("team", "team-worker"), ("team/worker/x", "team/worker-2")]
)
def test_a_taken_branch_name_is_varied(repository: Repository, taken: str, got: str) -> None:
    """A branch that a person made is neither used nor in the way."""
    repository.git("branch", taken)
    one = plan(repository)
    assert not prepare(one).failed
    assert repository.git("branch", "--show-current", cwd=Path(one.path)) == got
    worktrees.clear(TEAM)
    assert repository.branches() == {"main", taken}


def test_a_named_branch_that_exists_is_used_and_never_removed(repository: Repository) -> None:
    """Naming a branch means that branch."""
    repository.git("branch", "feature-worker")
    one = plan(repository, branch="feature-{peer}")
    assert not prepare(one).failed
    worktrees.clear(TEAM)
    assert repository.branches() == {"main", "feature-worker"}


def test_a_named_branch_that_is_checked_out_is_a_failure_of_that_peer_alone(repository: Repository) -> None:
    """git's own word tells where it is; nothing is left of the attempt, and others get theirs."""
    bad, good = plan(repository, branch="main"), plan(repository, peer="other")
    done = worktrees.prepare(TEAM, {"worker": bad, "other": good}, {}, lambda *_: None)
    assert set(done.failed) == {"worker"}
    assert str(repository.path) in done.failed["worker"].message
    assert set(Records(TEAM)) == {"other"}


def test_a_directory_that_somebody_removed_is_made_again(repository: Repository) -> None:
    """The branch of the lost worktree is taken up again, with its commits."""
    one = plan(repository)
    prepare(one)
    commit = repository.commit("two", cwd=Path(one.path))
    subprocess.run(["rm", "-r", one.path], check=True)
    assert prepare(one).made == ["worker"]
    assert repository.git("rev-parse", "HEAD", cwd=Path(one.path)) == commit


def test_what_is_no_worktree_is_left_alone(repository: Repository) -> None:
    """A directory of somebody in the place is neither used nor removed."""
    one = plan(repository)
    Path(one.path).mkdir(parents=True)
    Path(one.path, "thesis").write_text("")
    assert "is there already" in prepare(one).failed["worker"].message
    assert worktrees.clear(TEAM) == []
    assert Path(one.path, "thesis").exists()


def test_a_worktree_without_a_record_is_adopted(repository: Repository) -> None:
    """Losing the state directory loses no work: the worktree is used, and its branch never removed."""
    one = plan(repository)
    prepare(one)
    Records(TEAM).file.unlink()
    assert not prepare(one).failed
    worktrees.clear(TEAM)
    assert "team/worker" in repository.branches()


@pytest.mark.parametrize("kind", ["none", "bare", "empty"])
def test_places_without_files_to_check_out_are_told(home: Path, kind: str) -> None:
    """No repository, a bare one, and one without a commit each have a sentence of their own."""
    place = home / kind
    place.mkdir()
    if kind != "none":
        subprocess.run(["git", "init", "--quiet", *(["--bare"] if kind == "bare" else []), str(place)], check=True)
    words = {"none": "not in a git repository", "bare": "bare repository", "empty": "no commit yet"}[kind]
    with pytest.raises(GitError, match=words):
        worktrees.plan(Worktree(), team="team", project=place, peer="worker", cwd=place)


def test_a_detached_head_is_a_base_like_any(repository: Repository) -> None:
    """A worktree of a detached HEAD begins there and goes again when nothing was done."""
    repository.git("checkout", "--quiet", "--detach")
    commit = repository.commit("two")
    one = plan(repository)
    prepare(one)
    assert repository.git("rev-parse", "HEAD", cwd=Path(one.path)) == commit
    assert worktrees.clear(TEAM) == []


def test_a_base_that_is_nothing_is_told(repository: Repository) -> None:
    """The base is checked before anything starts; one that looks like an option is only a name."""
    for base in ("no-such", "--all"):
        with pytest.raises(GitError, match="is no commit of"):
            plan(repository, base=base)


def test_the_callers_git_variables_reach_no_call(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from a git hook, GIT_DIR and GIT_INDEX_FILE would point every call at another place."""
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")
    assert not prepare(plan(repository)).failed


KILLED = """
import sys
from pathlib import Path
from intercom_mux.layout.model import Worktree
from intercom_mux.team import worktrees
one = worktrees.plan(Worktree(), team="team", project=Path(sys.argv[1]), peer="worker", cwd=Path(sys.argv[1]))
print("go", flush=True)
worktrees.prepare("team-1", {"worker": one}, {}, lambda *_: None)
worktrees.clear("team-1") if sys.argv[2] == "clear" else None
"""


def note(**changes: bool) -> None:
    """Put on record what a killed program had written there last."""
    records = Records(TEAM)
    (record,) = records.values()
    records.keep(replace(record, **changes))  # type: ignore[arg-type]  # test data


@pytest.mark.parametrize("then", ["prepare", "clear"])
def test_a_git_killed_while_it_registers_is_got_over(repository: Repository, then: str) -> None:
    """An entry without a common directory stops every git of that repository, a person's too, until it is gone."""
    one = plan(repository)
    prepare(one)
    note(is_made=False)
    (repository.path / ".git/worktrees/worker/commondir").write_text("")
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("worktree", "list")
    if then == "prepare":
        assert not prepare(one).failed
    assert worktrees.clear(TEAM) == []
    assert repository.worktrees() == 0
    assert repository.branches() == {"main"}
    assert not Path(one.path).exists()


@pytest.mark.parametrize("then", ["prepare", "clear"])
@pytest.mark.parametrize("lost", [["file"], [".git"], [".git", "file"], [], "entry", "all"], ids=str)
def test_a_removal_that_was_killed_is_got_over(repository: Repository, lost: list[str] | str, then: str) -> None:
    """git takes away the files, then its entry; what is missing was committed, and the branch goes with the rest."""
    (repository.path / "file").write_text("two\n")
    repository.commit("two")
    one = plan(repository)
    prepare(one)
    note(is_going=True)
    path, entry = Path(one.path), repository.path / ".git/worktrees/worker"
    if isinstance(lost, list):
        for name in lost:
            (path / name).unlink()
    else:
        shutil.rmtree(path)
        (entry / "commondir").unlink() if lost == "entry" else shutil.rmtree(entry)
    if then == "prepare":
        done = prepare(one)
        assert not done.failed, done.failed
        assert (path / "file").read_text() == "two\n"
        assert worktree_checks.uncommitted(path) is None
        assert not Records(TEAM)["worker"].is_going
    assert worktrees.clear(TEAM) == []
    assert not path.exists()
    assert repository.worktrees() == 0
    assert repository.branches() == {"main"}


def test_work_done_after_a_removal_was_killed_is_kept(repository: Repository) -> None:
    """What a person has changed or added meanwhile is not written over, and stays."""
    one = plan(repository)
    prepare(one)
    note(is_going=True)
    path = Path(one.path)
    (path / ".git").unlink()
    (path / "readme").write_text("mine\n")
    (path / "thesis").write_text("mine\n")
    (kept,) = worktrees.clear(TEAM)
    assert "uncommitted changes: readme, thesis" in kept.told
    assert (path / "readme").read_text() == (path / "thesis").read_text() == "mine\n"


def test_a_branch_of_ours_stays_ours_though_its_next_start_is_killed(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worktree was lost, and made again on the branch that was left."""
    one = plan(repository)
    assert not prepare(one).failed
    shutil.rmtree(one.path)

    def killed(*_arguments: object, **_options: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(worktrees, "git", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(one)
    assert not prepare(one).failed
    assert worktrees.clear(TEAM) == []
    assert repository.branches() == {"main"}


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_instant_the_next_start_and_end_understand(repository: Repository, home: Path, seed: int) -> None:
    """After a kill of program and git at a random instant the worktree comes up whole, and goes whole."""
    for number in range(200):
        (repository.path / f"file-{number}").write_text(f"{number}\n")
    repository.commit("many")
    dice = random.Random(seed)
    for action in ("prepare", "clear") * 3:
        argv = [sys.executable, "-c", KILLED, str(repository.path), action]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(dice.uniform(0, 0.06))
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        # A killed git may still be about to make a lock.
        wait_until(lambda: not marked_processes(str(home)), what="end of all that was killed")
        # What a killed git leaves locked it asks the person to unlock; we do not guess whose lock it is.
        for lock in (repository.path / ".git").rglob("*.lock"):
            lock.unlink()
        if dice.random() < 0.5:
            worktrees.clear(TEAM)
    one = plan(repository)
    done = prepare(one)
    assert not done.failed, done.failed
    path = Path(one.path)
    assert worktree_checks.uncommitted(path) is None
    assert len(list(path.glob("file-*"))) == 200
    assert worktrees.clear(TEAM) == []
    assert not path.exists()
    assert repository.worktrees() == 0
    assert repository.branches() == {"main"}
