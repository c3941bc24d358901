"""Resource hints on real processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from intercom_mux.layout.model import Resources
from intercom_mux.team.limits import limited

SHOW = "import os, resource; print(os.nice(0), resource.getrlimit(resource.RLIMIT_DATA)[0], os.getpid())"


def test_hints_reach_the_program_in_one_process() -> None:
    """Niceness is added and memory limited, and the pid is that of what was started."""
    argv = limited((sys.executable, "-I", "-c", SHOW), Resources(nice=5, memory_mb=512))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        nice, memory, pid = process.communicate(timeout=20)[0].split()

    assert (int(nice), int(memory), int(pid)) == (5, 512 * 2**20, process.pid)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not enforce RLIMIT_DATA")
def test_memory_beyond_the_hint_is_refused() -> None:
    """A program that wants more gets a failure, the system does not."""
    argv = limited((sys.executable, "-I", "-c", "bytearray(400 << 20)"), Resources(memory_mb=100))
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)

    assert "MemoryError" in done.stderr


def test_words_with_spaces_and_quotes_stay_words() -> None:
    """What the peer is started with passes through unread."""
    argv = limited(("printf", "%s|", "a b", "$HOME", "'\""), Resources(memory_mb=100))

    assert subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout == "a b|$HOME|'\"|"


def test_without_hints_nothing_is_added() -> None:
    """The program is started as it was."""
    assert limited(("cat",), Resources()) == ("cat",)
