"""Which tmux is there, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.tmux_version import require_tmux, tmux_version

if TYPE_CHECKING:
    from pathlib import Path


def program(path: Path, script: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("tmux 3.2", (3, 2)),
        ("tmux 3.3a", (3, 3)),
        ("tmux 3.5-rc", (3, 5)),
        ("tmux next-3.7", (3, 7)),
        ("tmux 10.12", (10, 12)),
        ("tmux master", (99, 0)),
        ("tmux openbsd-7.5", (99, 0)),
    ],
)
def test_a_version_that_will_do(home: Path, printed: str, version: tuple[int, int]) -> None:
    """Releases, candidates and development builds from 3.2 on are taken."""
    assert require_tmux(program(home / "tmux", f"echo {printed}")) == version


def test_the_installed_one_is_found() -> None:
    """Without a path the tmux on PATH answers."""
    assert tmux_version() >= (3, 2)


@pytest.mark.parametrize("printed", ["tmux 3.1c", "tmux 2.9a", "tmux 1.8"])
def test_too_old_names_both_versions_and_the_command(home: Path, printed: str) -> None:
    """The minimum and what was found are in the message."""
    with pytest.raises(MultiplexerError, match=r"too old: 3\.2") as caught:
        require_tmux(program(home / "tmux", f"echo {printed}"))
    assert caught.value.code == "E_TMUX_OLD"
    assert caught.value.hint
    assert caught.value.fields["minimum"] == "3.2"


@pytest.mark.parametrize(
    ("tool", "command"),
    [
        ("apt-get", "run: sudo apt-get install tmux"),
        ("dnf", "run: sudo dnf install tmux"),
        ("pacman", "run: sudo pacman -S tmux"),
        ("apk", "run: sudo apk add tmux"),
        ("brew", "run: brew install tmux"),
        ("none", "install tmux 3.2 or newer with your package manager"),
    ],
)
def test_missing_tells_how_to_install(home: Path, monkeypatch: pytest.MonkeyPatch, tool: str, command: str) -> None:
    """The hint is the command of this machine's package manager, ready to paste."""
    program(home / "bin" / tool, "exit 0")
    monkeypatch.setenv("PATH", str(home / "bin"))
    with pytest.raises(MultiplexerError, match="not installed") as caught:
        require_tmux()
    assert (caught.value.code, caught.value.hint) == ("E_TMUX_MISSING", command)


def test_a_broken_one_counts_as_missing(home: Path) -> None:
    """A tmux that cannot even tell its version is reported as such."""
    with pytest.raises(MultiplexerError, match="does not run") as caught:
        require_tmux(program(home / "tmux", "exit 1"))
    assert caught.value.code == "E_TMUX_MISSING"
