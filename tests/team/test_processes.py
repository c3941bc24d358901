"""Which processes belong to a team, and that they end: every rule with real processes."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import psutil
import pytest

from intercom_mux import paths
from intercom_mux.team.processes import Snapshot, end, identify, is_alive, snapshot
from tests.support import TEST_MARKER, marked_processes, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from intercom_mux.team.proc import Proc

# Of this worker alone: another one must not find what its tests start.
TEAM = f"/tmp/imux-{os.getpid()}-00000000/t/demo-11111111/"
OTHER_TEAM = f"/tmp/imux-{os.getpid()}-00000000/t/other-22222222/"
DETACHED_SERVICE = ("sh", "-c", "sleep 60; :", "-m", "intercom_mux", "broker", "run")


class Start(Protocol):
    """Starts a program, by default a shell script, the way a pane does: in a session of its own."""

    def __call__(self, script: str | tuple[str, ...], *, identity: str | None = ...) -> int: ...


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Start programs; afterwards they and all that carries the test's marker are killed."""
    programs: list[subprocess.Popen[bytes]] = []

    def _start(script: str | tuple[str, ...], *, identity: str | None = None) -> int:
        argv = ("sh", "-c", script) if isinstance(script, str) else script
        environment = dict(os.environ) | ({paths.IDENTITY_VARIABLE: identity} if identity else {})
        programs.append(subprocess.Popen(argv, env=environment, cwd=home, start_new_session=True))
        return programs[-1].pid

    yield _start
    deadline = time.monotonic() + 5
    while (left := marked_processes(str(home))) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    for program in programs:
        program.wait()


def bare(home: Path, command: str) -> str:
    """Return `command` with an environment emptied of all but what the suite needs to find it again."""
    return f"env -i PATH=$PATH {TEST_MARKER}={shlex.quote(str(home))} {command}"


def written_pid(path: Path) -> int:
    return int(wait_until(lambda: path.exists() and path.read_text().strip(), what=f"pid in {path.name}"))


def children(pid: int, count: int) -> list[int]:
    """Wait until `pid` has `count` descendants that run their final program, and return them."""

    def settled() -> list[int]:
        try:
            found = psutil.Process(pid).children(recursive=True)
            return [child.pid for child in found] if len(found) == count and found[-1].name() == "sleep" else []
        except psutil.NoSuchProcess:
            return []

    return wait_until(settled, what=f"{count} descendants")


def doomed(look: Snapshot) -> set[int]:
    return {proc.pid for proc in look.doomed}


def reasons(look: Snapshot) -> dict[int, str]:
    return {spared.proc.pid: spared.reason for spared in look.spared}


def certain(pid: int) -> Proc:
    proc = identify(pid)
    assert proc is not None
    return proc


def test_a_tree_is_found_deepest_first(start: Start) -> None:
    """Root, child and grandchild are found, in the order in which they are to be ended."""
    root = start("sh -c 'sleep 60; :'; :")
    child, grandchild = children(root, 2)
    assert [proc.pid for proc in snapshot([root], None).doomed] == [grandchild, child, root]


def test_processes_outside_the_tree_are_not_found(start: Start) -> None:
    """A neighbour without a tie to the team is neither doomed nor listed."""
    root, neighbour = start("exec sleep 60"), start("exec sleep 60")
    look = snapshot([root], TEAM)
    assert doomed(look) == {root}
    assert neighbour not in reasons(look)


def test_new_session_and_scrubbed_environment_stay_in_the_tree(start: Start, home: Path) -> None:
    """A child that calls setsid and drops its environment is still its parent's child."""
    root = start(f"setsid {bare(home, 'sleep 60')}; :", identity=f"{TEAM}planner")
    (child,) = children(root, 1)
    assert doomed(snapshot([root], TEAM)) == {root, child}


def test_a_dead_root_still_names_its_session(start: Start, home: Path) -> None:
    """An orphan without marker is found through the session that its dead pane program led."""
    root = start(f"{bare(home, 'sleep 60')} & echo $! > orphan; wait")
    pane = certain(root)
    orphan = written_pid(home / "orphan")
    os.kill(root, signal.SIGKILL)
    os.waitpid(root, 0)
    assert psutil.Process(orphan).ppid() != root
    assert doomed(snapshot([pane], TEAM)) == {orphan}
    assert doomed(snapshot([root], None)) == {orphan}


@pytest.mark.parametrize("launch", ["setsid sleep 60", "nohup sleep 60 >/dev/null", "setsid nohup sleep 60 >/dev/null"])
def test_a_double_forked_process_is_found_by_its_marker(start: Start, home: Path, launch: str) -> None:
    """setsid, nohup and a dead parent do not hide what inherited the team's environment."""
    root = start(f"({launch} & echo $! > stray)", identity=f"{TEAM}planner")
    os.waitpid(root, 0)
    stray = written_pid(home / "stray")
    wait_until(lambda: psutil.Process(stray).name() == "sleep")
    assert doomed(snapshot([], TEAM)) == {stray}
    assert end(snapshot([], TEAM).doomed, grace_s=1) == []
    assert not snapshot([], TEAM).doomed


def test_without_readable_environments_tree_and_session_serve(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system refuses environments, as macOS does, tree and session are still found. Patched: Linux allows."""

    def refuse(process: psutil.Process) -> dict[str, str]:
        raise psutil.AccessDenied(process.pid)

    root = start("(sleep 60 & echo $! > orphan); sleep 60; :", identity=f"{TEAM}planner")
    orphan = written_pid(home / "orphan")
    (child,) = children(root, 1)
    monkeypatch.setattr(psutil.Process, "environ", refuse)
    assert doomed(snapshot([root], TEAM)) == {root, child, orphan}


def test_another_team_is_spared_outside_the_panes(start: Start, home: Path) -> None:
    """A stray of this team that started another team's process loses only itself; in a pane's tree both end."""
    script = f"{paths.IDENTITY_VARIABLE}={OTHER_TEAM}worker sleep 60; :"
    start(f"(setsid sh -c '{script}' & echo $! > stray)", identity=f"{TEAM}planner")
    stray = written_pid(home / "stray")
    (theirs,) = children(stray, 1)
    look = snapshot([], TEAM)
    assert doomed(look) == {stray}
    assert reasons(look) == {theirs: "belongs to another team"}
    assert doomed(snapshot([stray], TEAM)) == {stray, theirs}
    assert doomed(snapshot([], OTHER_TEAM)) == {theirs}


def test_an_own_tmux_of_the_user_is_spared_with_all_in_it(start: Start, home: Path) -> None:
    """A multiplexer server that somebody started in a pane, and the shell inside it, are left alone and listed."""
    start(f"tmux -S {home}/mine -f /dev/null new-session -d 'sleep 60; :'; sleep 60", identity=f"{TEAM}planner")
    query = ("tmux", "-S", f"{home}/mine", "display-message", "-p", "#{pid} #{pane_pid}")

    def running() -> list[int]:
        answer = subprocess.run(query, capture_output=True, text=True, check=False)
        return [int(word) for word in answer.stdout.split()]

    server, shell = wait_until(running, what="own tmux server")
    (inside,) = children(shell, 1)
    look = snapshot([], TEAM)
    assert not doomed(look) & {server, shell, inside}
    below = f"below {server}: multiplexer server"
    assert reasons(look) == {server: "multiplexer server", shell: below, inside: below}
    assert {server, shell, inside} <= doomed(snapshot([server], TEAM)), "the team's own server is a root"
    subprocess.run(("tmux", "-S", f"{home}/mine", "kill-server"), check=True)


def test_a_broker_started_in_a_pane_is_spared(start: Start) -> None:
    """Brokers and team daemons serve others too, even while their starter in the pane still lives."""
    root = start(f"setsid {shlex.join(DETACHED_SERVICE)} & wait", identity=f"{TEAM}planner")
    broker, below = children(root, 2)
    for look in (snapshot([root], TEAM), snapshot([], TEAM)):
        assert doomed(look) == {root}
        assert reasons(look) == {broker: "intercom service", below: f"below {broker}: intercom service"}


@pytest.mark.parametrize(
    ("command", "is_service"),
    [
        ("python -I -m intercom_mux broker run", True),
        ("python -I -m intercom_mux.team.daemon demo", True),
        ("python /usr/bin/intercom-mux daemon demo", True),
        ("node tsx/cli.mjs /home/u/.pi/agent/extensions/pi-intercom/broker/broker.ts", True),
        ("python -m intercom_mux ask broker hello", False),
        ("python -m intercom_muxer broker run", False),
        ("vim intercom_mux broker", False),
    ],
)
def test_services_are_told_by_their_command(start: Start, command: str, is_service: bool) -> None:
    """Only a broker or a team daemon counts, not every program that mentions one."""
    root = start(f"setsid sh -c 'sleep 60; :' {command} & wait")
    service, _ = children(root, 2)
    assert (service in reasons(snapshot([root], None))) == is_service


def test_a_shared_agent_daemon_is_spared_unless_it_runs_in_a_pane(start: Start, home: Path) -> None:
    """What an agent starts once per user is listed when only the marker ties it to the team."""
    codex = home / "codex"
    codex.write_text("#!/bin/sh\nsleep 60\n:\n")
    codex.chmod(0o700)
    start(f"(setsid {codex} app-server --managed-daemon & echo $! > daemon)", identity=f"{TEAM}planner")
    daemon = written_pid(home / "daemon")
    (below,) = children(daemon, 1)
    look = snapshot([], TEAM)
    assert not look.doomed
    assert reasons(look)[daemon] == "agent daemon that others may use"
    assert doomed(snapshot([daemon], TEAM)) == {daemon, below}


def test_the_caller_and_its_ancestors_are_spared(start: Start, home: Path) -> None:
    """A look taken inside a pane dooms the neighbours, not the looker nor those it runs below."""
    code = (
        "import json, sys; from intercom_mux.team.processes import snapshot; look = snapshot([int(sys.argv[1])], None);"
        "print(json.dumps([[p.pid for p in look.doomed], {s.proc.pid: s.reason for s in look.spared}]))"
    )
    looker = shlex.join((sys.executable, "-c", code))
    root = start(f"sleep 60 & echo $! > neighbour; {looker} $$ > look.new && mv look.new look; wait")
    found, spared = json.loads(wait_until(lambda: (home / "look").read_text() if (home / "look").exists() else ""))
    assert found == [written_pid(home / "neighbour")]
    assert spared.pop(str(root)) == "runs this command"
    assert list(spared.values()) == ["runs this command"]


def test_excluded_pids_are_spared(start: Start) -> None:
    """A pid that the caller names is left alone; what runs below it is not."""
    root = start("sleep 60; :")
    (child,) = children(root, 1)
    look = snapshot([root], None, exclude={root})
    assert doomed(look) == {child}
    assert reasons(look) == {root: "excluded"}


def test_init_is_no_root() -> None:
    """A pid of 0 or 1, as a fault elsewhere might hand over, finds nobody."""
    assert snapshot([0, 1], None) == Snapshot((), ())


def test_a_root_whose_pid_was_reused_is_dropped(start: Start) -> None:
    """A recorded root with another start time does not doom whoever has its pid now."""
    now = certain(start("exec sleep 60"))
    assert not snapshot([replace(now, started=now.started - 60)], None).doomed


def test_a_reused_pid_is_neither_alive_nor_signalled(start: Start) -> None:
    """`end` leaves a later process of the same pid untouched."""
    now = certain(start("exec sleep 60"))
    earlier = replace(now, started=now.started - 60)
    assert is_alive(now)
    assert not is_alive(earlier)
    assert end([earlier], grace_s=0) == []
    assert is_alive(now)


def test_a_zombie_is_not_alive(start: Start) -> None:
    """A process that ended but was not reaped does not count, in any question."""
    pid = start("exec sleep 60")
    proc = certain(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert identify(pid) is None
    assert not is_alive(proc)
    assert not snapshot([pid], None).doomed
    assert end([proc], grace_s=0) == []


def test_a_pid_without_process_is_nobody() -> None:
    """Asking for a pid that nobody has is no error."""
    assert identify(2**22 + 1) is None


def test_a_polite_process_gets_its_time(start: Start, home: Path) -> None:
    """Who exits on TERM may clean up first, even as a stopped job, and nobody waits for the rest of the grace."""
    root = start("trap 'echo bye > bye; exit' TERM; echo $$ > ready; while :; do sleep 0.01; done")
    written_pid(home / "ready")
    os.kill(root, signal.SIGSTOP)
    began = time.monotonic()
    assert end([certain(root)], grace_s=30) == []
    assert time.monotonic() - began < 10
    assert (home / "bye").read_text() == "bye\n"


def test_who_ignores_signals_is_killed(start: Start) -> None:
    """TERM and HUP ignored end in KILL after the grace, and progress tells how many are left."""
    root = start("trap '' TERM HUP; sleep 60; :")
    children(root, 1)
    seen: list[int] = []
    look = snapshot([root], None)
    assert end(look.doomed, grace_s=0.1, on_progress=lambda left: seen.append(len(left))) == []
    assert not any(is_alive(proc) for proc in look.doomed)
    assert seen[0] == 2
    assert seen[-1] == 0


def test_what_starts_during_the_grace_is_ended_too(start: Start, home: Path) -> None:
    """A clean-up program that a dying process starts in a session of its own is found by looking again."""
    root = start(
        "trap 'setsid sleep 60 & echo $! > late; exit' TERM; echo $$ > ready; while :; do sleep 0.01; done",
        identity=f"{TEAM}planner",
    )
    written_pid(home / "ready")
    look = snapshot([root], TEAM)
    assert end(look.doomed, grace_s=1, rescan=lambda met: snapshot([root], TEAM, met=met).doomed) == []
    assert identify(written_pid(home / "late")) is None


def test_nobody_known_is_no_reason_not_to_look(start: Start) -> None:
    """With an empty list the look still counts, as for what was spared a moment ago."""
    root = start("exec sleep 60")
    assert end([], grace_s=1, rescan=lambda met: snapshot([root], None, met=met).doomed) == []
    assert identify(root) is None


_RABBIT = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
until = time.monotonic() + 20
while time.monotonic() < until:
    if os.fork():
        os._exit(0)
    {step}
"""


def test_a_process_that_forks_and_exits_all_the_time_is_caught(start: Start) -> None:
    """A chain that lives a millisecond per generation is stopped through its process group, then killed."""
    root = start((sys.executable, "-S", "-c", _RABBIT.format(step="time.sleep(0.001)")))
    os.waitpid(root, 0)

    def look(met: object = ()) -> tuple[Proc, ...]:
        return snapshot([root], None).doomed

    assert wait_until(look)
    assert end(look(), grace_s=0.1, rescan=look) == []
    assert not look()


def test_a_chain_is_caught_though_looks_miss_it(start: Start) -> None:
    """On a busy machine a look takes long, and finds only those that have ended, or nobody."""
    root = start((sys.executable, "-S", "-c", _RABBIT.format(step="time.sleep(0.001)")))
    os.waitpid(root, 0)

    def look() -> tuple[Proc, ...]:
        return snapshot([root], None).doomed

    is_blind = itertools.cycle((True, False))
    assert wait_until(look)
    assert end(wait_until(look), grace_s=0.1, rescan=lambda _met: () if next(is_blind) else look()) == []
    assert not look()


def test_watchers_that_restart_each_other_end(start: Start, home: Path) -> None:
    """A parent that replaces every child that dies, and shrugs off TERM, gets no chance to."""
    root = start("trap '' TERM; while :; do (trap - TERM; exec sleep 60); done", identity=f"{TEAM}planner")
    children(root, 1)
    look = snapshot([root], TEAM)
    assert end(look.doomed, grace_s=0.1, rescan=lambda met: snapshot([root], TEAM, met=met).doomed) == []
    wait_until(lambda: not marked_processes(str(home)))


def test_survivors_are_reported(start: Start) -> None:
    """A process that we may not signal comes back as a survivor, without an error and without waiting for it."""
    target = certain(start("exec sleep 60") if os.getuid() == 0 else 1)
    survivors, report = os.pipe()
    other = os.fork()
    if other == 0:
        if os.getuid() == 0:
            os.setuid(65534)
        os.write(report, json.dumps([proc.pid for proc in end([target], grace_s=30)]).encode())
        os._exit(0)
    os.close(report)
    os.waitpid(other, 0)
    with os.fdopen(survivors) as answer:
        assert json.load(answer) == [target.pid]
