"""Time from `send` to the request at the model, for each agent that is installed; prints milliseconds.

    IMUX_AGENTS_DIR=~/agents python -m tests.bench.agents [AGENT...]

Each is brought up as in tests/real, against the scripted model, and gets `REPEATS` messages one after another while it
is idle. The clock begins before the `send` process is started, so an interpreter's start is part of it.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.real.agents import AGENTS

if TYPE_CHECKING:
    from tests.real.conftest import RealTeam

REPEATS = 5


@pytest.mark.timeout(600)
def measure_send_to_model(team: RealTeam) -> None:
    """Print how long a message to the idle agent takes to be requested of the model."""
    team.up()
    times = [_one(team, f"apples-{number}-end") for number in range(REPEATS)]
    shown = " ".join(f"{value:.0f}" for value in times)
    print(f"\n{team.agent.id:14} median {statistics.median(times):5.0f} ms   of {shown}")


def _one(team: RealTeam, words: str) -> float:
    team.wait_status("idle")
    begun = time.monotonic()
    team.as_friend("send", "agent", words)
    while not team.model.prompts_containing(words):
        if time.monotonic() - begun > 60:
            raise AssertionError(f"{words} did not reach the model")
        time.sleep(0.005)
    return (time.monotonic() - begun) * 1000


def main(names: list[str]) -> int:
    """Run pytest over this file, for its fixtures; return its exit code."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    wanted = " or ".join(f"[{name}]" for name in names or [agent.id for agent in AGENTS])
    options = ["-q", "-s", "-p", "no:cacheprovider", "-o", "python_functions=measure_*"]
    with contextlib.chdir(root):
        return int(pytest.main([*options, "-k", wanted, __file__]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
