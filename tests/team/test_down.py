"""Taking a team down: nothing of it is left running, nothing else is touched, and whoever waits is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.errors import DeliveryError, TeardownError
from intercom_mux.team import daemon_lock, processes
from intercom_mux.team import down as teardown
from intercom_mux.team.lock import team_lock
from intercom_mux.team.proc import Proc
from tests.support import marked_processes, wait_until
from tests.team.stage import CAT, SHELL, Stage, broker_pid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]


def shell_program(script: str) -> Json:
    return {"command": ["sh", "-c", f"{script}\nexec cat"]}


ESCAPING: Json = {
    "setsid": shell_program("setsid -f sleep 301"),
    "nohup": shell_program("nohup sleep 302 >/dev/null 2>&1 &"),
    "double-fork": shell_program("( (sleep 303 &) & )"),
    "deaf": shell_program("trap '' HUP TERM INT; setsid -f sh -c 'while :; do sleep 304; done'"),
    "unmarked": shell_program("( env -u INTERCOM_MUX_IDENTITY nohup sleep 305 >/dev/null 2>&1 & )"),
}
"""Programs whose children leave the pane's session or process tree, one of them deaf to TERM, one without marker."""


def ours(home: Path) -> dict[int, str]:
    """This test's processes, its broker left out."""
    return {pid: line for pid, line in marked_processes(str(home)).items() if "intercom_mux.broker" not in line}


def sleepers(home: Path) -> set[str]:
    return {line.split()[-1] for line in ours(home).values() if line.startswith("sleep 30")}


def assert_nothing_left(stage: Stage, home: Path) -> None:
    """No process, no socket, no identity, no state: only logs and locks."""
    assert ours(home) == {}
    assert not stage.runtime.exists()
    assert not stage.is_known
    left = {path.name for path in paths.team_state_dir(stage.id).iterdir()}
    assert left <= {"logs", "daemon.log", "daemon.lock", "lock", "down.log", "status.jsonl"}
    with stage.shell() as shell:
        assert [row["name"] for row in shell.sessions() if not row["self"]] == []


def cli(*arguments: str, cwd: Path | str = "/", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line as another terminal does: in a session of its own."""
    return subprocess.run(
        [sys.executable, "-I", "-m", "intercom_mux", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )


# -- nothing is left -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dead", ["nobody", "daemon", "server", "both"])
def test_whatever_left_its_pane_is_ended(stage: Stage, home: Path, dead: str) -> None:
    """No setsid, nohup, double fork or deaf ear helps, also when the daemon or the tmux server were killed before."""
    stage.up(ESCAPING)
    wait_until(lambda: len(sleepers(home)) == len(ESCAPING), what="escaped children")
    state = stage.state
    assert state.daemon is not None
    assert state.server is not None
    doomed = {"nobody": (), "daemon": (state.daemon,), "server": (state.server,), "both": (state.daemon, state.server)}
    for process in doomed[dead]:
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(processes.is_alive, doomed[dead])), what="deaths")
    ended = stage.down(grace_s=0.5)
    assert ended.spared == ()
    assert ended.ended >= len(ESCAPING)
    assert_nothing_left(stage, home)


def test_a_stuck_daemon_is_no_obstacle(stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that neither answers nor ends is killed, by what the state says when it is this command's turn."""
    monkeypatch.setattr(daemon_lock, "DAEMON_END_S", 0.3)
    stage.up({"a": CAT})
    stale = stage.state
    os.kill(stage.daemon_pid(), signal.SIGKILL)
    stage.up()
    os.kill(stage.daemon_pid(), signal.SIGSTOP)
    teardown.down(stale, grace_s=0.5)
    assert_nothing_left(stage, home)


def test_down_waits_for_its_turn(stage: Stage, home: Path) -> None:
    """While another command holds the team `down` waits and says for whom."""
    stage.up({"a": CAT})
    told: list[str] = []
    with team_lock(paths.team_state_dir(stage.id), "up other.yaml"):
        second = threading.Thread(target=teardown.down, args=(stage.state,), kwargs={"on_wait": told.append})
        second.start()
        wait_until(lambda: told, what="word of the wait")
        assert ours(home)
    second.join()
    assert told[0].startswith("waiting for `up other.yaml`")
    assert_nothing_left(stage, home)


# -- from where ----------------------------------------------------------------------------------------------------


def test_from_another_terminal(stage: Stage, home: Path) -> None:
    """Another directory and session do: the team is named, or the only one; a second `down` finds nothing, exit 0."""
    stage.up({"a": CAT, "b": CAT})
    wrong = cli("down", "--team", "nobody")
    assert (wrong.returncode, "nobody" in wrong.stderr) == (9, True)
    done = cli("down", "--team", stage.name, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(done.stdout)
    assert (row["team"], row["spared"]) == (stage.name, [])
    assert_nothing_left(stage, home)
    again = cli("down")
    assert (again.returncode, again.stdout, again.stderr) == (0, "nothing runs\n", "")


@pytest.mark.parametrize("is_hidden", [False, True])
def test_from_inside_a_pane_of_the_team(stage: Stage, home: Path, is_hidden: bool) -> None:
    """`down` in a pane, its marker dropped or not, goes on after the pane is gone, and nothing is left."""
    stage.up({"sh": SHELL, "b": shell_program("setsid -f sleep 301")})
    wait_until(lambda: sleepers(home), what="escaped child")
    unset = "unset INTERCOM_MUX_IDENTITY TMUX; " if is_hidden else ""
    stage.type("sh", f"{unset}intercom-mux down --grace 0.5")
    wait_until(lambda: not stage.is_known, what="end of the team", timeout_s=20)
    wait_until(lambda: not ours(home), what="end of all processes")
    assert_nothing_left(stage, home)
    log = (paths.team_state_dir(stage.id) / "down.log").read_text()
    assert log.startswith(f"{stage.name} is down: ")


def test_all_teams_at_once(stage: Stage, home: Path) -> None:
    """`down --all` ends every team of this user."""
    other = Stage(home, "other")
    stage.up({"a": CAT})
    other.up({"b": CAT})
    ambiguous = cli("down")
    assert (ambiguous.returncode, "several teams are running" in ambiguous.stderr) == (9, True)
    assert len(ours(home)) > 4
    done = cli("down", "--all", "--json")
    assert done.returncode == 0
    assert [row["team"] for row in json.loads(done.stdout)] == ["other", stage.name]
    assert_nothing_left(stage, home)
    assert_nothing_left(other, home)
    assert json.loads(cli("down", "--all", "--json").stdout) == []


# -- what is spared ------------------------------------------------------------------------------------------------


@pytest.fixture
def own_tmux(home: Path) -> Iterator[Path]:
    """The directory of a tmux server of the user's own; the server is killed afterwards."""
    directory = home / "own"
    directory.mkdir()
    yield directory
    for socket in directory.rglob("default"):
        subprocess.run(["tmux", "-S", str(socket), "kill-server"], check=True)
        socket.unlink(missing_ok=True)


def test_the_users_own_tmux_server_is_spared(stage: Stage, home: Path, own_tmux: Path) -> None:
    """A tmux server that the user started from a pane outlives the team with all it holds, and is listed."""
    stage.up({"sh": SHELL, "b": shell_program("setsid -f sleep 301")})
    stage.type("sh", f"env -u TMUX TMUX_TMPDIR={own_tmux} tmux -f /dev/null new-session -d sleep 307")
    wait_until(lambda: sleepers(home) == {"301", "307"}, what="the user's own session")
    ended = stage.down()
    assert sleepers(home) == {"307"}
    assert "multiplexer server" in {spared.reason for spared in ended.spared}
    assert all("sleep 307" in spared.proc.command or "tmux" in spared.proc.command for spared in ended.spared)
    assert not stage.is_known


def test_a_broker_started_from_a_pane_is_spared(stage: Stage) -> None:
    """The broker serves everybody, whoever started it."""
    stage.up({"sh": SHELL})
    os.kill(stage.daemon_pid(), signal.SIGKILL)
    before = broker_pid()
    os.kill(before, signal.SIGKILL)
    stage.type("sh", "setsid -f intercom-mux broker run </dev/null >/dev/null 2>&1")
    wait_until(lambda: paths.broker_file().exists() and broker_pid() != before, what="the broker of the pane")
    broker = processes.identify(broker_pid())
    assert broker is not None
    ended = stage.down()
    assert processes.is_alive(broker)
    assert [(spared.proc, spared.reason) for spared in ended.spared] == [(broker, "intercom service")]


def test_another_team_is_spared(stage: Stage, home: Path) -> None:
    """A team of the same user, brought up from a pane of this one, goes on with all its processes."""
    other = Stage(home, "other")
    other.write({"b": shell_program("setsid -f sleep 301"), "c": CAT})
    stage.up({"sh": SHELL, "a": shell_program("setsid -f sleep 302")})
    stage.type("sh", f"cd {other.project}; intercom-mux up {other.layout}")
    stage.wait_for("sh", "other is up")
    wait_until(lambda: sleepers(home) == {"301", "302"}, what="escaped children")
    kept = {name: other.pid(name) for name in "bc"}
    stage.down()
    assert sleepers(home) == {"301"}
    assert {name: other.pid(name) for name in "bc"} == kept
    assert all(process for process in map(processes.identify, [*kept.values(), other.daemon_pid()]))
    assert other.statuses() == {"b": "unknown", "c": "unknown"}


# -- what cannot be ended ------------------------------------------------------------------------------------------


def test_survivors_are_named_and_the_state_is_kept(stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever outlives KILL makes `down` fail with exit 8; it can be tried again. `end` is replaced, since no test can
    make a process that the kernel refuses to kill."""
    stage.up({"a": CAT})
    monkeypatch.setattr(processes, "end", lambda procs, **_: [Proc(4711, 1.0, "immortal --really")])
    with pytest.raises(TeardownError) as caught:
        stage.down()
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    assert caught.value.exit_code == 8
    assert "4711 (immortal --really)" in caught.value.message
    assert caught.value.fields["survivors"] == [{"pid": 4711, "command": "immortal --really"}]
    assert stage.is_known
    stage.down()
    assert_nothing_left(stage, home)


# -- who is told ---------------------------------------------------------------------------------------------------


def test_whoever_waits_is_told(stage: Stage) -> None:
    """A blocked asker, the asker of a ticket and the sender of an unread message hear that the team has gone down."""
    stage.up({"a": CAT, "b": CAT})
    reason = f"team {stage.name} has gone down"
    heard: list[DeliveryError] = []
    with stage.shell("asker") as asker, stage.shell("sender") as sender:
        ticket = sender.ask_ticket("a", "will you ever answer?")["messageId"]
        sender.send("b", "read this some time")

        def ask() -> None:
            try:
                asker.ask("a", "are you there?", timeout_s=60)
            except DeliveryError as error:
                heard.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        with stage.member("a") as member:
            wait_until(lambda: len(member.pending()) == 2, what="the asks")
        stage.down()
        thread.join(10)
        assert [reason in error.message for error in heard] == [True]
        result = sender.result(ticket)
        assert (result["state"], result["reply"]) == ("ended", None)
        letters = [row["text"] for row in sender.inbox()]
        assert [reason in text for text in letters] == [True] * len(letters)
        assert any("to b" in text or "b " in text for text in letters)


def test_a_shell_that_waits_in_ask_hears_the_reason(stage: Stage) -> None:
    """The verb itself ends with the reason and its exit code when the team goes down under it."""
    stage.up({"a": CAT})
    ask = subprocess.Popen(
        [sys.executable, "-I", "-m", "intercom_mux", "ask", "a", "are you there?"],
        cwd=stage.project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with stage.member("a") as member:
        wait_until(member.pending, what="the ask")
    stage.down()
    out, err = ask.communicate(timeout=20)
    assert (ask.returncode, out) == (DeliveryError.exit_code, "")
    assert f"team {stage.name} has gone down" in err
