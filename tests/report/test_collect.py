"""What is on disk about a team, from a real journal and records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.errors import TeamError
from intercom_mux.report.collect import collect
from intercom_mux.report.model import build
from intercom_mux.team import status_log, task_log
from intercom_mux.team.state import session_id, team_id
from tests.broker.core.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(home: Path) -> Iterator[Bench]:
    """A broker without sockets, on the journal of this test's user."""
    paths.private_dir(paths.state_dir())
    bench = Bench(journal=paths.journal_file())
    yield bench
    bench.journal.close()


def talk(bench: Bench) -> None:
    """Have two peers of team blue talk, and a stranger ask one of them."""
    planner, worker, stranger = bench.peer("planner"), bench.peer("worker-1"), bench.pi("stranger")
    planner.ask("worker-1", "how?", id="q1")
    bench.now += 4_000
    worker.reply("so", to="q1", id="r1")
    planner.op("progress", task="parser", percent=40, title="the parser")
    stranger.ask("blue/planner", "when?", id="q2")
    planner.send("stranger", "later", id="m1")
    bench.journal.catch_up()


def test_a_team_is_known_by_name_or_id_and_bare_inside(bench: Bench) -> None:
    """Its peers' names are bare, a stranger's is not; asks know their replies."""
    talk(bench)
    for called in ("blue", "team-blue"):
        source = collect(called)
        made = build(source)
        said = [(entry.sender, entry.receiver, entry.kind, entry.waited_ms) for entry in made.conversation]
        assert said[:2] == [("planner", "worker-1", "ask", None), ("worker-1", "planner", "reply", 4_000)]
        assert ("stranger", "planner", "ask") in [one[:3] for one in said]
        assert (source.peers, made.others, source.is_running) == (["planner", "worker-1"], ["stranger"], False)


def test_after_the_end_the_tasks_are_kept(bench: Bench) -> None:
    """The broker forgets peers and tasks of a team that is over; what is left of them is still told."""
    talk(bench)
    task_log.keep("team-blue")
    planner = next(wire for wire in bench.wires.values())
    gone = [{"id": f"blue-{name}", "token": "secret"} for name in ("planner", "worker-1")]
    planner.op("retire", sessions=gone, team="team-blue")
    bench.journal.catch_up()
    made = build(collect("blue"))
    assert [(task.id, task.percent) for task in made.tasks] == [("parser", 40)]
    bench.now += 1_000
    again = bench.peer("planner")
    for percent in (10, 20):
        again.op("progress", task="parser", percent=percent)
        bench.journal.catch_up()
        task_log.keep("team-blue")
    assert [task.percent for task in build(collect("blue")).tasks] == [40, 20]
    assert {"planner", "worker-1"} <= set(made.peers)
    assert made.waits[0].answered == 1


def test_since_leaves_out_what_was_before(bench: Bench) -> None:
    """Messages, tasks and statuses; the status that stood then still counts from there."""
    talk(bench)
    for status in ("idle", "thinking"):
        status_log.note("team-blue", "planner", status)
    later = collect("blue", since=bench.now + 1)
    assert (later.messages, later.tasks) == ([], [])
    at = status_log.read("team-blue")[-1].at + 5
    assert collect("blue", since=at).changes == [(at, "planner", "thinking")]


def test_a_peer_that_never_spoke_is_known_by_its_reserved_id(bench: Bench) -> None:
    """When it has gone the journal has only its id left, which is made of team and name."""
    reserved = session_id("team-blue", "mute")
    planner = bench.peer("planner")
    mux = {"version": 1, "team": {"id": "team-blue", "name": "blue", "dir": "/src/shop"}, "token": "t"}
    bench.register(reserved, "mute", mux)
    planner.send("mute", "hello", id="m1")
    planner.op("retire", sessions=[{"id": reserved, "token": "t"}])
    bench.journal.catch_up()
    made = build(collect("blue"))
    assert ("planner", "mute", 1) in [(line.sender, line.receiver, line.messages) for line in made.lines]
    assert "mute" in made.peers


def test_which_team_is_said_when_it_is_not_clear(bench: Bench) -> None:
    """None, an unknown one, or several: the error lists those that are known."""
    with pytest.raises(TeamError, match="no team is known"):
        collect(None)
    bench.peer("planner").send("planner", id="m1")
    bench.journal.catch_up()
    assert collect(None).team == "blue"
    with pytest.raises(TeamError) as caught:
        collect("red")
    assert caught.value.fields["teams"] == ["team-blue"]
    status_log.note("blue-12345678", "planner", "idle")
    with pytest.raises(TeamError, match="several teams called blue"):
        collect("blue")


def test_a_team_that_is_down_is_that_of_the_directory(
    bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or of the next one above that has any; elsewhere it must be said which."""
    inner = home / "shop" / "inner"
    (inner / "src").mkdir(parents=True)
    for number, project in enumerate((home / "shop", inner)):
        known = {"id": team_id("crew", project), "name": "crew", "dir": str(project)}
        bench.register(f"lead-{number}", "lead", {"team": known, "token": "t"})
    bench.journal.catch_up()
    for here, project in ((inner / "src", inner), (home / "shop", home / "shop")):
        monkeypatch.chdir(here)
        assert collect(None).team_id == collect("crew").team_id == team_id("crew", project)
    monkeypatch.chdir(home)
    with pytest.raises(TeamError, match="several teams are known"):
        collect(None)
