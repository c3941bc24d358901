"""The lock of a team, held and waited for by real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from intercom_mux.errors import IntercomError, TeamError
from intercom_mux.team.lock import team_lock
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLDER = """
import sys
from pathlib import Path
from intercom_mux.team.lock import team_lock
with team_lock(Path(sys.argv[1]), sys.argv[2]):
    print("locked", flush=True)
    sys.stdin.readline()
"""


class Hold(Protocol):
    """Starts a process that holds the lock until a line arrives, and returns once it does."""

    def __call__(self, directory: Path, action: str) -> subprocess.Popen[str]: ...


@pytest.fixture
def hold(home: Path) -> Iterator[Hold]:
    """Start holders; those still there afterwards are killed."""
    holders: list[subprocess.Popen[str]] = []

    def _hold(directory: Path, action: str) -> subprocess.Popen[str]:
        argv = (sys.executable, "-c", _HOLDER, str(directory), action)
        holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        return holder

    yield _hold
    for holder in holders:
        holder.kill()
        holder.communicate()


def test_a_waiter_hears_for_whom_it_waits(hold: Hold, home: Path) -> None:
    """Whoever comes second is told action and pid of the holder, and goes on when that has finished."""
    holder = hold(home / "team", "up planner-worker.yaml")
    heard: list[str] = []

    def tell(text: str) -> None:
        heard.append(text)
        holder.communicate("\n")

    with team_lock(home / "team", "down", tell, timeout_s=10):
        assert heard == [f"waiting for `up planner-worker.yaml` (pid {holder.pid})"]


def test_a_free_lock_is_taken_without_a_word(home: Path) -> None:
    """Nobody is told anything when nobody is waited for, time after time; the directory is private."""
    heard: list[str] = []
    for _ in range(2):
        with team_lock(home / "team", "up", heard.append, timeout_s=0):
            assert (home / "team").stat().st_mode & 0o777 == 0o700
            assert (home / "team" / "lock").stat().st_mode & 0o777 == 0o600
    assert not heard


def test_a_killed_holder_releases_it(hold: Hold, home: Path) -> None:
    """The kernel frees the lock of a process that was killed."""
    holder = hold(home / "team", "up")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with team_lock(home / "team", "down", timeout_s=0):
        pass


def test_a_failing_body_releases_it(home: Path) -> None:
    """An error inside passes through and leaves the lock free."""
    with pytest.raises(KeyError), team_lock(home / "team", "up"):
        raise KeyError
    with team_lock(home / "team", "down", timeout_s=0):
        pass


def test_time_out_names_the_holder(hold: Hold, home: Path) -> None:
    """Giving up raises TeamError with the holder's action and pid."""
    holder = hold(home / "team", "scale worker 3")
    with pytest.raises(TeamError) as caught, team_lock(home / "team", "down", timeout_s=0.05):
        pytest.fail("the lock is taken")
    assert f"`scale worker 3` (pid {holder.pid}" in caught.value.message
    assert caught.value.fields["pid"] == holder.pid
    assert caught.value.fields["action"] == "scale worker 3"


def test_a_long_wait_is_told_once(hold: Hold, home: Path) -> None:
    """Not anew with every second that it takes."""
    hold(home / "team", "up")
    heard: list[str] = []
    with pytest.raises(TeamError), team_lock(home / "team", "down", heard.append, timeout_s=1.2):
        pytest.fail("the lock is taken")
    assert len(heard) == 1


def test_an_unreadable_holder_line_is_no_obstacle(hold: Hold, home: Path) -> None:
    """A holder that is just writing its line, or wrote nonsense, is waited for all the same."""
    hold(home / "team", "up")
    (home / "team" / "lock").write_text('{"pid": 1')
    with pytest.raises(TeamError, match="another command"), team_lock(home / "team", "down", timeout_s=0):
        pytest.fail("the lock is taken")


def test_a_waiter_survives_removal_of_the_directory(hold: Hold, home: Path) -> None:
    """Two who waited while `down` removed the directory still exclude each other, on the new file."""
    team = home / "team"
    holder = hold(team, "down")
    inside: list[str] = []
    overlaps: list[list[str]] = []
    waiting = threading.Barrier(3)

    def wait_and_enter(name: str) -> None:
        told = False

        def tell(text: str) -> None:
            nonlocal told
            if not told:
                told = True
                waiting.wait()

        with team_lock(team, name, tell, timeout_s=10):
            inside.append(name)
            overlaps.append(list(inside))
            time.sleep(0.05)  # room for the other to break in
            assert (team / "lock").exists()
            inside.remove(name)

    threads = [threading.Thread(target=wait_and_enter, args=(name,)) for name in ("up a", "up b")]
    for thread in threads:
        thread.start()
    waiting.wait(10)
    shutil.rmtree(team)
    holder.communicate("\n")
    for thread in threads:
        thread.join(10)
    assert sorted(overlaps) == [["up a"], ["up b"]]


def test_entering_while_the_directory_comes_and_goes(home: Path) -> None:
    """A directory removed again and again between creation and locking is created anew."""
    team = home / "team"
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            shutil.rmtree(team, ignore_errors=True)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for _ in range(30):
            with team_lock(team, "up", timeout_s=10):
                pass
    finally:
        stop.set()
        remover.join()


def test_a_directory_that_cannot_be_used_is_an_error(home: Path) -> None:
    """A file in place of the directory is named."""
    (home / "team").write_text("")
    with pytest.raises(IntercomError, match="team"), team_lock(home / "team", "up"):
        pytest.fail("there is no directory")


def test_holders_exclude_each_other(hold: Hold, home: Path) -> None:
    """Nobody enters before the holder has left."""
    holder = hold(home / "team", "up")
    entered = threading.Event()

    def enter() -> None:
        with team_lock(home / "team", "down", timeout_s=10):
            entered.set()

    second = threading.Thread(target=enter)
    second.start()
    assert not entered.wait(0.1)
    holder.communicate("\n")
    second.join(10)
    wait_until(entered.is_set)
