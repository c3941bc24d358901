"""The example scripts: run as a reader runs them, and their output compared with what the transcripts say.

`python -m tests.examples.scripts [NAME…]` runs them and writes their transcripts anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import SCALE

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/run.sh"))

TOO_EARLY = r'(?m)^note: there is no task "[\w-]+" yet, waiting for it\n'
"""What `wait --task` says first when it is quicker than who makes the task."""

_STABLE = (
    (TOO_EARLY, ""),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?", "TIME"),
    (r"/tmp/imux-[^/ ]+/t/([\w-]+)-[0-9a-f]{8}/tmux\.sock", r"SOCKET-OF-\1"),
    (r"\S*/intercom-mux-[\w-]+\.\w{6}", "HOME"),
    (r"tmux \d+\.\d+\w?", "tmux VERSION"),
    (r"\b(?:[0-9a-f]{32}|[0-9a-f]{8})\b", "ID"),
    (r"\bnotice-\d+", "NOTICE"),
    (r"\b\d+s\b", "AGE"),
    (r"\d+ processes ended", "N processes ended"),
    # What an agent that is free does at this very moment, and what is still on its way to it.
    (r"(?:delivered|sent) to (\S+)(?: \((?:idle|thinking|unknown|tool:(?!ask)\w+)\))?(?:;[^·\n]*)? · ", r"told \1 · "),
    (r"(?m)^(\S+) +(?:idle|thinking|tool:\w+)$", r"\1 STATUS"),
    (r"(ask|message|reply) +(?:done|queued|sent|received) +ID", r"\1 STATE ID"),
    (r"[ \t]+", " "),
)
"""What differs from run to run, and what stands for it in a comparison."""


def run(name: str, environ: Mapping[str, str]) -> str:
    """Return what a script prints, both streams together; it must succeed."""
    done = subprocess.run(
        ["sh", str(EXAMPLES / name / "run.sh")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environ, "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}"},
        start_new_session=True,
        timeout=60 * SCALE,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stdout}"
    return done.stdout


def steps(transcript: str) -> list[tuple[str, list[str]]]:
    """Return what was run, in order, each with the lines that it printed, sorted: several peers may answer at once."""
    text = transcript
    for pattern, stand_in in _STABLE:
        text = re.sub(pattern, stand_in, text)
    parts = re.split(r"^(?=[$#] )", text, flags=re.MULTILINE)
    lines = [[line.strip() for line in part.strip().split("\n") if line.strip()] for part in parts if part.strip()]
    return [(first, sorted(rest)) for first, *rest in lines]


if __name__ == "__main__":
    for each in sys.argv[1:] or NAMES:
        (EXAMPLES / each / "transcript.txt").write_text(run(each, os.environ).lstrip())
        print(each)
