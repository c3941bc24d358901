"""A stand-in on the stage: found by the bundled profile as its program, led by files, and read by what it wrote."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux import paths
from intercom_mux.agents import detect
from intercom_mux.agents.find import load_profiles
from intercom_mux.team.terminal import with_terminal
from tests.support import wait_until
from tests.team.profiles.skins import SKINS

if TYPE_CHECKING:
    import pytest

    from intercom_mux.client.blocking import Client
    from tests.team.stage import Stage

Json = dict[str, Any]
PEER = "agent"
LONG_S = 20.0
_BLOCK = re.compile(r"(?:^|\n\n)(?=\[intercom\] from )")
_HEADER = re.compile(r"\[intercom\] from (\S+) · (?:ask|message) (\w{8})(?: · .*)?")


class Got(NamedTuple):
    """A message as the model got it; `body` is "" for a header line that says where to read."""

    sender: str
    id: str
    body: str


class Actor:
    """The stand-in for one bundled profile."""

    def __init__(self, stage: Stage, agent: str, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool) -> None:
        self.stage = stage
        self.agent = agent
        self.is_trusted = is_trusted
        self.skin = SKINS[agent]
        self.profile = load_profiles([])[agent]
        self.directory = stage.project
        self._programs = stage.project.parent / "bin"
        self._programs.mkdir()
        monkeypatch.setenv("PATH", str(self._programs), prepend=":")
        monkeypatch.setenv("SHELL", "zsh")

    def up(self) -> None:
        """Start it through the path of the verb; it is not ready yet."""
        self.stage.up({PEER: self._entry()}, wait_ready=False)

    def _entry(self) -> Json:
        """Return the layout's entry: the bundled profile as it is, or all of it but the command line."""
        if self.agent == "command":
            return {"command": [self._install("anything")]}
        if self.agent == "demo":
            agents = paths.config_dir() / "agents"
            agents.mkdir(parents=True)
            (agents / "demo-look.yaml").write_text(f"extends: demo\nargv: [{self._install('demo-look')}]\n")
            return {"agent": "demo-look"}
        self._install("zsh" if self.agent == "shell" else self.profile.binaries[0])
        return {"agent": self.agent, **({"trust": True} if self.is_trusted else {})}

    def _install(self, name: str) -> str:
        script = self._programs / name
        engine = Path(__file__).parent / "standin.py"
        # A shell is told by the name of the foreground program.
        script.write_text(f'#!/bin/bash\nexec -a {name} {sys.executable} {engine} {self.agent} {self.directory} "$@"\n')
        script.chmod(0o755)
        return str(script)

    # -- leading it ------------------------------------------------------------------------------------------------

    def show_ready(self) -> None:
        (self.directory / "ready").touch()

    def queue_prompts(self) -> None:
        """Have it queue prompts, until `connect`, though it looks ready."""
        (self.directory / "connecting").touch()

    def connect(self) -> None:
        (self.directory / "connecting").unlink()

    def work(self, text: str) -> None:
        """Have a person start a turn that lasts until `rest`, once the one before is over."""
        self.wait_for_screen("idle")
        (self.directory / "work").touch()
        self.stage.type(PEER, text)
        wait_until(lambda: {"prompt": text} in self.stage.model(), what="the person's prompt")
        self.wait_for_status("thinking")

    def rest(self) -> None:
        (self.directory / "work").unlink()

    def open_dialog(self) -> None:
        (self.directory / "dialog").touch()
        self.wait_for_status("blocked:permission")

    def answer_dialog(self) -> None:
        """Have a person press the agent's own key."""
        self.press(self.skin.approves[-1])
        wait_until(lambda: self.has_approved, what="the answer")

    def press(self, keys: str) -> None:
        """Have a person press keys; a final CR is Enter."""
        if text := keys.rstrip("\r"):
            self.stage.tmux("send-keys", "-t", self.stage.surface(PEER), "-l", text)
        if keys.endswith("\r"):
            self.stage.tmux("send-keys", "-t", self.stage.surface(PEER), "Enter")

    def exit(self, code: int) -> None:
        (self.directory / "exit.new").write_text(str(code))
        (self.directory / "exit.new").rename(self.directory / "exit")

    # -- what is known of it ---------------------------------------------------------------------------------------

    @property
    def raw(self) -> bytes:
        """Every byte that has reached it."""
        file = self.directory / "raw"
        return file.read_bytes() if file.exists() else b""

    @property
    def has_approved(self) -> bool:
        return (self.directory / "APPROVED").exists()

    def got(self) -> list[Got]:
        """All messages that the model got, typed or as context, in order."""
        texts = [text for entry in self.stage.model() for text in entry.values()]
        blocks = [block for text in texts for block in _BLOCK.split(text) if block.startswith("[intercom] from ")]
        return [_read(block) for block in blocks]

    def bodies(self) -> list[tuple[str, str]]:
        """Sender and body of each message of which the model got the body, in order."""
        return [(one.sender, one.body) for one in self.got() if one.body]

    def wait_for_body(self, sender: str, body: str) -> None:
        """Wait until the model has it, and the agent is idle again; then it has it once."""
        wait_until(lambda: (sender, body) in self.bodies(), timeout_s=LONG_S, what=f"{body[:60]!r}")
        self.wait_for_status("idle")
        assert self.bodies().count((sender, body)) == 1

    def wait_for_status(self, status: str) -> None:
        try:
            wait_until(lambda: _is(self.status, status), timeout_s=LONG_S)
        except AssertionError:
            raise AssertionError(f"{self.status}, not {status}; {self.stage.screen(PEER)}") from None

    @property
    def status(self) -> str:
        """What the team shows of it."""
        return self.stage.statuses()[PEER]

    def screen_status(self) -> str:
        """What the bundled profile makes of the screen and the title alone."""
        surface = self.stage.surface(PEER)
        states = self.stage.mux.states()
        assert states is not None
        state = with_terminal(self.profile, states[surface])
        return detect.detect(self.profile, state, self.stage.mux.capture(surface)).text

    def wait_for_screen(self, status: str) -> None:
        wait_until(lambda: self.screen_status() == status, what=f"a screen that says {status}")

    def wait_for_hold(self, client: Client, ticket: str, *reasons: str) -> None:
        """Wait until the sender is told why its ask is held."""
        notes: list[object] = [None]

        def is_held() -> bool:
            rows = client.request("pending")["from_me"]
            if (note := next((row["note"] for row in rows if row["id"] == ticket), "gone")) != notes[-1]:
                notes.append(note)
            return note in reasons

        try:
            wait_until(is_held, timeout_s=LONG_S)
        except AssertionError:
            raise AssertionError(f"held for {notes[1:]}, not for {reasons}; {self.stage.screen(PEER)}") from None


def _read(block: str) -> Got:
    line, _, body = block.partition("\n")
    match = _HEADER.fullmatch(line)
    assert match is not None, line
    return Got(match[1], match[2], body)


def _is(seen: str, status: str) -> str:
    return seen if seen == status or seen.startswith(f"{status} ") else ""
