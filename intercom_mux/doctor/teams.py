"""Teams that are said to run, and what is left of those that do not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.doctor.finding import Finding, of_error
from intercom_mux.team import state as team_states
from intercom_mux.team.process_table import environments_with
from intercom_mux.team.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from intercom_mux.errors import TeamError
    from intercom_mux.team.state import TeamState


def teams() -> Iterator[Finding]:
    """Yield each team with what of it still lives, state that cannot be read, and directories of no team."""
    unreadable: list[TeamError] = []
    known = team_states.all_teams(unreadable.append)
    yield from (of_error("team", error) for error in unreadable)
    yield from map(_team, known)
    if not unreadable:
        yield from _left_over({team.id for team in known})


def _team(team: TeamState) -> Finding:
    where = f"{team.name} in {team.project}"
    project = f"cd {team.project} && " if team.project.is_dir() else ""
    if not team.project.is_dir():
        return Finding("warning", "team", f"{where}: that directory is gone", f"intercom-mux down --team {team.name}")
    if team.server is not None and not is_alive(team.server):
        text = f"{where}: its {team.mux} server is gone, and its peers with it"
        return Finding("warning", "team", text, f"{project}intercom-mux down")
    if team.daemon is None or not is_alive(team.daemon):
        text = f"{where}: its daemon is dead; its peers run on, their messages wait"
        return Finding("warning", "team", text, f"{project}intercom-mux up {team.layout_path}")
    return Finding("ok", "team", f"{where}: {len(team.peers)} peers, daemon {team.daemon.pid}")


def _left_over(known: set[str]) -> Iterator[Finding]:
    """Yield directories with sockets and identities of teams that have no state and no process."""
    root = paths.runtime_dir() / "t"
    left = [path for path in root.glob("*") if path.is_dir() and path.name not in known]
    if not left:
        return
    used = [str(each[paths.IDENTITY_VARIABLE]) for each in environments_with(paths.IDENTITY_VARIABLE)]
    for path in left:
        if not any(identity.startswith(f"{path}/") for identity in used):
            yield _leftover(path)


def _leftover(path: Path) -> Finding:
    def mend() -> str:
        shutil.rmtree(path)
        return f"{path} is removed"

    return Finding("note", "team", f"{path} is left of a team that is no more", f"rm -r {path}", mend)
