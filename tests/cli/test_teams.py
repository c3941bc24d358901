"""`up`, `down`, `status`, `attach` and `logs`, as a person types them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.team import processes
from intercom_mux.team.plan import TeamPlan
from tests.agents.demo.pseudo import Pseudo
from tests.broker.live import kill_broker
from tests.cli.stage import command, run, start
from tests.support import wait_until
from tests.team.stage import CAT, DEMO, SHELL, Stage, end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def team(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A team in whose project directory the commands run; not up yet."""
    stage = Stage(home)
    monkeypatch.chdir(stage.project)
    yield stage
    end_all_teams()


def terminal(line: str) -> Pseudo:
    """Run a command line in a terminal of its own."""
    argv = shlex.split(line)
    replace = f"import os; os.dup2(1, 2); os.execvp({argv[0]!r}, {argv!r})"
    return Pseudo(["-c", replace], Path.cwd(), {"TERM": "xterm-256color"})


# -- up ------------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_plan_and_starts_nothing(team: Stage) -> None:
    """The command lines, directories and the socket are printed; `--json` prints the whole plan."""
    team.write({"a": {"command": ["sh", "-c", "echo 'two words'"]}, "scout": {"agent": "demo", "reference": "."}})
    shown = run("up", "layout.yaml", "--dry-run")
    assert (shown.code, shown.err) == (0, "")
    head, socket, *peers = shown.out.splitlines()
    assert head == f"team: 2 peers in {team.project}, arranged main-left"
    assert socket == f"  tmux socket {paths.team_runtime_dir(team.id) / 'tmux.sock'}"
    assert f"  a (a, command) in {team.project}" in peers
    assert f"  scout (scout, demo, a reference) in {team.project}" in peers
    assert any(line.strip().startswith("sh -c 'echo '\"'\"'two words") for line in peers)
    assert shown.err == ""
    elsewhere = run("up", "pair.yml", "--dry-run").err
    assert elsewhere.startswith("note: there is no file pair.yml here; the bundled layout of that name is /")
    plan = run("up", "layout.yaml", "--dry-run", "--json").json
    assert [peer["name"] for peer in plan["peers"]] == ["a", "scout"]
    assert plan.pop("order") == [["a", "scout"]]
    assert TeamPlan.from_json(plan) == team.plan()
    assert not paths.state_dir().exists()


def test_the_attach_lines_work(team: Stage) -> None:
    """`up` prints one line per peer; typed into a terminal, it shows that peer's pane."""
    team.write({"a": {"command": ["sh", "-c", "echo I am a; exec cat"]}, "b": {"command": ["sh", "-c", "exec cat"]}})
    shown = run("up", "layout.yaml")
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert lines[0] == "team is up: 2 peers started"
    for name in "ab":
        (row,) = (line for line in lines if line.split()[:3] == [name, name, "command"])
        attach = row[row.index("tmux -S") :]
        with terminal(attach) as person:
            person.wait_for("I am a")
            seen = wait_until(lambda: team.tmux("list-clients", "-F", "#{pane_id}").split(), what="client")
            assert seen == [team.surface(name)]
            team.tmux("detach-client", "-s", "team")
            person.process.wait(10)
    assert next(line for line in lines if line.startswith("watch ")).split(None, 1)[1].startswith("tmux -S ")
    assert lines[-1] == "stop   intercom-mux down"


def test_up_in_json(team: Stage) -> None:
    """`up --json` says what was started and what ran, and where each peer is."""
    team.write({"a": CAT, "b": SHELL})
    first = run("up", "layout.yaml", "--json").json
    assert (first["team"], first["id"], first["started"], first["running"]) == ("team", team.id, ["a", "b"], [])
    assert [peer["state"] for peer in first["peers"]] == ["running", "ready"]
    assert [peer["pid"] for peer in first["peers"]] == [team.pid("a"), team.pid("b")]
    assert first["peers"][0]["attach"].endswith(f"-t {shlex.quote(team.surface('a'))}")
    team.write({"a": {"command": ["cat", "-u"]}, "c": CAT})
    second = run("up", "layout.yaml", "--json").json
    assert (second["started"], second["running"]) == (["c"], ["a"])
    assert (second["drifted"], second["extra"]) == (["a"], ["b"])
    third = run("up", "layout.yaml").out.splitlines()
    assert third[0] == "team is up already: 2 peers run"
    assert "changed since it was started, left as it runs: a (`down` and `up` apply it)" in third
    assert "not in the layout any more, left running: b" in third


def test_a_failed_start_is_told_in_words_and_in_json(team: Stage) -> None:
    """The error names the peer, its status and its last screen; exit 9."""
    team.write({"a": CAT, "bad": {"command": ["sh", "-c", "echo no key for me; sleep 0.05; exit 3"]}})
    shown = run("up", "layout.yaml")
    assert (shown.code, shown.out) == (9, "")
    assert shown.err.startswith("error: bad ended at once with status 3; its last screen:\n")
    assert "no key for me" in shown.err
    assert "hint: mend the command of bad" in shown.err
    error = run("up", "layout.yaml", "--json").json["error"]
    assert (error["code"], error["peer"], error["status"]) == ("E_PEER_DIED", "bad", "3")
    assert error["screen"] == ["no key for me"]
    assert run("status", "--json").json["team"] is None


def test_a_layout_with_faults_starts_nothing(team: Stage) -> None:
    """Faults that only this machine shows are told like those of the file, with exit 3."""
    team.write({"a": {"command": ["no-such-program"]}, "b": {"command": ["cat"], "cwd": "nowhere"}})
    shown = run("up", "layout.yaml")
    assert (shown.code, shown.out) == (3, "")
    assert "2 problems" in shown.err
    assert not paths.broker_file().exists()


def test_watching_at_once(team: Stage) -> None:
    """`up --attach` ends in the team's terminal, and says while it works what it waits for.

    Who detaches hears that the team runs on, on a terminal without a second screen too, where tmux leaves nothing else.
    """
    team.write({"a": {"command": ["sh", "-c", "echo I am a; exec cat"]}})
    with terminal(shlex.join([*command("up", "--attach"), str(team.layout)])) as person:
        person.wait_for("starting a")
        person.wait_for("I am a")
        # A test types faster than tmux believes of a person: keys within a millisecond are text to it.
        team.tmux("set-option", "-g", "assume-paste-time", "0")
        person.type(b"\x02d")
        person.wait_for("The team goes on: `intercom-mux status` shows it, `intercom-mux down` ends it.")
        person.process.wait(10)


def test_what_runs_is_shown_though_a_peer_was_not_started(team: Stage) -> None:
    """The reason stands below, and no terminal is taken by a team that is not whole; JSON has the reason alone."""
    job = {"command": ["sh", "-c", "exit 4"]}
    team.write({"a": CAT, "job": job, "after": {**CAT, "depends_on": {"job": "exited-ok"}}})
    shown = run("up", "layout.yaml")
    assert shown.code != 0
    lines = shown.out.splitlines()
    assert lines[0] == "team is up: 2 peers started"
    assert [line.split()[0] for line in lines[1:]] == ["a", "job", "watch", "talk", "stop"]
    assert shown.err.startswith("error: after was not started: job, which it depends on, ended with status 4\n")
    assert run("up", "layout.yaml", "--json").json["error"]["code"] == "E_NOT_STARTED"


def test_an_interrupted_up_says_that_the_team_goes_on(team: Stage, home: Path) -> None:
    """Ctrl-C tells what goes on and how to end it; a second `up` says that it waits for the first."""
    agents = paths.config_dir() / "agents"
    agents.mkdir(parents=True)
    argv = ["sh", "-c", "while [ ! -e go ]; do sleep 0.05; done; echo READY; exec cat"]
    profile = {"argv": argv, "routes": ["inbox"], "ready": {"screen": "READY"}, "ready_timeout_s": 30}
    (agents / "slow.yaml").write_text(json.dumps(profile))
    team.write({"a": {"agent": "slow"}})
    first = start("up", "layout.yaml")
    # The state is written with no peer first, then with the peer, then with its pid.
    wait_until(lambda: team.is_known and [peer for peer in team.state.peers.values() if peer.pid], what="the pane")
    first.send_signal(signal.SIGINT)
    _, told = first.communicate(timeout=10)
    assert told.strip() == "team goes on starting; see `intercom-mux status`, end it with `intercom-mux down`"
    assert first.returncode == 130
    second = start("up", "layout.yaml")
    assert second.stderr is not None
    assert second.stderr.readline() == "waiting until an earlier start of team is done\n"
    (team.project / "go").touch()
    out, _ = second.communicate(timeout=30)
    assert (second.returncode, out.splitlines()[0]) == (0, "team is up already: 1 peer runs")


def test_watching_needs_a_terminal(team: Stage) -> None:
    """Without one `up --attach` starts nothing."""
    team.write({"a": CAT})
    refused = run("up", "layout.yaml", "--attach")
    assert (refused.code, "watching a team needs a terminal" in refused.err) == (2, True)
    assert not team.is_known


# -- status --------------------------------------------------------------------------------------------------------


def test_status_without_anything(team: Stage) -> None:
    """Nothing runs and nothing is started by asking."""
    shown = run("status")
    assert shown.code == 0
    assert "not connected" in shown.out
    assert "none is running" in shown.out
    assert not paths.broker_file().exists()


def test_status_of_a_team(team: Stage) -> None:
    """The caller, the broker, every peer with its live status, and the tasks; a dead daemon is told at once."""
    team.up({"a": CAT, "b": SHELL})
    with team.shell() as shell:
        shell.request("progress", task="T1", title="Write it", percent=40, team=team.id)
    seen = run("status", "--json").json
    assert seen["broker"]["socket"] == str(paths.broker_socket())
    assert {peer["name"]: peer["status"] for peer in seen["team"]["peers"]} == {"a": "unknown", "b": "idle"}
    assert seen["team"]["daemon"] == team.daemon_pid()
    assert [(task["id"], task["percent"]) for task in seen["tasks"]] == [("T1", 40)]
    shown = run("status").out
    assert f"team     team in {team.project} · daemon {team.daemon_pid()}" in shown
    assert "T1  40%" in shown
    assert shown.splitlines()[3].split() == ["PEER", "ROLE", "AGENT", "STATUS", "FOR", "UP", "TASK", "CWD"]
    daemon = team.state.daemon
    assert daemon is not None
    os.kill(daemon.pid, signal.SIGKILL)
    wait_until(lambda: not processes.is_alive(daemon), what="death of the daemon")
    assert "DAEMON GONE: run `intercom-mux up` again" in run("status").out
    assert run("status", "--json").json["team"]["daemon"] is None


def test_status_among_several_teams(team: Stage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside every project each team has a line; what cannot be read is told, and `--team` shows one in detail."""
    team.up({"a": CAT, "b": SHELL})
    other = Stage(home, "other")
    other.up({"c": CAT})
    broken = paths.private_dir(paths.team_state_dir("broken-00000000")) / "state.json"
    broken.write_text("{")
    monkeypatch.chdir(home)
    shown = run("status")
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["you", "broker"]
    assert "left out cannot read the state of team broken-00000000" in shown.out
    (row,) = (line for line in lines if line.split()[0] == "team")
    assert f"daemon {team.daemon_pid()}" in row
    seen = run("status", "--json").json
    assert seen["team"] is None
    assert [(one["name"], one["daemon"]) for one in seen["teams"]] == [
        ("other", other.daemon_pid()),
        ("team", team.daemon_pid()),
    ]
    assert sum(seen["teams"][1]["statuses"].values()) == 2
    assert run("status", "--json", "--team", "other").json["team"]["name"] == "other"
    broken.unlink()


def test_a_new_broker_knows_since_when_peers_are_as_they_are(team: Stage) -> None:
    """The one before it was killed; their daemon tells it."""

    def idle_since() -> int | None:
        rows = [row for row in run("list", "--json").json if row["name"] == "team/a" or row["name"] == "a"]
        return rows[0]["status_since"] if rows and rows[0]["status"] == "idle" else None

    team.up({"a": DEMO})
    before = wait_until(idle_since, what="an idle peer")
    kill_broker()
    # The daemon knows it from the moment itself, the first broker from when it was told.
    after = wait_until(idle_since, what="the peer at the next broker")
    assert before
    assert after
    assert after <= before


# -- attach and logs -----------------------------------------------------------------------------------------------


def test_attach_and_logs(team: Stage) -> None:
    """Both find a peer by name, `logs` also the daemon's; an unknown name is refused with the known ones."""
    team.up({"a": {"command": ["sh", "-c", "printf '\\033[31mred\\033[0m\\n'; exec cat"]}, "b": CAT})
    with terminal(shlex.join(command("attach", "b"))) as person:
        seen = wait_until(lambda: team.tmux("list-clients", "-F", "#{pane_id}").split(), what="client")
        assert seen == [team.surface("b")]
        team.tmux("detach-client", "-s", "team")
        person.process.wait(10)
    wait_until(lambda: run("logs", "a").out == "red\n", what="log")
    assert run("logs", "a", "--raw").out == "\x1b[31mred\x1b[0m\r\n"
    assert f"daemon of {team.id} listens" in run("logs", "--daemon").out
    for verb in ("attach", "logs"):
        refused = run(verb, "nobody")
        assert (refused.code, refused.out) == (9, "")
        assert refused.err == 'error: team team has no peer "nobody"\nhint: known: a, b\n'
    unnamed = run("logs")
    assert (unnamed.code, "name a peer: a, b" in unnamed.err) == (2, True)
    followed = subprocess.Popen(command("logs", "-f", "a"), stdout=subprocess.PIPE, text=True)
    assert followed.stdout is not None
    assert followed.stdout.readline() == "red\n"
    team.type("a", "more")
    assert followed.stdout.readline() == "more\n"
    followed.send_signal(signal.SIGINT)
    assert followed.wait(10) == 130
    followed.stdout.close()


def test_attach_without_a_server_or_a_terminal(team: Stage) -> None:
    """Both are told in our words, with the next step; and so is a tmux that is not on PATH any more."""
    team.up({"a": CAT})
    missing = run("attach", env={"PATH": str(team.project)})
    assert (missing.code, missing.err.splitlines()[0]) == (4, "error: tmux is not installed")
    refused = run("attach")
    assert (refused.code, "watching a team needs a terminal" in refused.err) == (2, True)
    server = team.state.server
    assert server is not None
    team.tmux("kill-server")
    wait_until(lambda: not processes.is_alive(server), what="end of tmux")
    gone = run("attach")
    assert gone.code == 4
    assert gone.err == "error: the tmux server of team is gone\nhint: start it again: `intercom-mux up`\n"


# -- down ----------------------------------------------------------------------------------------------------------


def test_down_in_words_and_in_json(team: Stage) -> None:
    """How many processes ended; then that nothing runs, with exit 0; a team that does not run is an error."""
    team.up({"a": CAT})
    shown = run("down")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("team is down: ")
    assert shown.out.endswith(" processes ended, none left\n")
    assert run("down") == (0, "nothing runs\n", "")
    assert json.loads(run("down", "--json").out) == []
    assert run("down", "--team", "team").code == 9
    team.up({"a": CAT})
    (row,) = run("down", "--json", "--team", team.id).json
    assert (row["team"], row["spared"]) == ("team", [])
    assert row["ended"] >= 2


def test_down_all_tells_teams_of_one_name_apart(team: Stage) -> None:
    """As every list of teams does."""
    team.up({"a": CAT})
    inner = team.project / "inner"
    inner.mkdir()
    (inner / "layout.yaml").write_text(team.layout.read_text())
    assert run("up", str(inner / "layout.yaml")).code == 0
    ended = sorted(line.partition(" is down")[0] for line in run("down", "--all").out.splitlines())
    assert ended == ["team@inner", f"team@{team.project.name}"]


def test_down_all_tells_what_it_cannot_read(team: Stage) -> None:
    """Readable teams end; each unreadable one is an error with its exit code, and never "nothing runs"."""
    team.up({"a": CAT})
    broken = paths.private_dir(paths.team_state_dir("broken-00000000")) / "state.json"
    broken.write_text("{")
    shown = run("down", "--all")
    assert (shown.code, shown.out.startswith("team is down: ")) == (9, True)
    assert shown.err.startswith("error: cannot read the state of team broken-00000000 in ")
    again = run("down", "--all")
    assert (again.code, again.out) == (9, "")
    assert [row["error"]["code"] for row in run("down", "--all", "--json").json] == ["E_TEAM_STATE"]
    broken.unlink()
