"""Transcripts of teams that run and of teams that have gone down: finding them, and removing what is old."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from intercom_mux import paths
from intercom_mux.transcript.store import log_file, numbers, remove_segment

if TYPE_CHECKING:
    from collections.abc import Collection

_LABEL = "team.json"
_DAY_S = 86_400


class Kept(NamedTuple):
    """A team of which there are transcripts, running or not."""

    id: str
    name: str
    project: Path

    @property
    def peers(self) -> list[str]:
        """The names of the peers that there are transcripts of."""
        directory = transcripts_dir(self.id)
        return sorted(path.name for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


def transcripts_dir(team_id: str) -> Path:
    """Return what holds the transcripts of a team, one directory per peer."""
    return paths.team_state_dir(team_id) / "logs"


def label(team_id: str, name: str, project: Path) -> None:
    """Write down whose transcripts these are, so that they are found after the team has gone down."""
    directory = paths.private_dir(transcripts_dir(team_id))
    file = directory / _LABEL
    file.write_text(json.dumps({"name": name, "project": str(project)}), encoding="utf-8")
    file.chmod(0o600)


def kept_teams() -> list[Kept]:
    """Return all teams of which there are transcripts."""
    found = []
    for file in sorted(paths.team_state_dir("*").parent.glob(f"*/logs/{_LABEL}")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            value = json.loads(file.read_bytes())
            found.append(Kept(file.parent.parent.name, value["name"], Path(value["project"])))
    return found


def is_up(team_id: str) -> bool:
    """Whether the team's state is there, so that somebody may be writing."""
    return (paths.team_state_dir(team_id) / "state.json").exists()


def prune(teams: Collection[Kept], peers: Collection[str] = (), days: float = 0) -> tuple[int, int]:
    """Remove what was last printed more than `days` ago; return how many files and bytes went.

    All peers, unless some are named. Of a team that is up the segment that is being written stays.
    """
    before = time.time() - days * _DAY_S
    count = size = 0
    for team in teams:
        for name in peers or team.peers:
            directory = transcripts_dir(team.id) / name
            there = numbers(directory)
            for number in there[:-1] if is_up(team.id) else there:
                if _age(directory, number) <= before:
                    count += 1
                    size += remove_segment(directory, number)
        if not is_up(team.id):
            _remove_empty(team.id)
    return count, size


def sweep(days: float) -> None:
    """Remove what is older than `days` of every team."""
    prune(kept_teams(), days=days)


def _age(directory: Path, number: int) -> float:
    try:
        return log_file(directory, number).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove_empty(team_id: str) -> None:
    directory = transcripts_dir(team_id)
    with suppress(OSError):
        for path in directory.iterdir():
            if path.is_dir() and not numbers(path):
                shutil.rmtree(path, ignore_errors=True)
        if os.listdir(directory) == [_LABEL]:
            shutil.rmtree(directory)
