"""Listening where pi's and atomic's sessions look, next to a stock broker and in its place."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.broker import lifecycle, places
from intercom_mux.errors import BrokerError, IntercomError
from tests.broker.live import Line, broker_pid, is_gone, kill_broker, start
from tests.broker.stock_client import Spawner, StockClient
from tests.support import SCALE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OURS = [sys.executable, "-m", "intercom_mux", "broker", "run"]
STOCK_BROKER = str(Path(__file__).parent / "stock_broker.py")


@pytest.fixture
def agent(home: Path) -> Path:
    """pi's agent directory, as an installed pi leaves it."""
    directory = home / ".pi" / "agent"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def stock(agent: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start stand-ins for the stock broker at pi's place; they listen on return."""
    started = []

    def begin() -> subprocess.Popen[str]:
        runtime = paths.private_dir(agent / "intercom")
        child = subprocess.Popen([sys.executable, STOCK_BROKER, str(runtime)], stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == f"Intercom broker started (pid: {child.pid})\n"
        return child

    yield begin
    for child in started:
        child.terminate()
        child.communicate(timeout=10)


@pytest.fixture
def spawner() -> Iterator[Callable[[Path, list[str]], Spawner]]:
    """Make spawners; what they have started is ended and reaped after the test."""
    made: list[Spawner] = []

    def make(agent: Path, command: list[str]) -> Spawner:
        made.append(Spawner(agent, command))
        return made[-1]

    yield make
    lifecycle.stop()
    for each in made:
        each.reap()


def state_of(agent: Path) -> str:
    """Return who holds an agent directory's place: ours, foreign or none."""
    info = lifecycle.running()
    found = {place["path"]: place["state"] for place in places.survey(info["pid"] if info else None)}
    return str(found[str(places.socket_of(agent))])


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_sessions_of_pi_of_atomic_and_of_ours_meet(home: Path, agent: Path) -> None:
    """One registry behind three sockets; modes and pid file are those that stock clients expect."""
    atomic = home / ".atomic" / "agent"
    atomic.mkdir(parents=True)
    own = start()
    pi_socket = places.socket_of(agent)
    with Line(own) as a, Line(pi_socket) as b, Line(places.socket_of(atomic)) as c:
        a.register("a", "ann")
        b.register("b", "bob")
        c.register("c", "cyd")
        b.send("ann", "from pi", "m1")
        assert a.until("message")["message"]["content"]["text"] == "from pi"
        a.send("cyd", "to atomic", "m2")
        assert c.until("message")["message"]["content"]["text"] == "to atomic"
    pid_file = pi_socket.with_name("broker.pid")
    assert pid_file.read_text() == str(broker_pid())
    assert (mode(pi_socket.parent), mode(pi_socket), mode(pid_file)) == (0o700, 0o600, 0o600)
    assert not pi_socket.with_name("broker.spawn.lock").exists()
    lifecycle.stop()
    assert list(pi_socket.parent.iterdir()) == []


def test_without_pi_nothing_of_pi_is_made(home: Path) -> None:
    """No agent directory, no place."""
    start()
    assert places.survey(broker_pid()) == []
    assert not (home / ".pi").exists()


def test_a_place_asked_for_is_made_and_remembered(home: Path) -> None:
    """A broker that runs already listens there on return; so does the next one, whoever starts it."""
    start()
    wanted = home / "other" / "agent"
    lifecycle.start_at([wanted])
    assert state_of(wanted) == "ours"
    lifecycle.start_at([wanted])
    kill_broker()
    assert state_of(wanted) == "none"
    start()
    assert state_of(wanted) == "ours"


def test_an_agent_directory_that_appears_later_is_served(home: Path) -> None:
    """pi was installed while our broker ran."""
    start()
    with Line() as line:
        line.register("a", "ann")
        agent = home / ".pi" / "agent"
        agent.mkdir(parents=True)
        wait_until(lambda: start() and state_of(agent) == "ours", what="pi's place")


@pytest.mark.parametrize("text", ["  {home}/x ", "x", "./y/../x"])
def test_pis_setting_is_read_as_pi_reads_it(home: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Trimmed, and relative to the working directory; blank is unset."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("PI_CODING_AGENT_DIR", text.format(home=home))
    assert places.pi_agent_dir() == home / "x"
    monkeypatch.setenv("PI_CODING_AGENT_DIR", "  ")
    assert places.pi_agent_dir() == home / ".pi" / "agent"


def test_a_stock_broker_is_left_alone_until_it_goes(
    agent: Path, stock: Callable[[], subprocess.Popen[str]], spawner: Callable[[Path, list[str]], Spawner]
) -> None:
    """Ours serves its other places meanwhile; the sessions of the stock one end up on ours, told by its pid file."""
    child = stock()
    start()
    (place,) = places.survey(broker_pid())
    assert (place["state"], place["pid"]) == ("foreign", child.pid)
    no_spawn = spawner(agent, ["/bin/false"])
    with StockClient("pi", no_spawn) as client, Line() as line:
        line.register("a", "ann")
        wait_until(lambda: client.is_connected, what="pi's session")
        assert line.post(type="list", requestId="1").until("sessions")["sessions"][0]["id"] == "a"
        child.terminate()
        wait_until(lambda: client.connections == 2, what="pi's session on ours")
        line.send("pi", "hello", "m1")
        wait_until(lambda: client.texts == ["hello"], what="the message")
        assert client.problems == []
    assert places.recorded_pid(places.socket_of(agent)) == broker_pid()


def test_a_killed_stock_broker_is_replaced_by_ours(agent: Path, stock: Callable[[], subprocess.Popen[str]]) -> None:
    """Its socket and its pid file, which names nobody alive, are in nobody's way."""
    child = stock()
    start()
    child.kill()
    child.wait(10)
    wait_until(lambda: state_of(agent) == "ours", what="pi's place")


def test_a_pid_file_of_a_live_process_is_respected_and_a_reused_pid_is_not(agent: Path) -> None:
    """A broker that starts may not listen yet; a process younger than the file did not write it."""
    path = places.socket_of(agent)
    paths.private_dir(path.parent)
    path.with_name("broker.pid").write_text(str(os.getpid()))
    start()
    with pytest.raises(AssertionError):
        wait_until(lambda: state_of(agent) == "ours", timeout_s=0.6)
    os.utime(path.with_name("broker.pid"), (1_000_000, 1_000_000))
    wait_until(lambda: state_of(agent) == "ours", what="pi's place")


def test_a_socket_that_was_removed_is_made_again(agent: Path) -> None:
    """Stock brokers remove it without looking whose it is."""
    start()
    places.socket_of(agent).unlink()
    wait_until(lambda: state_of(agent) == "ours", what="pi's place")
    lifecycle.stop()
    assert not places.socket_of(agent).exists()


def test_what_another_broker_put_in_our_place_is_not_removed(agent: Path) -> None:
    """At our end the socket is theirs, and so is the pid file."""
    start()
    path = places.socket_of(agent)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.with_name("broker.pid").write_text(str(os.getpid()))
        wait_until(lambda: "left alone" in (paths.state_dir() / "broker.log").read_text(), what="its notice")
        lifecycle.stop()
        assert path.exists()
        assert path.with_name("broker.pid").read_text() == str(os.getpid())


def test_an_unusable_place_does_not_keep_the_broker_from_the_others(home: Path, agent: Path) -> None:
    """The log gives the reason; asking for it is refused with the same."""
    (home / "elsewhere").mkdir()
    (agent / "intercom").symlink_to(home / "elsewhere")
    start()
    assert state_of(agent) == "none"
    assert "symbolic link" in (paths.state_dir() / "broker.log").read_text()
    with pytest.raises(IntercomError, match="symbolic link"):
        lifecycle.start_at([agent])
    with pytest.raises(IntercomError, match="longer than"):
        lifecycle.start_at([home / ("x" * 120)])


def test_pi_starts_ours_with_one_setting(agent: Path, spawner: Callable[[Path, list[str]], Spawner]) -> None:
    """As brokerCommand it is healthy before pi gives up; killed, it is started again and both sessions meet again."""
    pi = spawner(agent, OURS)
    with StockClient("one", pi) as one, StockClient("two", pi) as two:
        wait_until(lambda: one.is_connected and two.is_connected, what="both sessions")
        kill_broker()
        wait_until(lambda: one.connections == two.connections == 2, what="both sessions again")
        one.send("two", "still there?")
        wait_until(lambda: two.texts == ["still there?"], what="the message")
        assert one.problems == two.problems == []
    assert state_of(agent) == "ours"


def test_pis_start_reaches_a_broker_that_runs_without_its_place(
    home: Path, spawner: Callable[[Path, list[str]], Spawner]
) -> None:
    """The one that pi starts asks the running one to listen there, waits until it does, and leaves with 0."""
    start()
    winner = broker_pid()
    pi = spawner(home / "custom" / "agent", OURS)
    began = time.monotonic()
    with StockClient("pi", pi) as client:
        wait_until(lambda: client.is_connected, what="pi's session")
        assert pi.children[0].wait(10) == 0
        assert time.monotonic() - began > 1
        assert client.problems == []
    assert broker_pid() == winner


def test_twenty_starters_of_all_kinds_end_on_one_broker(
    agent: Path, spawner: Callable[[Path, list[str]], Spawner]
) -> None:
    """Half of them are pi sessions that have ours as brokerCommand, two with a place of their own."""
    other = agent.parent / "other"
    start_line = "from intercom_mux.broker import lifecycle; lifecycle.ensure_running()"
    with contextlib.ExitStack() as stack:
        clients = [StockClient(f"pi-{n}", spawner(other if n < 2 else agent, OURS)) for n in range(10)]
        starters = [subprocess.Popen([sys.executable, "-c", start_line]) for _ in range(10)]
        for client in clients:
            stack.enter_context(client)
        assert [starter.wait(60) for starter in starters] == [0] * 10
        wait_until(lambda: all(client.is_connected for client in clients), timeout_s=30, what="all sessions")
        assert [client.problems for client in clients] == [[]] * 10
        with Line() as line:
            line.register("a", "ann")
            roster = line.post(type="list", requestId="1").until("sessions")["sessions"]
        assert len(roster) == 11


def test_a_stock_client_that_races_our_restart_ends_up_on_ours(
    agent: Path, spawner: Callable[[Path, list[str]], Spawner]
) -> None:
    """It holds the spawn lock and has its own broker on the way; that one finds our pid file and gives up."""
    start()
    runtime = str(agent / "intercom")
    pi = spawner(agent, [sys.executable, STOCK_BROKER, runtime, "0.7"])
    kill_broker()
    with StockClient("pi", pi) as client:
        wait_until(lambda: pi.children, what="the stock broker's start")
        assert places.socket_of(agent).with_name("broker.spawn.lock").exists()
        start()
        wait_until(lambda: client.is_connected, what="pi's session")
        assert pi.children[0].wait(10) != 0
        assert client.problems == []
        assert state_of(agent) == "ours"


def test_a_spawn_lock_of_the_dead_is_cleared(agent: Path) -> None:
    """By the stock client's rule: its pid is gone, or it is older than ten seconds; a live one is left to its owner."""
    lock = places.socket_of(agent).with_name("broker.spawn.lock")
    paths.private_dir(lock.parent)
    now = time.time_ns() // 1_000_000
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait(10)
    for pid, taken_at, is_kept in (
        (gone.pid, now, False),
        (os.getpid(), now - 11_000, False),
        (os.getpid(), now, True),
    ):
        lock.write_text(f"{pid}\n{taken_at}\n")
        start()
        assert (state_of(agent), lock.exists()) == ("ours", is_kept)
        lifecycle.stop()


@pytest.mark.parametrize("is_running", [True, False])
def test_replace_retires_the_stock_broker_within_its_clients_first_second(
    agent: Path,
    stock: Callable[[], subprocess.Popen[str]],
    spawner: Callable[[Path, list[str]], Spawner],
    is_running: bool,
) -> None:
    """Whether ours runs yet or not: its client misses nothing but one reconnect, and never starts a broker."""
    child = stock()
    if is_running:
        start()
    pi = spawner(agent, ["/bin/false"])
    with StockClient("pi", pi) as client:
        wait_until(lambda: client.is_connected, what="pi's session")
        assert lifecycle.replace(agent) == child.pid
        assert child.wait(10) == 0
        assert state_of(agent) == "ours"
        wait_until(lambda: client.gaps_s, what="the reconnect")
        assert client.gaps_s[0] < 2 * SCALE
        assert (client.problems, pi.children) == ([], [])
    assert lifecycle.replace(agent) is None


def test_replace_ends_nobody_that_it_cannot_prove_to_be_a_broker(agent: Path) -> None:
    """The listener must speak v1 and be the process that broker.pid names."""
    path = places.socket_of(agent)
    paths.private_dir(path.parent)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(BrokerError, match="cannot tell which broker"):
            lifecycle.replace(agent)


def test_a_stock_broker_that_does_not_end_is_named(
    agent: Path, stock: Callable[[], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pid and what to do are in the error; it is not killed by us."""
    monkeypatch.setattr(lifecycle, "STOP_TIMEOUT_S", 0.3)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        child = stock()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    with pytest.raises(BrokerError, match="does not stop") as caught:
        lifecycle.replace(agent)
    assert caught.value.hint == f"kill -9 {child.pid}"
    assert not is_gone(child.pid)
    child.kill()


def test_an_unused_broker_leaves_its_places(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pi session that comes later starts the next one."""
    monkeypatch.setenv("INTERCOM_MUX_IDLE_S", "0.2")
    start()
    wait_until(lambda: not paths.broker_file().exists(), what="its end")
    assert list((agent / "intercom").iterdir()) == []


def test_a_broker_started_on_demand_heeds_pis_setting(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a relative one, although it runs elsewhere."""
    (home / "x").mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("PI_CODING_AGENT_DIR", "x")
    start()
    assert state_of(home / "x") == "ours"


def test_what_was_asked_for_is_kept_as_lines(home: Path) -> None:
    """Any directory name fits, and one that is gone is not made again."""
    odd = home / "two\nlines"
    places.remember([odd, odd])
    places.remember([odd])
    assert [json.loads(line) for line in (paths.state_dir() / "places").read_text().splitlines()] == [str(odd)]
    assert places.known() == [odd]
    (odd / "intercom").rmdir()
    odd.rmdir()
    assert places.known() == []
