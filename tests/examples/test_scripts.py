"""Every example is run as a reader runs it: it works, prints what its transcript says, and leaves nothing behind."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from intercom_mux.layout.find import find_layout
from intercom_mux.layout.load import load_layout
from tests.examples.scripts import EXAMPLES, NAMES, run, steps
from tests.support import marked_processes, wait_until


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_as_its_transcript_says(name: str, home: Path) -> None:
    """Commands and output are the same, but for times, ids, places and the moment's statuses."""
    before = sorted(EXAMPLES.rglob("*"))
    printed = run(name, {**os.environ, "TMPDIR": str(home)})
    assert steps(printed) == steps((EXAMPLES / name / "transcript.txt").read_text())
    # `broker stop` returns when journal and lock are free, an instant before the process is gone.
    wait_until(lambda: marked_processes(str(home)) == {}, what="the end of every process")
    assert list(home.glob("intercom-mux-*")) == []
    places = {Path(place) for place in re.findall(r"/tmp/imux-[^/ ]+", printed)}
    assert places
    assert [socket for place in places for socket in place.rglob("*.sock")] == []
    assert sorted(EXAMPLES.rglob("*")) == before


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_its_parts(name: str) -> None:
    """A layout that loads, comments that say what it is for, and a line in the table of all."""
    directory = EXAMPLES / name
    layout = load_layout(find_layout(str(directory / "team.yaml"), directory), environ={"HOME": "/"})
    assert layout.name == name
    assert (directory / "team.yaml").read_text().startswith("# ")
    assert (directory / "run.sh").read_text().startswith("#!/bin/sh\n# ")
    assert f"| [{name}]({name}/run.sh) |" in (EXAMPLES / "README.md").read_text()


def test_scripts_share_their_set_up() -> None:
    """Each begins alike, and defines nothing that the others would want too."""
    for name in NAMES:
        script = (EXAMPLES / name / "run.sh").read_text()
        assert '\nset -eu\n. "$(dirname "$0")/../stage.sh"\nbegin\n' in script
        assert not re.search(r"mktemp|trap |^\w+\(\)", script, re.MULTILINE)


def test_a_difference_is_seen() -> None:
    """The comparison forgives times, ids and order, and neither a word nor a command."""
    first = "$ a\ndelivered to x (idle) · 1234abcd\n[12ab34cd] at 2026-01-02 03:04\n\n$ b\none\ntwo\n"
    again = "$ a\nsent to x (thinking); it waits · 1234abce\n[02ab34cd] at 2026-05-02 03:14\n\n$ b\ntwo\none\n"
    assert steps(first) == steps(again)
    assert steps(first) != steps(first.replace("two", "three"))
    assert steps(first) != steps(first.replace("$ b", "$ c"))
    assert steps(first) != steps(first.replace("to x", "to y"))
