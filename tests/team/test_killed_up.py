"""An `up`, a daemon or a broker that is killed at a bad instant: `down` finds all of it, and `up` works again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.errors import TeamError
from intercom_mux.team import daemon
from intercom_mux.team import state as team_states
from intercom_mux.team.spare_daemon import SpareDaemon
from intercom_mux.team.tokens import token_of
from intercom_mux.team.up import up
from tests.support import marked_processes, wait_until
from tests.team.stage import CAT, Stage, broker_pid

if TYPE_CHECKING:
    from pathlib import Path


class Killed(BaseException):
    """Ends an `up` as SIGKILL does: nothing of it is cleaned up."""


class KilledBefore(SpareDaemon):
    """Is the daemon of an `up` that is killed when it is about to name the team."""

    def serve(self, team_id: str) -> None:
        raise Killed(team_id)


class KilledAfter(SpareDaemon):
    """Is the daemon of an `up` that is killed when it has named the team and not yet handed over its plan."""

    def serve(self, team_id: str) -> None:
        super().serve(team_id)
        raise Killed(team_id)


def killed_up(stage: Stage, spare: SpareDaemon) -> None:
    with spare, pytest.raises(Killed):
        up(stage.plan(), spare, lambda _: None, action="up")


def ours(home: Path) -> list[int]:
    """This test's processes, its broker left out."""
    return [pid for pid, line in marked_processes(str(home)).items() if "intercom_mux.broker" not in line]


def wait_for_no_process(home: Path) -> None:
    wait_until(lambda: not ours(home), what="end of all processes")


def kill_everything(home: Path) -> None:
    """As a power cut does; what somebody has started before it was its turn is killed too."""

    def is_done() -> bool:
        left = ours(home)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(is_done, what="end of all processes")


@pytest.mark.parametrize("kind", [KilledBefore, KilledAfter])
def test_a_team_is_known_before_a_daemon_has_its_name(stage: Stage, home: Path, kind: type[SpareDaemon]) -> None:
    """Whatever a killed `up` has begun, `down` ends it, and the next `up` starts a whole team."""
    stage.write({"a": CAT})
    killed_up(stage, kind())
    stage.down()
    wait_for_no_process(home)
    assert not stage.is_known
    assert not stage.runtime.exists()
    stage.up()
    assert stage.statuses() == {"a": "unknown"}


def test_a_daemon_that_hears_of_its_team_after_the_end_leaves_at_once(stage: Stage, home: Path) -> None:
    """`down` was quicker than the last words of a killed `up`: there is no team to wait for any more."""
    stage.write({"a": CAT})
    killed_up(stage, KilledBefore())
    stage.down()
    with SpareDaemon() as late, pytest.raises(TeamError, match="did not start"):
        late.serve(stage.id)
    wait_for_no_process(home)
    assert not stage.runtime.exists()


def test_a_daemon_without_a_plan_takes_the_team_along(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to end the team of an `up` that was killed before it handed its plan over."""
    monkeypatch.setattr(daemon, "ORPHAN_S", 0)
    stage.write({"a": CAT})
    killed_up(stage, KilledBefore())
    asyncio.run(daemon.Daemon(stage.id).run())
    assert not stage.is_known


def test_a_daemon_that_cannot_start_leaves_no_team(stage: Stage) -> None:
    """`up` fails, and there is nothing to take down."""
    stage.write({"a": CAT})
    with SpareDaemon() as spare:
        os.kill(spare._process.pid, signal.SIGKILL)
        with pytest.raises(TeamError, match="did not start"):
            up(stage.plan(), spare, lambda _: None, action="up")
    assert not stage.is_known


def test_peers_that_start_while_the_team_goes_down_are_ended_too(stage: Stage, home: Path) -> None:
    """The daemon of a killed `up` goes on starting peers after `down` has looked: the broker forgets them as well."""
    go, state = stage.project / "go", paths.team_state_dir(stage.id) / "state.json"
    stage.write(
        {
            "first": {"command": ["sh", "-c", f"until test -e {go}; do sleep 0.05; done"]},
            "second": {**CAT, "depends_on": {"first": "exited-ok"}},
        },
        before_down=f"touch {go}; until grep -q '\"second\"' {state}; do sleep 0.05; done",
    )
    command = [sys.executable, "-I", "-m", "intercom_mux", "up", str(stage.layout)]
    with subprocess.Popen(command, start_new_session=True) as starting:
        wait_until(lambda: stage.is_known and "first" in stage.state.peers, what="the first peer")
        starting.kill()
    stage.down()
    wait_for_no_process(home)
    assert not stage.is_known
    stage.up()
    assert stage.statuses().keys() == {"first", "second"}


def test_a_dead_broker_hears_of_the_end_of_the_team_too(stage: Stage) -> None:
    """The ids of its peers stand reserved in the journal: one is started to be told, and the next `up` has them."""
    stage.up({"a": CAT})
    for pid in (stage.daemon_pid(), broker_pid()):
        os.kill(pid, signal.SIGKILL)
    stage.down()
    stage.up()
    assert stage.statuses() == {"a": "unknown"}


def test_a_team_whose_state_was_lost_has_its_ids_again(stage: Stage, home: Path) -> None:
    """After a power cut, or when somebody did as the hint for a damaged state says; its mail is still there."""
    stage.up({"a": CAT})
    with stage.shell() as shell:
        shell.send("a", "do not lose me")
    kill_everything(home)
    shutil.rmtree(paths.team_state_dir(stage.id))
    stage.up()
    with stage.member("a") as itself:
        assert [row["text"] for row in itself.inbox()] == ["do not lose me"]


def test_tokens_are_made_again_and_tell_sessions_and_users_apart(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same session has the same one, of any process; another session, or another user's secret, gives another."""
    with ThreadPoolExecutor(4) as pool:
        (token,) = set(pool.map(token_of, ["0a-worker"] * 16))
    assert len(token) == 32
    assert token_of("0b-worker") != token
    assert (paths.state_dir() / "team.secret").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "other"))
    assert token_of("0a-worker") != token


def test_a_team_is_written_down_as_its_plan_says(stage: Stage) -> None:
    """So `down` runs what the layout asks for, though no daemon has taken the plan."""
    stage.write({"a": CAT}, before_down="echo ending", notify=["true"])
    killed_up(stage, KilledBefore())
    state = team_states.load(stage.id)
    assert state is not None
    assert [each.argv[-1] for each in state.before_down] == ["echo ending"]
    assert state.notify == ["true"]
    assert state.peers == {}
