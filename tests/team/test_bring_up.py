"""Bringing a team up: what starts, what stays, what is told, and what is taken back."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux import paths
from intercom_mux.errors import MultiplexerError, TeamError
from intercom_mux.team.bring_up import compare
from intercom_mux.team.lock import team_lock
from intercom_mux.team.plan import PeerPlan, TeamPlan
from intercom_mux.team.spare_daemon import SpareDaemon
from intercom_mux.team.state import PeerState, TeamState
from intercom_mux.team.up import up
from tests.support import marked_processes, wait_until
from tests.team.stage import CAT, DEMO, SHELL, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

DIES = {"command": ["sh", "-c", "echo reading config; echo no such key: colour; sleep 0.05; exit 3"]}
STUBBORN = {"command": ["sh", "-c", "trap '' HUP TERM; setsid -f sleep 300; while :; do sleep 300; done"]}


def event(events: Iterable[Json], kind: str) -> Json:
    (found,) = (one for one in events if one["event"] == kind)
    return found


def verdicts(events: Iterable[Json]) -> dict[str, str]:
    return {one["peer"]: one["event"] for one in events if "peer" in one}


# -- what a plan means for a running team: pure --------------------------------------------------------------------


def planned(peers: dict[str, str]) -> TeamPlan:
    """Return a plan of name → digest."""
    return TeamPlan(
        id="t-1",
        name="t",
        project="/",
        layout_path="/t.yaml",
        mux="tmux",
        arrange="tiled",
        socket="/s",
        peers=tuple(
            PeerPlan(name=name, role="r", profile="command", argv=("cat",), cwd="/", session_id=name, digest=digest)
            for name, digest in peers.items()
        ),
    )


def known(peers: dict[str, str]) -> TeamState:
    """Return a team's state of name → digest."""
    states = {
        name: PeerState(name, "r", "command", Path("/"), session_id=name, token="", spec_digest=digest)
        for name, digest in peers.items()
    }
    return TeamState("t-1", "t", Path("/"), Path("/t.yaml"), "tmux", created_at=0, peers=states)


def test_a_new_team_misses_everything() -> None:
    """Without a team every peer of the plan is to start, in the plan's order."""
    found = compare(planned({"b": "1", "a": "2"}), None, set())
    assert (found.missing, found.running, found.drifted, found.extra) == (["b", "a"], [], [], [])


def test_a_running_team_is_compared_by_name_and_digest() -> None:
    """Same digest runs, another has drifted, dead is missing, and who lives outside the plan is extra."""
    team = known({"same": "1", "changed": "1", "dead": "1", "old": "1", "old-dead": "1"})
    plan = planned({"same": "1", "changed": "2", "dead": "1", "new": "1"})
    found = compare(plan, team, {"same", "changed", "old"})
    assert found.missing == ["dead", "new"]
    assert found.running == ["same", "changed"]
    assert found.drifted == ["changed"]
    assert found.extra == ["old"]


digests = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("12"), max_size=6)


@pure
@given(digests, digests, st.sets(st.sampled_from("abcdef")))
def test_a_comparison_is_complete(plan: dict[str, str], team: dict[str, str], alive: set[str]) -> None:
    """Each peer of a plan runs or is missing, only running ones drift, and an applied plan leaves nothing to do."""
    alive &= team.keys()
    found = compare(planned(plan), known(team), alive)
    assert [name for name in plan if name in {*found.missing, *found.running}] == list(plan)
    assert set(found.missing).isdisjoint(found.running)
    assert set(found.drifted) <= set(found.running)
    assert set(found.extra) == alive - plan.keys()
    applied = compare(planned(plan), known(plan), set(plan))
    assert (applied.missing, applied.drifted, applied.extra) == ([], [], [])


# -- coming up -----------------------------------------------------------------------------------------------------


def test_a_team_comes_up_whole_and_stays_as_it_is(stage: Stage) -> None:
    """Shells and agents are ready, plain programs run, one that ended well is told so; a second `up` starts nothing."""
    peers = {"a": CAT, "b": SHELL, "c": DEMO, "done": {"command": ["true"]}}
    events = stage.up(peers, arrange="tiled")
    assert event(events, "plan")["missing"] == ["a", "b", "c", "done"]
    assert verdicts(events) == {"a": "running", "b": "ready", "c": "ready", "done": "exited"}
    state = stage.state
    assert list(state.peers) == ["a", "b", "c", "done"]
    assert stage.statuses() == {"a": "unknown", "b": "idle", "c": "idle", "done": "exited:0"}
    assert all(peer.proc for name, peer in state.peers.items() if name != "done")
    stage.write({**peers, "done": {"command": ["true"]}}, arrange="tiled")
    before = {name: stage.pid(name) for name in "abc"}
    again = stage.up()
    assert event(again, "plan")["missing"] == ["done"]
    assert {name: stage.pid(name) for name in "abc"} == before
    assert list(stage.state.peers) == ["a", "b", "c", "done"]


def test_only_what_was_killed_starts_again(stage: Stage) -> None:
    """One program is killed: `up` brings that one back in its session, and what waited for it is delivered."""
    peers = {"a": CAT, "scout": DEMO, "b": CAT}
    stage.up(peers)
    others = {name: stage.pid(name) for name in "ab"}
    killed = stage.pid("scout")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: stage.statuses()["scout"] == "exited:137", what="death of the scout")
    with stage.shell() as shell:
        waiting = shell.send("scout", "Remember the milk.")
        assert waiting["delivery"] in ("queued", "socket_delivered")
        events = stage.up()
        assert event(events, "plan")["missing"] == ["scout"]
        assert verdicts(events) == {"scout": "ready"}
        assert stage.pid("scout") != killed
        assert {name: stage.pid(name) for name in "ab"} == others
        assert list(stage.state.peers) == list(peers)
        stage.wait_for("scout", "Remember the milk.")
    states = stage.mux.states()
    assert states is not None
    assert sorted(state.name for state in states.values()) == ["a", "b", "scout"]


def test_a_changed_layout_is_reported_and_left_alone(stage: Stage) -> None:
    """A peer started from something else has drifted, one gone from the layout is extra: both run on."""
    stage.up({"a": CAT, "b": CAT, "c": CAT})
    before = {name: stage.pid(name) for name in "abc"}
    events = stage.up({"a": CAT, "b": {"command": ["cat", "-u"]}, "d": CAT})
    found = event(events, "plan")
    assert (found["missing"], found["drifted"], found["extra"]) == (["d"], ["b"], ["c"])
    assert {name: stage.pid(name) for name in "abc"} == before


def test_two_at_once_make_one_team(stage: Stage) -> None:
    """While one `up` holds the team the second waits, says for whom, and then finds everything running."""
    stage.write({"a": CAT, "b": CAT})
    told: list[str] = []
    events: list[Json] = []
    with team_lock(paths.team_state_dir(stage.id), "up somewhere.yaml"):
        second = threading.Thread(target=_up, args=(stage, events, told), daemon=True)
        second.start()
        wait_until(lambda: told, what="word of the wait")
        assert not events
    stage.up()
    second.join()
    assert told[0].startswith(f"waiting for `up somewhere.yaml` (pid {os.getpid()}")
    states = stage.mux.states()
    assert states is not None
    assert sorted(state.name for state in states.values()) == ["a", "b"]


def _up(stage: Stage, events: list[Json], told: list[str]) -> None:
    with SpareDaemon() as spare:
        up(stage.plan(), spare, events.append, action="up", on_wait=told.append)


def test_a_slow_start_can_be_left_alone(stage: Stage) -> None:
    """Without waiting for readiness, living is enough: an agent that never gets ready does not hold `up` up."""
    agents = paths.config_dir() / "agents"
    agents.mkdir(parents=True)
    (agents / "slow.yaml").write_text(
        "argv: [cat]\nroutes: [inbox]\nstatus: [{state: idle, title: ^ready$}]\nready_timeout_s: 1\n"
    )
    assert verdicts(stage.up({"a": {"agent": "slow"}}, wait_ready=False)) == {"a": "running"}
    assert verdicts(stage.up({"a": {"agent": "slow"}, "b": {"agent": "slow"}})) == {"b": "not-ready"}


# -- failing -------------------------------------------------------------------------------------------------------


def assert_nothing_left(stage: Stage, home: Path) -> None:
    """Assert that no state, socket or process of the team is there; the broker of this user may run."""
    assert not stage.is_known
    wait_until(lambda: not stage.runtime.exists(), what="end of the runtime directory")
    wait_until(
        lambda: [line for line in marked_processes(str(home)).values() if "intercom_mux.broker" not in line] == [],
        what="end of all processes",
    )
    with stage.shell() as shell:
        assert [row["name"] for row in shell.sessions() if not row["self"]] == []


def test_a_peer_that_dies_at_once_is_named_and_all_is_taken_back(stage: Stage, home: Path) -> None:
    """`up` fails quickly with the peer's name, status and last screen, and leaves nothing, stubborn ones included."""
    begun = time.monotonic()
    with pytest.raises(TeamError) as caught:
        stage.up({"a": CAT, "wild": STUBBORN, "bad": DIES})
    assert time.monotonic() - begun < 8
    error = caught.value
    assert error.code == "E_PEER_DIED"
    assert "bad ended at once with status 3" in error.message
    assert "no such key: colour" in error.message
    assert error.fields["peer"] == "bad"
    assert error.fields["screen"] == ["reading config", "no such key: colour"]
    assert_nothing_left(stage, home)
    stage.up({"a": CAT})
    assert stage.statuses() == {"a": "unknown"}


def test_a_program_that_cannot_be_executed_is_named(stage: Stage, home: Path) -> None:
    """A file that passes for a program but is none ends with 126 or 127, and the error names it."""
    broken = home / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(TeamError) as caught:
        stage.up({"bad": {"command": [str(broken)]}})
    assert caught.value.fields["status"] in ("126", "127")
    assert str(broken) in caught.value.message
    assert_nothing_left(stage, home)


def test_a_failure_in_a_running_team_takes_back_only_what_it_started(stage: Stage) -> None:
    """The peers that ran run on, with their tasks and mail; a known peer that fails again keeps its session."""
    flag = stage.project / "broken"
    weak = {"command": ["sh", "-c", f"test -e {flag} && echo still broken && exit 4; exec cat"]}
    stage.up({"a": CAT, "weak": weak})
    kept = stage.pid("a")
    with stage.shell() as shell:
        shell.request("progress", task="T1", title="survive", team=stage.id)
        shell.send("a", "for later")
    flag.touch()
    os.kill(stage.pid("weak"), signal.SIGKILL)
    wait_until(lambda: stage.statuses()["weak"] == "exited:137", what="death")
    with stage.shell() as shell:
        shell.send("weak", "do not lose me")
    with pytest.raises(TeamError, match="weak ended at once with status 4"):
        stage.up({"a": CAT, "weak": weak, "fresh": CAT})
    assert stage.pid("a") == kept
    assert list(stage.state.peers) == ["a", "weak"]
    statuses = stage.statuses()
    assert statuses["a"] == "unknown"
    assert statuses["weak"].startswith("exited")
    assert not (stage.runtime / "fresh.identity").exists()
    states = stage.mux.states()
    assert states is not None
    assert [state.name for state in states.values()] == ["a"]
    with stage.shell() as shell:
        assert [task["id"] for task in shell.tasks()] == ["T1"]
    flag.unlink()
    stage.up()
    with stage.member("weak") as weak_itself:
        assert [row["text"] for row in weak_itself.inbox()] == ["do not lose me"]


def test_a_missing_tmux_is_told_before_anything_starts(
    stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tmux on PATH: an error that says how to get it, and nothing on disk."""
    stage.write({"a": CAT})
    plan = stage.plan()
    monkeypatch.setenv("PATH", str(home))
    with SpareDaemon() as spare, pytest.raises(MultiplexerError, match="tmux") as caught:
        up(plan, spare, lambda _: None, action="up")
    assert caught.value.hint
    assert not paths.team_state_dir(stage.id).exists()


def test_a_peer_started_later_sees_what_is_exported_now(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second `up` starts what is missing in its own environment, not in that of the first."""
    stage.up({"a": SHELL, "b": SHELL})
    os.kill(stage.pid("b"), signal.SIGKILL)
    wait_until(lambda: stage.statuses()["b"].startswith("exited"), what="b exited")
    monkeypatch.setenv("EXPORTED_LATER", "yes")
    stage.up()
    assert b"EXPORTED_LATER=yes" in Path(f"/proc/{stage.pid('b')}/environ").read_bytes().split(b"\0")
