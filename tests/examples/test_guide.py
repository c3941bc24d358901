"""docs/guide.md tells the truth: what it shows is run, from beginning to end, as its reader would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from intercom_mux.cli.main import cli
from tests.examples.scripts import EXAMPLES, TOO_EARLY
from tests.support import SCALE, marked_processes, wait_until
from tests.team.stage import end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
CONSOLE = [block for kind, block in BLOCKS if kind == "console"]


def commands(block: str) -> list[tuple[str, list[str]]]:
    """Return each command of a block with the lines that are shown as its output."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(first, rest) for first, *rest in (part.rstrip("\n").split("\n") for part in parts)]


def shown_pattern(shown: list[str]) -> str:
    """Return the pattern of an output: `…` leaves out part of a line, or lines; runs of blanks are alike."""
    pattern = ""
    for line in shown:
        if line == "…":
            pattern += r"(?:.*\n)*?"
        else:
            words = " ".join(line.split()).split("…")
            pattern += r" *" + ".*".join(re.escape(word).replace(r"\ ", " +") for word in words) + r" *\n"
    return pattern


class Reader:
    """Types the commands of the guide, one after the other, in one terminal."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept = directory / "kept.sh"
        self._kept.write_text("")
        self._where = directory

    def type(self, command: str) -> str:
        """Run a command, which must succeed, and return what it prints; directory and variables are kept."""
        keep = f'set | grep "^ticket=" >"{self._kept}"'
        script = f'. "{self._kept}"\n{command}\nstatus=$?\n{keep}\npwd >&3\nexit $status'
        came_from, goes_to = os.pipe()
        done = subprocess.run(
            ["bash", "-c", f"exec 3>&{goes_to}; {script}"],
            cwd=self._where,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[goes_to],
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            timeout=90 * SCALE,
            check=False,
        )
        os.close(goes_to)
        with os.fdopen(came_from) as stream:
            self._where = Path(stream.read().strip())
        assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout


@pytest.fixture
def reader(home: Path) -> Iterator[Reader]:
    shutil.copytree(EXAMPLES, home / "examples")
    yield Reader(home)
    end_all_teams()


def test_the_tour_goes_as_told(reader: Reader, home: Path) -> None:
    """Every command of every console block works, and prints what is shown; nothing runs at the end."""
    for block in CONSOLE:
        for command, shown in commands(block):
            printed = re.sub(TOO_EARLY, "", reader.type(command))
            if shown:
                assert re.fullmatch(shown_pattern(shown), printed), f"$ {command}\n{printed}\nis not as shown: {shown}"
    reader.type("intercom-mux broker stop")
    wait_until(lambda: marked_processes(str(home)) == {}, what="the end of all that ran")


def test_what_needs_a_terminal_is_a_verb_with_such_words() -> None:
    """`attach`, `watch` and `answer` want a person: here only their words are checked."""
    lines = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
    assert [line.split()[1] for line in lines] == ["attach", "watch", "answer"]
    for line in lines:
        program, verb, *words = shlex.split(line)
        assert program == "intercom-mux"
        with click.Context(cli) as context:
            cli.commands[verb].make_context(verb, words, parent=context)


def test_links_lead_somewhere() -> None:
    """Every relative link is a file."""
    for link in re.findall(r"\]\(([^)#:]+)\)", GUIDE.read_text()):
        assert (GUIDE.parent / link).is_file(), link


def test_what_is_not_as_shown_is_seen() -> None:
    """`…` stands for anything in its place, and for nothing anywhere else."""
    pattern = shown_pattern(["a  b · …", "…", "end"])
    assert re.fullmatch(pattern, "a b · 1\nmore\nend\n")
    assert re.fullmatch(pattern, "a b · 1\nend\n")
    assert not re.fullmatch(pattern, "a c · 1\nend\n")
    assert not re.fullmatch(pattern, "a b · 1\nend\nand more\n")
