"""Sessions that registered by themselves and fill a place in a team: `adopt` and `release`."""

from __future__ import annotations

from tests.broker.core.bench import BLUE, GREEN, Bench


def test_an_adopted_session_is_a_peer_until_it_is_released(bench: Bench) -> None:
    """Bare inside, `team/peer` outside, and it sees the team bare itself; then everything is as before."""
    mate, pi, looker = bench.peer("mate"), bench.pi("pi"), bench.pi("looker")
    assert bench.shell().op("adopt", session="id-pi", team=BLUE, role="scout") == {"session": "id-pi", "name": "pi"}
    assert "pi" in mate.names()
    assert "blue/pi" in looker.names()
    assert "mate" in pi.names()
    assert mate.send("pi", "hello")["delivery"] == "socket_delivered"
    assert pi.confirm_all() == ["hello"]
    assert looker.send("blue/pi", "you too")["delivery"] == "socket_delivered"
    assert pi.send("mate", "hi")["delivery"] == "socket_delivered"
    assert bench.shell().op("release", team=BLUE["id"]) == {"released": ["id-pi"]}
    assert "pi" in looker.names()
    assert "blue/mate" in pi.names()
    assert bench.shell().op("release", team=BLUE["id"]) == {"released": []}


def test_it_is_kept_over_its_reconnecting_and_the_end_of_the_broker(bench: Bench) -> None:
    """Also its name, whatever it says of itself meanwhile."""
    bench.peer("mate")
    pi = bench.pi("pi")
    bench.shell().op("adopt", session="id-pi", team=BLUE)
    pi.post(type="presence", name="other", status="thinking")
    bench.crash()
    mate = bench.peer("mate")
    bench.pi("renamed", session_id="id-pi")
    assert "pi" in mate.names()
    assert "blue/pi" in bench.pi("looker").names()


def test_who_cannot_be_adopted(bench: Bench) -> None:
    """One that is unknown, a team's own peer, another team's, or a second one of a name; the same again may."""
    bench.peer("mate", GREEN)
    bench.peer("pi")
    bench.pi("pi")
    bench.pi("mate")
    shell = bench.shell()
    assert shell.op("adopt", session="id-nobody", team=BLUE)["code"] == "E_TARGET_NOT_FOUND"
    assert shell.op("adopt", session="green-mate", team=BLUE)["code"] == "E_IN_TEAM"
    assert shell.op("adopt", session="id-pi", team=BLUE)["code"] == "E_NAME_TAKEN"
    assert shell.op("adopt", session="id-mate", team=BLUE)["name"] == "mate"
    assert shell.op("adopt", session="id-mate", team=BLUE)["name"] == "mate"
    assert shell.op("adopt", session="id-mate", team=GREEN)["code"] == "E_IN_TEAM"


def test_an_adopted_shell_counts_as_there(bench: Bench) -> None:
    """Between its commands it is listed, its mail waits, and a command of it sees the team bare."""
    mate, shell = bench.peer("mate"), bench.shell("shell-9", "boss")
    shell.op("adopt", session="shell-9", team=BLUE)
    shell.close()
    assert "boss" in mate.names()
    assert mate.send("boss", "done")["delivery"] == "queued"
    assert "mate" in bench.shell("shell-9", "boss").names()


def test_a_team_of_adopted_sessions_only_is_forgotten_with_its_tasks(bench: Bench) -> None:
    """As a team is whose last peer was retired."""
    pi, shell = bench.pi("pi"), bench.shell()
    shell.op("adopt", session="id-pi", team=BLUE)
    shell.op("progress", task="t1", team=BLUE["id"])
    assert shell.op("tasks")["tasks"]
    shell.op("release", team=BLUE["id"], session="id-pi")
    assert shell.op("tasks")["tasks"] == []
    assert "pi" in pi.names()
