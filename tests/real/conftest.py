"""Teams with one real agent and one shell, brought up by the public verbs, against a scripted model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.team import state as team_states
from tests.cli.stage import Ran, command
from tests.real.agents import AGENTS, Agent
from tests.real.model_server import ModelServer
from tests.support import SCALE, marked_processes, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALLED = "IMUX_AGENTS_DIR"
"""Variable with the directory that install.sh was given; without it the agents are looked for on PATH."""

Json = dict[str, Any]


class RealTeam:
    """A team called `real`: the peer `agent`, and `friend`, a shell, as which the test's verbs speak."""

    def __init__(self, agent: Agent, model: ModelServer, home: Path) -> None:
        self.agent = agent
        self.model = model
        self.home = home
        self.project = home / "project"
        self.project.mkdir()
        self.id = team_states.team_id("real", self.project)

    def up(self, *options: str, **peer: Any) -> None:
        """Bring it up until the agent is ready; `peer` are further settings of the agent's peer."""
        scratch = self.home / "tmp"
        scratch.mkdir(exist_ok=True)
        env = {"TMPDIR": str(scratch), **self.agent.configure(self.home, self.project, self.model.url)}
        env |= peer.pop("env", {})
        peers = {
            "agent": {"agent": self.agent.name, "env": env, **self.agent.settings, **peer},
            "friend": {"agent": "shell", "env": {"SHELL": "/bin/sh"}},
        }
        layout = self.project / "real.yaml"
        layout.write_text(json.dumps({"version": 1, "name": "real", "arrange": "windows", "peers": peers}))
        up = self.run("up", *options, str(layout))
        assert (up.code, up.err) == (0, ""), f"{up}\n{self.screen() if team_states.load(self.id) else ''}"

    def run(self, *arguments: str) -> Ran:
        """Run one verb in the project, from outside the team."""
        return self._run(arguments, {})

    def as_friend(self, *arguments: str) -> Ran:
        """Run one verb as the peer `friend`."""
        return self.run_as("friend", *arguments)

    def run_as(self, peer: str, *arguments: str) -> Ran:
        """Run one verb as a peer."""
        identity = paths.team_runtime_dir(self.id) / f"{peer}.identity"
        return self._run(arguments, {paths.IDENTITY_VARIABLE: str(identity)})

    def status(self) -> str:
        """The agent's status as `list` shows it."""
        rows: list[Json] = self.run("list", "--json").json
        return next((str(row["status"]) for row in rows if row["name"] == "agent"), "absent")

    def wait_status(self, start: str, timeout_s: float = 60) -> None:
        """Wait until the status begins with `start`."""
        try:
            wait_until(lambda: self.status().startswith(start), timeout_s=timeout_s, what=f"status {start}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.status()}; screen:\n{self.screen()}") from None

    def wait_dialog(self) -> None:
        """Wait until the agent asks for a permission and has shown it for a while.

        Some tell before they paint, and codex takes no key in the first moments.
        """
        self.wait_status("blocked:permission")
        seen = [self.screen()]

        def is_painted() -> bool:
            time.sleep(0.5)
            seen.append(self.screen())
            return len({_body(screen) for screen in seen[-4:]}) == 1 and len(seen) >= 4

        wait_until(is_painted, what="the dialog, painted")

    def screen(self) -> str:
        """What the agent's pane shows, its title first."""
        title = self._tmux("display-message", "-p", "-t", self._pane, "title: #{pane_title}")
        return title + self._tmux("capture-pane", "-p", "-t", self._pane)

    def press(self, *keys: str) -> None:
        """Press keys in the agent's pane, as a person does."""
        self._tmux("send-keys", "-t", self._pane, *keys)

    def reached(self, words: str, timeout_s: float = 60) -> None:
        """Wait until `words` have reached the model, and see that they did once."""
        try:
            wait_until(lambda: self.model.prompts_containing(words), timeout_s=timeout_s, what=f"{words} at the model")
        except AssertionError as error:
            raise AssertionError(f"{error}; screen:\n{self.screen()}") from None
        self.wait_status("idle")
        prompts = self.model.prompts_containing(words)
        assert len(prompts) == 1, prompts

    def down(self) -> None:
        """End it, and see that nothing but the broker, which belongs to no team, lives on."""
        done = self.run("down")
        assert done.code == 0, done
        broker = json.loads(paths.broker_file().read_text())["pid"]
        assert marked_processes(str(self.home)).keys() <= {broker}

    @property
    def _pane(self) -> str:
        state = team_states.load(self.id)
        assert state is not None
        surface = state.peers["agent"].surface
        assert surface is not None
        return surface

    def _tmux(self, *arguments: str) -> str:
        state = team_states.load(self.id)
        assert state is not None
        argv = ["tmux", "-S", str(state.socket), *arguments]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout

    def _run(self, arguments: tuple[str, ...], env: dict[str, str]) -> Ran:
        done = subprocess.run(
            command(*arguments),
            cwd=self.project,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150 * SCALE,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def homes(request: pytest.FixtureRequest) -> str:
    """/tmp, or a directory of the checkout for an agent that takes no settings from below one that is open to all."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    chosen = parameters.get("agent")
    if not isinstance(chosen, Agent) or not chosen.distrusts_tmp:
        return "/tmp"
    directory = Path(__file__).parents[2] / ".cache"
    directory.mkdir(exist_ok=True)
    return str(directory.resolve())


@pytest.fixture(params=AGENTS, ids=lambda agent: agent.id)
def agent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """Each agent whose program is installed; its directory and ours are first on PATH."""
    chosen: Agent = request.param
    directory = os.environ.get(INSTALLED)
    ours = str(Path(sys.executable).parent)
    places = [*([str(Path(directory) / "bin")] if directory else []), ours, os.environ["PATH"]]
    path = os.pathsep.join(places)
    if shutil.which(chosen.name, path=path) is None:
        pytest.skip(f"{chosen.name} is not installed; tests/real/install.sh DIRECTORY, then {INSTALLED}=DIRECTORY")
    monkeypatch.setenv("PATH", path)
    return chosen


@pytest.fixture
def model(agent: Agent) -> Iterator[ModelServer]:
    """A scripted model for the agent."""
    with ModelServer(turns_offer_tools=agent.offers_tools) as server:
        yield server


@pytest.fixture
def team(agent: Agent, model: ModelServer, home: Path) -> Iterator[RealTeam]:
    """A team that is not up yet, and is down after the test."""
    real = RealTeam(agent, model, home)
    yield real
    if team_states.load(real.id) is not None:
        real.down()


def _body(screen: str) -> str:
    """The screen without its title and whatever a clock changes."""
    return "".join(letter for letter in screen.partition("\n")[2] if letter.isalpha())
