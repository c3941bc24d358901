"""Teams for tests: real daemons, tmux servers and programs, driven by the functions that the verbs call."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.client.blocking import Client
from intercom_mux.client.identity import Identity
from intercom_mux.client.watch import Watcher
from intercom_mux.layout.find import find_layout
from intercom_mux.layout.load import load_layout
from intercom_mux.team import state as team_states
from intercom_mux.team.down import down
from intercom_mux.team.multiplexer import multiplexer_of
from intercom_mux.team.planner import make_plan
from intercom_mux.team.spare_daemon import SpareDaemon
from intercom_mux.team.up import up
from tests.support import SCALE, wait_until

if TYPE_CHECKING:
    from intercom_mux.layout.model import Layout
    from intercom_mux.mux.base import Multiplexer
    from intercom_mux.team.down import Ended
    from intercom_mux.team.plan import TeamPlan
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]

PROGRAMS = Path(__file__).parent / "programs"

CAT: Json = {"command": ["cat"]}
DEMO: Json = {"agent": "demo", "env": {"INTERCOM_MUX_DEMO_PACE": "0"}}
TUI: Json = {"agent": "tui"}
"""An agent that never answers by itself, and writes down what it got; needs `Stage.install_tui`."""
HOOKED: Json = {"agent": "hooked"}
"""The same with hooks as claude has them; needs `Stage.install_hooked`."""
SHELL: Json = {"agent": "shell", "env": {"SHELL": "/bin/sh", "PS1": "$ "}}


class Stage:
    """One team called `name` in a project directory of its own below `home`."""

    def __init__(self, home: Path, name: str = "team") -> None:
        self.name = name
        self.project = home / f"project-{name}"
        self.project.mkdir()
        self.layout = self.project / "layout.yaml"

    def write(self, peers: Json, **more: Any) -> None:
        """Write the layout; JSON is YAML."""
        self.layout.write_text(json.dumps({"version": 1, "name": self.name, "peers": peers, **more}, indent=1))

    def install_tui(self, *options: str, more: str = "") -> None:
        """Make the stand-in agent of programs/ known, running in its peer's directory, with faults as asked for."""
        agents = paths.config_dir() / "agents"
        agents.mkdir(parents=True)
        profile = (PROGRAMS / "tui.yaml").read_text() + more
        argv = "argv: " + json.dumps(["{python}", str(PROGRAMS / "tui.py"), "{cwd}", "--busy-s", "0.1", *options])
        (agents / "tui.yaml").write_text(profile.replace('argv: ["{python}", tui.py]', argv))

    def install_hooked(self, *options: str) -> None:
        """The same for the stand-in agent with hooks."""
        agents = paths.config_dir() / "agents"
        agents.mkdir(parents=True, exist_ok=True)
        profile = (PROGRAMS / "hooked.yaml").read_text()
        words = ["{python}", str(PROGRAMS / "hooked.py"), "{cwd}", *options]
        (agents / "hooked.yaml").write_text(profile.replace('["{python}", hooked.py,', json.dumps(words)[:-1] + ","))

    def model(self) -> list[Json]:
        """What the model of the stand-in agent with hooks got, in order."""
        file = self.project / "model.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def submitted(self) -> list[str]:
        """What the stand-in agent in the project directory has taken, header lines included."""
        file = self.project / "submitted.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def inputs(self) -> list[str]:
        """What the stand-in agent got, in order: `paste`, `enter` or `key`."""
        file = self.project / "events.jsonl"
        return [json.loads(line)["event"] for line in file.read_text().splitlines()] if file.exists() else []

    def load(self) -> Layout:
        return load_layout(find_layout(str(self.layout), self.project), environ=os.environ)

    def plan(self) -> TeamPlan:
        return make_plan(self.load())

    def up(self, peers: Json | None = None, *, wait_ready: bool = True, **more: Any) -> list[Json]:
        """Bring the team up, from `peers` if given, and return the events."""
        if peers is not None:
            self.write(peers, **more)
        events: list[Json] = []
        with SpareDaemon() as spare:
            up(self.plan(), spare, events.append, action=f"up {self.name}", wait_ready=wait_ready)
        return events

    def down(self, grace_s: float = 2) -> Ended:
        return down(self.state, grace_s=grace_s)

    @property
    def id(self) -> str:
        return team_states.team_id(self.name, self.project)

    @property
    def state(self) -> TeamState:
        state = team_states.load(self.id)
        assert state is not None
        return state

    @property
    def is_known(self) -> bool:
        return team_states.load(self.id) is not None

    @property
    def mux(self) -> Multiplexer:
        return multiplexer_of(self.state)

    @property
    def runtime(self) -> Path:
        return paths.team_runtime_dir(self.id)

    def pid(self, peer: str) -> int:
        """The pid of the program in a peer's pane."""
        pid = self.state.peers[peer].pid
        assert pid is not None
        return pid

    def daemon_pid(self) -> int:
        daemon = self.state.daemon
        assert daemon is not None
        return daemon.pid

    def surface(self, peer: str) -> str:
        surface = self.state.peers[peer].surface
        assert surface is not None
        return surface

    def screen(self, peer: str) -> str:
        return self.mux.capture(self.surface(peer), 500)

    def tmux(self, *arguments: str) -> str:
        """Do what a person at the keyboard does, or look behind the scene."""
        argv = ["tmux", "-S", str(self.state.socket), *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def type(self, peer: str, line: str) -> None:
        """Type a line into a peer's pane."""
        self.tmux("send-keys", "-t", self.surface(peer), "-l", line)
        self.tmux("send-keys", "-t", self.surface(peer), "Enter")

    def wait_for(self, peer: str, text: str) -> str:
        """Wait until `text` is on a peer's screen, wrapped or not, and return the screen."""
        return wait_until(lambda: _if_in(text, self.screen(peer)), what=f"{text!r} on the screen of {peer}")

    def shell(self, name: str = "tester") -> Client:
        """Return a client that acts as a terminal outside the team, looking at it."""
        return Client.connect(self._terminal(name))

    def _terminal(self, name: str) -> Identity:
        return Identity(f"shell-{name}", name, paths.broker_socket(), scope="", team=self.id)

    def leave(self, peer: str, text: str, sender: str = "tester") -> str:
        """Send what cannot be delivered now; return its id once the daemon has it and holds it.

        The broker's word that it was sent says nothing of the daemon, which may not have read it yet.
        """

        def stop_when_held(receipt: Json) -> None:
            if receipt["status"] == "queued":
                raise _Held(receipt["messageId"])

        with Watcher.connect(self._terminal(sender)) as client:
            try:
                client.follow(peer, text, timeout_s=10 * SCALE, on_receipt=stop_when_held)
            except _Held as held:
                return str(held)
        raise AssertionError(f"{text!r} was delivered at once")

    def member(self, peer: str) -> Client:
        """Return a client that acts as a peer, as a command in its pane does."""
        value = json.loads((self.runtime / f"{peer}.identity").read_text())
        return Client.connect(
            Identity(
                value["session"], value["name"], Path(value["socket"]), value["scope"], value["team"], value["token"]
            )
        )

    def wait_held(self, reason: str, *, asks: int = 1, peer: str = "agent") -> None:
        """Wait until the daemon holds as many asks to a peer, for a reason in whose text is `reason`."""

        def is_held() -> bool:
            notes = [row["note"] for row in self.member_pending(peer)]
            return len(notes) == asks and all(reason in note for note in notes)

        wait_until(is_held, what=f"{asks} asks held: {reason}")

    def member_pending(self, peer: str = "agent") -> list[Json]:
        """The open asks to a peer."""
        with self.member(peer) as member:
            rows: list[Json] = member.request("pending")["to_me"]
            return rows

    def statuses(self) -> dict[str, str]:
        """Name → live status of the team's connected peers."""
        with self.shell("looker") as client:
            return {row["name"]: row["status"] for row in client.sessions() if row["team_id"] == self.id}


class _Held(Exception):
    """The daemon holds a message, whose id this is."""


def _if_in(text: str, screen: str) -> str:
    joined = "".join(screen.split("\n"))
    return screen if text in screen or text in joined else ""


def broker_pid() -> int:
    return int(json.loads(paths.broker_file().read_text())["pid"])


def end_all_teams() -> None:
    """Take every team of this test down."""
    for state in team_states.all_teams():
        down(state, grace_s=0.5)
