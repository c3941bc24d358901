"""Every bundled layout, brought up with demo agents in a real tmux, asked something, and taken down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intercom_mux.layout.find import Found, bundled_layouts
from intercom_mux.layout.load import load_layout, required_variables
from tests.cli.stage import run
from tests.support import marked_processes
from tests.team.stage import end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with one file to be asked about, outside any git repository, as the working directory."""
    directory = home / "shop"
    directory.mkdir()
    (directory / "basket.py").write_text("def total_price(items):\n    return sum(item.price for item in items)\n")
    monkeypatch.chdir(directory)
    monkeypatch.setenv("INTERCOM_MUX_DEMO_PACE", "0")
    yield directory
    end_all_teams()


@pytest.mark.parametrize("name", sorted(bundled_layouts()))
def test_a_bundled_layout_works(name: str, project: Path, home: Path) -> None:
    """It comes up whole, without git, its last peer answers from the project, and nothing stays behind."""
    path = bundled_layouts()[name]
    variables = dict.fromkeys(required_variables(path), ".")
    peers = load_layout(Found(path, project, "bundled"), variables=variables, environ={}).peers

    up = run("up", name, "--agent", "demo", *(f"--var={key}={value}" for key, value in variables.items()))
    assert (up.code, up.err) == (0, "")
    assert f"{len(peers)} {'peer' if len(peers) == 1 else 'peers'} started" in up.out

    answer = run("ask", peers[-1].name, "Where is total_price?", "--timeout", "30s")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.strip()

    down = run("down")
    assert (down.code, down.err) == (0, "")
    assert run("broker", "stop").code == 0
    assert marked_processes(str(home)) == {}
