"""Starting, finding and stopping the broker: one per user, whatever happens at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from intercom_mux import __version__, paths
from intercom_mux.broker import lifecycle
from intercom_mux.errors import BrokerError
from tests.broker.live import Line, broker_pid, is_gone, kill_broker, start
from tests.support import SCALE, marked_processes, wait_until

if TYPE_CHECKING:
    from pathlib import Path

START = "import sys; from intercom_mux.broker import lifecycle; print(lifecycle.ensure_running())"


def brokers(home: Path) -> list[int]:
    """Return the pids of the broker processes of this test."""
    return [pid for pid, line in marked_processes(str(home)).items() if "intercom_mux.broker" in line]


def foreground(**extra: str) -> subprocess.Popen[str]:
    """Run the broker as a child of ours and return when it answers."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", "intercom_mux.broker"],
        env={**os.environ, **extra},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: lifecycle.probe(paths.broker_socket()) or child.poll() is not None, what="broker start")
    return child


def test_a_broker_is_started_once_and_then_found(home: Path) -> None:
    """It says who it is in `broker.json`, answers the health check, and carries no marker of a pane."""
    os.environ[paths.IDENTITY_VARIABLE] = str(home / "identity")
    try:
        path = start()
    finally:
        del os.environ[paths.IDENTITY_VARIABLE]
    info = lifecycle.running()
    assert info is not None
    assert (info["socket"], info["version"]) == (str(path), __version__)
    assert start() == path
    assert brokers(home) == [info["pid"]]
    with open(f"/proc/{info['pid']}/environ", "rb") as environ:
        assert paths.IDENTITY_VARIABLE.encode() not in environ.read()
    health = lifecycle.probe(path)
    assert health is not None
    assert health["broker"] == "intercom-mux"


def test_twenty_starters_at_once_get_one_broker(home: Path) -> None:
    """Every one of them succeeds."""
    gate = home / "gate"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.002)\n"
    starters = [
        subprocess.Popen([sys.executable, "-c", wait + START], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(20)
    ]
    gate.touch()
    results = [(*starter.communicate(timeout=60), starter.returncode) for starter in starters]
    assert {result[2] for result in results} == {0}, results
    assert {result[0].decode().strip() for result in results} == {str(paths.broker_socket())}
    assert len(brokers(home)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_ends_it_and_nothing_is_left(home: Path, number: signal.Signals) -> None:
    """Socket and `broker.json` are gone, the exit is clean, the journal keeps what was accepted."""
    child = foreground()
    with Line() as line:
        line.peer("planner")
        child.send_signal(number)
        assert child.communicate(timeout=10)[1] == ""
    assert child.returncode == 0
    assert not paths.broker_socket().exists()
    assert not paths.broker_file().exists()
    assert lifecycle.running() is None


def test_stop_ends_the_running_broker_and_says_whether_there_was_one(home: Path) -> None:
    """It no longer listens on return, and a new one may be started at once."""
    assert lifecycle.stop() is False
    for _ in range(4):
        start()
        assert lifecycle.stop() is True
        assert lifecycle.running() is None
        assert not paths.runtime_dir().exists()
    began = time.monotonic()
    start()
    assert time.monotonic() - began < 5 * SCALE


def test_a_killed_brokers_leftovers_are_in_nobodys_way(home: Path) -> None:
    """Socket and file stay behind; the next start replaces them."""
    start()
    old = kill_broker()
    assert paths.broker_socket().exists()
    assert lifecycle.running() is None
    start()
    assert broker_pid() != old


def test_a_broker_that_nobody_uses_goes_by_itself(home: Path) -> None:
    """But not while somebody is registered."""
    child = foreground(INTERCOM_MUX_IDLE_S="1")
    with Line() as line:
        line.register("id-1", "planner")
        with pytest.raises(subprocess.TimeoutExpired):
            child.communicate(timeout=2.5)
    child.communicate(timeout=10)
    assert child.returncode == 0
    assert not paths.broker_socket().exists()


def test_what_waits_outlives_an_idle_exit(home: Path) -> None:
    """The journal keeps it for the next broker."""
    child = foreground(INTERCOM_MUX_IDLE_S="1")
    with Line() as planner, Line() as worker:
        planner.peer("planner")
        worker.peer("worker-1").close()
        planner.send("worker-1", "later", "m1").until("delivered")
    child.communicate(timeout=10)
    start()
    with Line() as worker:
        assert worker.peer("worker-1").until("message")["message"]["id"] == "m1"


def test_a_loser_of_a_start_race_leaves_quietly_and_not_at_once(home: Path) -> None:
    """The stock client takes an exit before the first health answer for a failure."""
    start()
    began = time.monotonic()
    loser = foreground()
    assert loser.communicate(timeout=20)[1] == ""
    assert loser.returncode == 0
    assert time.monotonic() - began > 0.9
    assert brokers(home) == [broker_pid()]


def test_who_waits_behind_a_stopping_broker_takes_over(home: Path) -> None:
    """The lock is still held when the next one starts: it must not take that for a winner."""
    import fcntl

    directory = paths.private_dir(paths.state_dir())
    with (directory / "broker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        release = threading.Timer(0.5, lambda: fcntl.flock(lock, fcntl.LOCK_UN))
        release.start()
        start()
        release.join()
    assert lifecycle.running() is not None


def test_a_symlinked_runtime_directory_is_refused_and_named(home: Path) -> None:
    """Whoever made it could read along."""
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    paths.runtime_dir().symlink_to(elsewhere)
    try:
        with pytest.raises(BrokerError, match="symbolic link") as caught:
            start()
        assert str(paths.runtime_dir()) in caught.value.message
    finally:
        paths.runtime_dir().unlink()
    assert list(elsewhere.iterdir()) == []


def test_a_directory_open_to_others_is_closed(home: Path) -> None:
    """Ours, so it is put right rather than refused."""
    paths.runtime_dir().mkdir(mode=0o755)
    start()
    assert paths.runtime_dir().stat().st_mode & 0o777 == 0o700


def test_a_damaged_journal_stops_the_start_with_its_reason(home: Path) -> None:
    """The message names the file; nothing is overwritten."""
    file = paths.private_dir(paths.state_dir()) / paths.journal_file().name
    file.write_bytes(b"not a database, but somebody's work" * 100)
    before = file.read_bytes()
    with pytest.raises(BrokerError, match="journal") as caught:
        start()
    assert str(file) in caught.value.message
    assert file.read_bytes() == before
    assert brokers(home) == []


def test_probe_is_not_fooled(home: Path) -> None:
    """A file, a silent listener and a foreign service are no broker."""
    import socket

    directory = paths.private_dir(paths.runtime_dir())
    (directory / "file").touch()
    assert lifecycle.probe(directory / "file") is None
    assert lifecycle.probe(directory / "none") is None
    for answer in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x02{}", b"\0\0\0\x02[]"):
        path = directory / "x"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()

            def serve(listener: socket.socket = listener, answer: bytes = answer) -> None:
                with listener.accept()[0] as client:
                    client.recv(100)
                    client.sendall(answer)
                    if not answer:
                        client.recv(100)

            server = threading.Thread(target=serve)
            server.start()
            assert lifecycle.probe(path, timeout_s=0.2) is None
            server.join()
        path.unlink()


def test_the_start_line_that_pi_waits_for(home: Path) -> None:
    """`broker run` announces itself in the words of the stock broker, and survives a reader that goes away."""
    code = "from intercom_mux.broker import lifecycle; lifecycle.serve(announce=True)"
    child = subprocess.Popen([sys.executable, "-c", code, "ignored-argument"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == f"Intercom broker started (pid: {child.pid})\n"
    child.stdout.close()
    with Line() as line:
        line.peer("planner").send("planner", "x", "m1")
    lifecycle.stop()
    child.wait(10)
    assert is_gone(child.pid)


def test_broker_json_names_the_living_broker(home: Path) -> None:
    """It is there before the first answer, and replaced by the next broker."""
    for _ in range(3):
        start()
        info = json.loads(paths.broker_file().read_text())
        assert not is_gone(info["pid"])
        kill_broker()
    start()


def test_it_may_hold_more_connections_than_the_usual_limit(home: Path) -> None:
    """A shell's 1,024 open files are raised as far as the system lets us."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    code = "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (256, r.getrlimit(r.RLIMIT_NOFILE)[1]));" + START
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    with open(f"/proc/{broker_pid()}/limits") as limits:
        (line,) = [line for line in limits if line.startswith("Max open files")]
    assert int(line.split()[3]) == (min(hard, lifecycle.OPEN_FILES) if hard > 0 else lifecycle.OPEN_FILES)


def test_a_starter_whose_winner_is_gone_again_starts_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own broker has left the place to one that is killed before it was seen; nobody waits for nothing.

    `probe` is blind until then, because that instant cannot be hit otherwise.
    """
    lifecycle.ensure_running()
    probe, spawn = lifecycle.probe, lifecycle._spawn
    children: list[subprocess.Popen[bytes]] = []

    def counted(environment: dict[str, str]) -> subprocess.Popen[bytes]:
        children.append(spawn(environment))
        return children[-1]

    def blind(path: Path, timeout_s: float = 1.0) -> dict[str, object] | None:
        if not children or (len(children) == 1 and children[0].poll() is None):
            return None
        if len(children) == 1:
            kill_broker()
        return probe(path, timeout_s)

    monkeypatch.setattr(lifecycle, "_spawn", counted)
    monkeypatch.setattr(lifecycle, "probe", blind)
    path = lifecycle.ensure_running()
    assert len(children) == 2
    assert probe(path) is not None
