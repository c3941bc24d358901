"""`spawn`, `kill`, `restart`, `scale` and reused sessions, with real daemons, tmux servers and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.errors import DeliveryError, TeamError
from intercom_mux.team import status_log
from intercom_mux.team.decide import decide_all
from intercom_mux.team.facts import facts_for, requests_of
from intercom_mux.team.grow import Wish, decide_spawn, plan_scale, plan_spawn
from intercom_mux.team.processes import identify
from intercom_mux.team.up import change
from tests.cli.stage import Peer
from tests.support import wait_until
from tests.team.stage import CAT, DEMO, SHELL, TUI

if TYPE_CHECKING:
    from tests.team.stage import Stage

Json = dict[str, Any]


def last_recorded(stage: Stage, peer: str) -> str:
    """Return the last status that is on record of a peer."""
    return [change.status for change in status_log.read(stage.id) if change.peer == peer][-1]


def told(stage: Stage, **request: Any) -> list[Json]:
    """Have the daemon change the team, and return its events."""
    events: list[Json] = []
    change(stage.state, request, events.append, action="test")
    return events


def spawn(stage: Stage, name: str, **more: Any) -> list[Json]:
    wish = Wish(name, more.pop("role", "worker"), stage.project, more.pop("agent", "shell"), **more)
    plan = plan_spawn(stage.state, wish, decide_spawn(stage.state, wish))
    return told(stage, type="add", plan=plan.to_json(), wait=False)


def scale(stage: Stage, entry: str, count: int, *, force: bool = True) -> list[Json]:
    """As the verb does it."""
    scaling = plan_scale(stage.state, entry, count)
    events: list[Json] = []
    if scaling.ending:
        events += told(stage, type="kill", peers=scaling.ending, idle_only=not force)
    if scaling.plan is not None:
        events += told(stage, type="add", plan=scaling.plan.to_json(), wait=False)
    return events


def test_a_spawned_peer_joins_the_team_and_up_leaves_it_alone(stage: Stage) -> None:
    """It opens beside the others, is told as added and not as drift, and `down` ends it."""
    stage.up({"a": CAT})
    spawn(stage, "helper", role="scout")
    assert stage.state.peers["helper"].origin == "spawned"
    assert set(stage.statuses()) == {"a", "helper"}
    pid = stage.pid("helper")
    (plan,) = (event for event in stage.up() if event["event"] == "plan")
    assert (plan["added"], plan["extra"], plan["drifted"], plan["running"]) == (["helper"], [], [], ["a"])
    assert stage.pid("helper") == pid
    (again,) = (event for event in spawn(stage, "helper", role="scout") if event["event"] == "plan")
    assert again["missing"] == []
    stage.down()
    assert identify(pid) is None


def test_kill_ends_the_program_tells_askers_and_forgets_the_peer(stage: Stage) -> None:
    """Its tree is gone, its waiting mail goes back, the record of statuses says that it has ended, a second kill is no
    fault, and `up` starts it anew."""
    stage.install_tui("--busy-s", "60")
    stage.up({"a": CAT, "busy": TUI})
    pid = stage.pid("busy")
    with stage.shell() as shell:
        ask = shell.ask_ticket("busy", "are you there?")
        (event,) = told(stage, type="kill", peers=["busy"], idle_only=False)
        assert (event["event"], event["peer"]) == ("ended", "busy")
        assert identify(pid) is None
        assert shell.result(ask["messageId"])["state"] == "ended"
        with pytest.raises(DeliveryError, match="Session not found"):
            shell.send("busy", "still there?")
    assert set(stage.state.peers) == {"a"}
    assert last_recorded(stage, "busy") == "ended"
    assert [e["event"] for e in told(stage, type="kill", peers=["busy"], idle_only=False)] == ["absent"]
    stage.up(wait_ready=False)
    assert stage.pid("busy") != pid


def test_with_the_last_peer_the_team_is_gone(stage: Stage) -> None:
    """Nothing of it is left: no state, no server, no daemon."""
    stage.up({"a": CAT})
    daemon = stage.daemon_pid()
    told(stage, type="kill", peers=["a"], idle_only=False)
    assert not stage.is_known
    wait_until(lambda: identify(daemon) is None, what="end of the daemon")


def test_restart_keeps_the_session_and_its_mail(stage: Stage) -> None:
    """Another program under the same id, also when it is the only one; what waited is still there."""
    stage.up({"a": CAT})
    before, session = stage.pid("a"), stage.state.peers["a"].session_id
    with stage.shell() as shell:
        message = shell.send("a", "for later")
        told(stage, type="restart", peers=["a"], wait=False)
    assert stage.pid("a") != before
    assert identify(before) is None
    assert stage.state.peers["a"].session_id == session
    with stage.member("a") as member:
        assert message["messageId"] in [row["id"] for row in member.inbox(peek=True)]
    with pytest.raises(TeamError, match='no peer "nobody"'):
        told(stage, type="restart", peers=["nobody"], wait=False)


def test_scale_adds_and_ends_the_highest_numbers_first(stage: Stage) -> None:
    """Two of the file become four and then one; busy ones are spared without force; the same again does nothing."""
    stage.up({"boss": CAT, "worker": {**CAT, "count": 2}})
    scale(stage, "worker", 4)
    assert list(stage.state.peers) == ["boss", "worker-1", "worker-2", "worker-3", "worker-4"]
    assert [p.origin for p in stage.state.peers.values()] == ["layout"] * 3 + ["scaled"] * 2
    assert scale(stage, "worker", 4) == []
    ended = [event["peer"] for event in scale(stage, "worker", 1) if event["event"] == "ended"]
    assert ended == ["worker-4", "worker-3", "worker-2"]
    (plan,) = (event for event in stage.up() if event["event"] == "plan")
    assert plan["missing"] == ["worker-2"]
    with pytest.raises(TeamError, match="no entry"):
        plan_scale(stage.state, "nobody", 2)
    with pytest.raises(TeamError, match="worker=41 is too many"):
        plan_scale(stage.state, "worker", 41)


def test_scaling_down_spares_who_is_at_work(stage: Stage) -> None:
    """Nothing at all is ended, and the hint names the way."""
    stage.install_tui("--busy-s", "60")
    stage.up({"boss": CAT, "worker": {**TUI, "count": 2}})
    with stage.shell() as shell:
        shell.send("worker-2", "work")
    wait_until(lambda: stage.statuses()["worker-2"].startswith("thinking"), what="work")
    with pytest.raises(TeamError, match="at work: worker-2") as caught:
        scale(stage, "worker", 0, force=False)
    assert (caught.value.code, "--force" in (caught.value.hint or "")) == ("E_PEER_BUSY", True)
    assert {"worker-1", "worker-2"} < set(stage.state.peers)


def up_deciding(stage: Stage) -> list[Json]:
    """`up` as the command does it: with the spawn decision rule."""
    from intercom_mux.team.planner import make_plan
    from intercom_mux.team.spare_daemon import SpareDaemon
    from intercom_mux.team.up import up

    layout = stage.load()
    plan = make_plan(layout, decisions=decide_all(requests_of(layout), facts_for(layout)))
    events: list[Json] = []
    with SpareDaemon() as spare:
        up(plan, spare, events.append, action="up", wait_ready=False)
    return events


def test_a_connected_session_fills_a_place_and_is_let_go_of(stage: Stage) -> None:
    """Teammates reach it by its bare name; it has no surface, is never restarted, survives `kill` and `down`."""
    stage.write({"mate": CAT, "pi": SHELL})
    with Peer("pi", cwd=str(stage.project)) as session:
        up_deciding(stage)
        state = stage.state.peers["pi"]
        assert (state.origin, state.session_id, state.surface, state.pid) == ("reused", session.session_id, None, None)
        assert up_deciding(stage)[1]["reused"] == ["pi"]
        with stage.member("mate") as mate:
            mate.send("pi", "hello")
            wait_until(lambda: session.texts() == ["hello"], what="the message")
            assert {row["name"] for row in mate.sessions()} == {"mate", "pi"}
        with pytest.raises(TeamError, match="never restarted"):
            told(stage, type="restart", peers=["pi"], wait=False)
        assert [e["event"] for e in told(stage, type="kill", peers=["pi"], idle_only=False)] == ["released"]
        up_deciding(stage)
        assert stage.state.peers["pi"].is_reused
        stage.down()
        with Peer("looker") as looker:
            looker.write({"type": "list", "requestId": "1"})
            (rows,) = wait_until(lambda: looker.of_type("sessions"), what="roster")
        assert [row["name"] for row in rows["sessions"] if row["id"] == session.session_id] == ["pi"]


def test_a_spawned_peer_that_dies_at_once_is_taken_back(stage: Stage) -> None:
    """The team stays as it was."""
    stage.up({"a": DEMO})
    wish = Wish("helper", "worker", stage.project, "shell")
    plan = plan_spawn(stage.state, wish, decide_spawn(stage.state, wish)).to_json()
    plan["peers"][0]["argv"] = ["false"]
    with pytest.raises(TeamError, match="helper ended at once"):
        told(stage, type="add", plan=plan, wait=True)
    assert set(stage.state.peers) == {"a"}
    assert last_recorded(stage, "helper") == "ended"
