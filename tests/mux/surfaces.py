"""What tests of tmux look at: a surface's state, and how a program was started."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.mux.environment import base_environment
from tests.support import wait_until

if TYPE_CHECKING:
    from intercom_mux.mux.base import SurfaceState
    from intercom_mux.mux.tmux import TmuxMultiplexer

PROGRAMS = Path(__file__).parent / "programs"
TMUX_SETS = {"TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "TMUX_PANE", "SHELL", "PWD", "COLORTERM"}

HOSTILE = (
    "two words",
    "",
    ";",
    "ends;",
    "ends\\;",
    "-t",
    "--",
    "$HOME ${HOME} $(touch owned) `touch owned`",
    "#(touch owned) #{pane_id} ##[x] #[fg=red] #S %s %H %%",
    "~",
    'it\'s "quoted" \\ \\n \\101',
    "line\n   # two\n\tthree",
    "ünïcödé 漢字 👩‍💻",
    "{ brace } %if 1",
    os.fsdecode(b"not utf-8: \xff\xfe"),
)


class Dump:
    """A peer that writes down how it was started, and what it wrote."""

    def __init__(self, home: Path, name: str) -> None:
        self.file = home / f"{name}.json"
        self.argv = (sys.executable, str(PROGRAMS / "dump.py"), str(self.file))

    def seen(self) -> dict[str, object]:
        """Return argv (without the interpreter's three), env and cwd of the program."""
        wait_until(self.file.exists, what=f"{self.file}")
        raw = json.loads(self.file.read_text())
        env = (bytes.fromhex(entry).partition(b"=") for entry in raw["env"])
        return {
            "argv": [os.fsdecode(bytes.fromhex(word)) for word in raw["argv"]][3:],
            "env": {os.fsdecode(name): os.fsdecode(value) for name, _, value in env},
            "cwd": os.fsdecode(bytes.fromhex(raw["cwd"])),
        }

    def env(self) -> dict[str, str]:
        env = self.seen()["env"]
        assert isinstance(env, dict)
        return env


def state(mux: TmuxMultiplexer, surface: str) -> SurfaceState:
    states = mux.states()
    assert states is not None
    return states[surface]


def ended(mux: TmuxMultiplexer, surface: str) -> SurfaceState:
    """Return the state of a surface once its status is known."""
    wait_until(lambda: state(mux, surface).exit_status is not None, what="exit status")
    return state(mux, surface)


def expected(extra: dict[str, str], *without: str) -> dict[str, str]:
    """Return the environment a peer must have, without what tmux announces itself."""
    env = {**base_environment(), **extra}
    return {name: value for name, value in env.items() if name not in TMUX_SETS and name not in without}


def plain(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in TMUX_SETS}
