"""The facts of the spawn decision rule, gathered: connected sessions, the team's peers, repositories, multiplexers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.broker import lifecycle
from intercom_mux.client.blocking import Client
from intercom_mux.client.identity import current
from intercom_mux.mux.choose import backends
from intercom_mux.team import state as team_states
from intercom_mux.team.decide import Connected, Facts, Request

if TYPE_CHECKING:
    from collections.abc import Collection

    from intercom_mux.layout.model import Layout


def requests_of(layout: Layout) -> list[Request]:
    """Return what `up` asks the rule, one request per peer of the layout."""
    return [
        Request(
            name=peer.name,
            role=peer.role,
            cwd=os.path.realpath(peer.cwd),
            prompt=peer.prompt or "",
            repository=repository_of(peer.cwd),
            is_reference=peer.is_reference,
        )
        for peer in layout.peers
    ]


def facts_for(layout: Layout) -> Facts:
    """Return what is there now for the team of a layout.

    Raises:
        TeamError: The team's state cannot be read.
    """
    team = team_states.team_id(layout.name, layout.project)
    references = [peer.cwd for peer in layout.peers if peer.is_reference]
    scope = team if layout.isolated else ""
    return gather(team, layout.project, mux=layout.mux, scope=scope, references=references)


def gather(team: str, project: Path, *, mux: str = "auto", scope: str = "", references: Collection[Path] = ()) -> Facts:
    """Return what is there now for a team, which need not run; starts nothing.

    Raises:
        TeamError: The team's state cannot be read.
    """
    state = team_states.load(team)
    peers = state.peers.values() if state is not None else ()
    return Facts(
        team=team,
        project=os.path.realpath(project),
        repository=repository_of(project),
        sessions=_connected(team, scope),
        backends=backends(os.environ),
        own=frozenset(peer.name for peer in peers if not peer.is_reused),
        reused=tuple((peer.name, peer.session_id) for peer in peers if peer.is_reused),
        references=frozenset(os.path.realpath(path) for path in references),
        mux=mux,
    )


def repository_of(path: Path) -> str | None:
    """Return the root of the git repository that holds `path`, that of the main one for a linked worktree."""
    here = Path(os.path.realpath(path))
    for directory in (here, *here.parents):
        git = directory / ".git"
        if git.is_dir():
            return str(directory)
        if git.is_file():
            return _main_of(git) or str(directory)
    return None


def _main_of(git_file: Path) -> str | None:
    """Return the repository that a linked worktree's `.git` file points into; None for another kind of link."""
    try:
        place = git_file.read_text().partition("gitdir:")[2].strip()
    except (OSError, UnicodeDecodeError):
        return None
    main, marker, _ = place.rpartition("/.git/worktrees/")
    return os.path.realpath(main) if marker else None


def _connected(team: str, scope: str) -> tuple[Connected, ...]:
    if lifecycle.running() is None:
        return ()
    with Client.connect(current(team, scope)) as client:
        rows = client.sessions()
    return tuple(
        Connected(row["id"], row["name"] or "", os.path.realpath(row["cwd"]), row["role"], row["team_id"], row["self"])
        for row in rows
    )
