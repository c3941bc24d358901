"""The team daemon: killed, cut off, talked to by strangers; and what it keeps to itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.errors import BrokerError, DeliveryError, IntercomError, LayoutError, MultiplexerError, TeamError
from intercom_mux.team import control, processes
from intercom_mux.wire.frames import encode
from tests.support import marked_processes, wait_until
from tests.team.stage import CAT, DEMO, SHELL, TUI, Stage, broker_pid

if TYPE_CHECKING:
    from intercom_mux.client.blocking import Reply

Json = dict[str, Any]


def kill_daemon(stage: Stage) -> None:
    daemon = stage.state.daemon
    assert daemon is not None
    os.kill(daemon.pid, signal.SIGKILL)
    wait_until(lambda: not processes.is_alive(daemon), what="death of the daemon")


# -- death of the daemon -------------------------------------------------------------------------------------------


def test_a_daemon_killed_while_it_delivers_types_nothing_twice(stage: Stage) -> None:
    """Messages of before and after its death reach the agent in order, save at most one whose fate is unknown."""
    stage.install_tui()
    stage.up({"agent": TUI})
    pane = stage.pid("agent")
    with stage.shell() as shell:
        for number in range(3):
            shell.send("agent", f"note number {number}")
        wait_until(lambda: stage.submitted(), what="the first delivery")
        kill_daemon(stage)
        wait_until(lambda: not stage.statuses(), what="the broker's notice of it")
        late = [shell.send("agent", f"note number {number}") for number in (3, 4)]
        assert [answer["delivery"] for answer in late] == ["queued", "queued"]
        stage.up()
        wait_until(lambda: "note number 4" in "".join(stage.submitted()), what="the last message", timeout_s=20)
    assert stage.pid("agent") == pane
    told = [int(text[-1]) for text in stage.submitted()]
    assert told == sorted(set(told))
    assert len(told) >= 4


def test_a_message_of_unknown_fate_is_never_typed_again(stage: Stage) -> None:
    """A message journaled as `typing` that is not on the screen is given up, and its sender hears so."""
    stage.install_tui()
    stage.up({"agent": TUI})
    kill_daemon(stage)
    ask_id = "ab" * 16
    key = [stage.state.peers["agent"].session_id, ask_id]
    (paths.team_state_dir(stage.id) / "typing.log").write_text(f"typing {json.dumps(key)}\n")
    receipts: list[Json] = []
    with stage.shell() as shell:

        def ask() -> None:
            with pytest.raises(DeliveryError):
                shell.ask("agent", "who?", on_receipt=receipts.append, message_id=ask_id)

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: pending(stage), what="the ask at the broker")
        stage.up()
        wait_until(lambda: [one for one in receipts if one["status"] == "acknowledged"], what="receipt")
        with stage.shell("after") as other:
            other.send("agent", "you there")
        wait_until(stage.submitted, what="the next message")
        stage.down()
        thread.join()
    assert receipts[-1]["detail"] == "outcome unknown: its id is not on the screen"
    assert ["you there" in text for text in stage.submitted()] == [True]


def pending(stage: Stage) -> list[Json]:
    """The open asks of the shell called tester."""
    with stage.shell() as looker:
        rows: list[Json] = looker.request("pending")["from_me"]
        return rows


def test_a_dead_daemon_is_replaced_and_the_team_goes_on(stage: Stage) -> None:
    """Panes outlive their daemon, `up` starts a new one and nothing else, and it knows how every peer is."""
    stage.up({"a": CAT, "b": SHELL, "gone": CAT})
    old, pids = stage.daemon_pid(), {name: stage.pid(name) for name in ("a", "b")}
    kill_daemon(stage)
    os.kill(stage.pid("gone"), signal.SIGKILL)
    wait_until(lambda: (stage.mux.states() or {})[str(stage.state.peers["gone"].surface)].is_dead, what="death")
    (plan,) = (event for event in stage.up() if event["event"] == "plan")
    assert (plan["missing"], plan["running"]) == (["gone"], ["a", "b"])
    assert {name: stage.pid(name) for name in ("a", "b")} == pids
    assert stage.daemon_pid() != old
    wait_until(lambda: stage.statuses() == {"a": "unknown", "b": "idle", "gone": "unknown"}, what="statuses")


def test_a_terminated_daemon_leaves_the_team_running(stage: Stage) -> None:
    """TERM ends the daemon in good order: its socket is gone, panes and mail stay."""
    stage.up({"a": CAT})
    daemon = stage.state.daemon
    assert daemon is not None
    os.kill(daemon.pid, signal.SIGTERM)
    wait_until(lambda: not processes.is_alive(daemon), what="end of the daemon")
    assert not control.control_socket(stage.id).exists()
    assert (stage.mux.states() or {}).keys() == {"%0"}
    with stage.shell() as shell:
        shell.send("a", "still here?")
    stage.up()
    with stage.member("a") as member:
        assert [row["text"] for row in member.inbox()] == ["still here?"]


# -- death of the broker -------------------------------------------------------------------------------------------


def test_a_killed_broker_is_back_at_once(stage: Stage) -> None:
    """Without any client the daemon starts a new broker and its peers are registered again."""
    stage.up({"a": CAT, "b": SHELL})
    old = broker_pid()
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: lifecycle.probe(paths.broker_socket()) and broker_pid() != old, what="new broker")
    wait_until(lambda: stage.statuses() == {"a": "unknown", "b": "idle"}, what="statuses")


def test_an_ask_survives_the_death_of_the_broker(stage: Stage) -> None:
    """The broker dies while the ask waits at its receiver: the reply reaches the asker all the same."""
    stage.up({"sh": SHELL})
    replies: list[Reply] = []
    with stage.shell() as shell:
        thread = threading.Thread(target=lambda: replies.append(shell.ask("sh", "what time is it?", timeout_s=20)))
        thread.start()
        wait_until(lambda: pending(stage), what="the ask at the broker")
        old = broker_pid()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: lifecycle.probe(paths.broker_socket()) and broker_pid() != old, what="new broker")
        wait_until(lambda: stage.statuses(), what="peers")
        with stage.member("sh") as member:
            member.reply("noon")
        thread.join(20)
    assert [reply.text for reply in replies] == ["noon"]


# -- strangers -----------------------------------------------------------------------------------------------------


def talk(stage: Stage, data: bytes) -> bytes:
    """Send bytes to the control socket and return all that comes back."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(control.control_socket(stage.id)))
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := sock.recv(65_536):
                answer += chunk
        except ConnectionError:
            return b""
        return answer


def test_strange_frames_hurt_nobody(stage: Stage) -> None:
    """Noise, half a frame, a huge one, unknown requests and another team's plan are refused; the daemon goes on."""
    stage.up({"a": CAT})
    daemon = stage.daemon_pid()
    other = Stage(stage.project.parent, "other")
    other.write({"x": CAT})
    plan = other.plan().to_json()
    assert talk(stage, b"") == b""
    assert talk(stage, b"\x00\x00\x00\x10{") == b""
    assert b"larger than" in talk(stage, struct.pack(">I", 2**32 - 1) + b"x")
    assert b"not JSON" in talk(stage, struct.pack(">I", 3) + b"\xff\xfe\x00")
    assert b"`type`" in talk(stage, struct.pack(">I", 4) + b"null")
    assert b"unknown request" in talk(stage, encode({"type": "dance"}))
    assert b"E_INTERNAL" in talk(stage, encode({"type": "apply"}))
    assert b"E_INTERNAL" in talk(stage, encode({"type": "apply", "wait": True, "plan": {"id": stage.id, "peers": 3}}))
    assert b"not of other-" in talk(stage, encode({"type": "apply", "wait": True, "plan": plan}))
    assert list(control.request(stage.id, {"type": "ping"}, timeout_s=5)) == []
    assert (stage.daemon_pid(), stage.statuses()) == (daemon, {"a": "unknown"})
    assert not other.is_known


def test_a_request_without_a_daemon_says_so(stage: Stage) -> None:
    """Nobody listens, and a listener that hangs up in the middle, are told apart."""
    with pytest.raises(ConnectionError):
        list(control.request(stage.id, {"type": "ping"}, timeout_s=1))
    path = control.control_socket(stage.id)
    paths.private_dir(path.parent)

    def hang_up_after_one_frame(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.recv(100)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=hang_up_after_one_frame, args=(listener,))
        thread.start()
        try:
            with pytest.raises(TeamError, match="ended before it was done"):
                list(control.request(stage.id, {"type": "ping"}, timeout_s=5))
            thread.join()
            with pytest.raises(TeamError, match="did not answer"):
                list(control.request(stage.id, {"type": "ping"}, timeout_s=0.1))
        finally:
            path.unlink()


@pytest.mark.parametrize("kind", [TeamError, MultiplexerError, BrokerError, LayoutError])
def test_a_failure_keeps_its_class(kind: type[IntercomError]) -> None:
    """What fails in the daemon ends the command with the exit code it has everywhere."""
    error = control.failure(control.failed(kind("it broke", code="E_X", hint="mend it", peer="a")))
    assert type(error) is kind
    assert (error.message, error.code, error.hint, error.fields) == ("it broke", "E_X", "mend it", {"peer": "a"})


# -- secrets -------------------------------------------------------------------------------------------------------


def test_tokens_are_for_their_peers_only(stage: Stage, home: Path) -> None:
    """No token stands in a command line, an environment, a log or tmux; files that hold one are 0600 in 0700."""
    stage.up({"a": CAT, "sh": SHELL, "scout": {**DEMO, "env": {**DEMO["env"], "SECRET_KEY": "hunter2hunter2"}}})
    with stage.shell() as shell:
        shell.send("a", "hello")
        shell.ask("scout", "hello?", timeout_s=20)
    tokens = [peer.token for peer in stage.state.peers.values()]
    assert len(set(tokens)) == 3
    assert min(map(len, tokens)) >= 32
    for pid in marked_processes(str(home)):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert not [token for token in tokens if token.encode() in command + environment]
        assert b"hunter2" not in command
    logs = [path for path in paths.state_dir().rglob("*") if path.suffix == ".log" and path.name != "typing.log"]
    assert {"daemon.log", "broker.log"} <= {path.name for path in logs}
    assert {"a", "scout"} <= {path.parent.name for path in logs}
    shown = stage.tmux("list-panes", "-a", "-F", "#{pane_start_command}") + stage.tmux("show-environment", "-g")
    for text in (shown, *(path.read_text(errors="replace") for path in logs)):
        assert not [token for token in tokens if token in text]
    private = [*stage.runtime.iterdir(), paths.team_state_dir(stage.id) / "state.json"]
    assert {path.name for path in private} >= {"a.identity", "control.sock", "tmux.sock", "state.json"}
    assert {oct(stat.S_IMODE(path.stat().st_mode) & 0o077) for path in [*private, *logs]} == {"0o0"}
    for directory in (stage.runtime, paths.runtime_dir(), paths.state_dir(), paths.team_state_dir(stage.id)):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_an_identity_says_what_its_pane_needs(stage: Stage) -> None:
    """Session, name, team, token and broker stand in the file that the pane's one variable names."""
    stage.up({"a": CAT}, scope="isolated")
    environment = Path(f"/proc/{stage.pid('a')}/environ").read_bytes().split(b"\0")
    (marker,) = (entry for entry in environment if entry.startswith(paths.IDENTITY_VARIABLE.encode()))
    value = json.loads(Path(os.fsdecode(marker.partition(b"=")[2])).read_text())
    peer = stage.state.peers["a"]
    assert (value["session"], value["name"], value["team"]) == (peer.session_id, "a", stage.id)
    assert (value["token"], value["scope"]) == (peer.token, stage.id)
    assert value["socket"] == str(paths.broker_socket())
