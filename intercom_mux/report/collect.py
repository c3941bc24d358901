"""Everything on disk about one team, running or down: the journal, its record of statuses, its tasks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.broker import history
from intercom_mux.errors import TeamError
from intercom_mux.team import state, status_log, task_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intercom_mux.team.status_log import Change

Json = dict[str, Any]

MAX_TEXT_CHARS = 1_000
"""Of one message so much is shown."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a report is made of; times are Unix milliseconds.

    Attributes:
        team: Name of the team.
        peers: Names of its peers, in the order of the layout, or of their starts.
        messages: As `history.exchange` tells them, with `from` and `to` bare inside the team.
        tasks: As the `tasks` operation tells them; `history` only if the broker kept it.
        changes: Statuses, oldest first.
        since: Begin of what was asked for, 0 for everything.
        now: When it was collected.
    """

    team: str
    team_id: str
    is_running: bool
    peers: list[str]
    messages: list[Json]
    now: int
    tasks: list[Json] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    since: int = 0


def collect(team: str | None, *, pane_team: str | None = None, since: int = 0) -> Source:
    """Read what there is about `team`: a name or an id, of one that runs or of one that has gone down.

    Without one it is the pane's, the only one that runs here, that of this directory, or the only one that anything is
    known of.

    Raises:
        TeamError: None or several fit; `teams` has those that there are.
        BrokerError: The journal cannot be read.
    """
    history.settle()
    sessions = history.sessions()
    name, team_id = _find(team, pane_team, sessions)
    running = state.load(team_id)
    members = {row["id"]: _bare(row, team_id) for row in sessions if _is_member(row, team_id)}
    if running is not None:
        members |= {peer.session_id: peer.name for peer in running.peers.values()}
    messages = history.exchange(members, since=since, max_chars=MAX_TEXT_CHARS)
    for message in messages:
        message["from"] = members.get(message["from_id"], message["from"])
        message["to"] = members.get(message["to_id"], message["to"])
    changes = status_log.read(team_id, since)
    tasks = task_log.known(team_id)
    order = list(running.peers) if running is not None else []
    return Source(
        team=name,
        team_id=team_id,
        is_running=running is not None,
        peers=list(dict.fromkeys([*order, *(change.peer for change in changes), *sorted(members.values())])),
        messages=messages,
        tasks=[task for task in tasks if (task.get("updated_at") or 0) >= since],
        changes=changes,
        since=since,
        now=time.time_ns() // 1_000_000,
    )


def _find(wanted: str | None, pane_team: str | None, sessions: list[Json]) -> tuple[str, str]:
    """Return name and id of the team that is meant; one that runs comes first."""
    try:
        found = state.select_team(wanted, pane_team, Path.cwd())
        return found.name, found.id
    except TeamError as error:
        if error.code == "E_SEVERAL_TEAMS":
            raise
    known = {row["team_id"]: (row["team"] or "").partition("@")[0] for row in sessions if row["team_id"]}
    for file in paths.team_state_dir("*").parent.glob("*/*.json*"):
        known.setdefault(file.parent.name, file.parent.name.rpartition("-")[0])
    fitting = [key for key, name in known.items() if wanted in (None, key, name)]
    fitting = next(_of_directories(fitting, known), fitting)
    if len(fitting) == 1:
        return known[fitting[0]], fitting[0]
    if fitting:
        named = f" called {wanted}" if wanted else ""
        raise TeamError(
            f"several teams{named} are known: {', '.join(sorted(fitting))}",
            code="E_SEVERAL_TEAMS",
            hint="say which by its id",
            teams=sorted(fitting),
        )
    which = f"team {wanted} is" if wanted else "team is"
    hint = f"known: {', '.join(sorted(known))}" if known else "start one with `intercom-mux up`"
    raise TeamError(f"no {which} known", code="E_NO_TEAM", hint=hint, teams=sorted(known))


def _of_directories(teams: list[str], names: dict[str, str]) -> Iterator[list[str]]:
    """Yield the teams of this directory, and of each above it that has any; an id is made of name and directory."""
    here = Path.cwd()
    for directory in (here, *here.parents):
        if there := [team for team in teams if state.team_id(names[team], directory) == team]:
            yield there


def _is_member(row: Json, team_id: str) -> bool:
    if team_id in (row["team_id"], row["scope"]):
        return True
    # A peer that has gone and never spoke is known by its reserved id alone.
    return row["team_id"] is None and state.session_id(team_id, row["id"][9:]) == row["id"]


def _bare(row: Json, team_id: str) -> str:
    is_reserved = row["name"] == row["id"] and state.session_id(team_id, row["id"][9:]) == row["id"]
    return str(row["id"][9:] if is_reserved else row["name"])
