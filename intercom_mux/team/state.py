"""What is known about running teams, on disk, so that `down` works after any crash; and which team a command means."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from intercom_mux import paths
from intercom_mux.config import guess
from intercom_mux.errors import TeamError
from intercom_mux.host import files
from intercom_mux.team.command_plan import CommandPlan  # noqa: TC001 - read by get_type_hints
from intercom_mux.team.proc import Proc

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from intercom_mux.team.plan import TeamPlan

FORMAT = 3
"""Version of the file; raised whenever an older program could misread it."""

ORIGINS = ("layout", "reused", "spawned", "scaled")
"""`layout`: the file names it. `reused`: a session that was there. `spawned`, `scaled`: added by those verbs."""

_NAME_LENGTH = 24


@dataclass(slots=True)
class PeerState:
    """One peer as it was last known.

    Attributes:
        session_id: Its session at the broker.
        token: What proves to the broker that somebody speaks for that session; secret.
        surface: Its place in the multiplexer; None before it was opened, and for a reused session.
        pid: The program started in the surface, with its start time in `started`.
        spec_digest: Digest of what it was started from; drift is reported when the layout's differs.
        routes: How messages reach it, best first.
        reply: How it is told to answer, "cli" or "mcp".
        port: TCP port of the loopback on which its program serves; None if it does not.
        secret: Password of that server.
        origin: Why the team has it: one of `ORIGINS`.
    """

    name: str
    role: str
    agent: str
    cwd: Path
    session_id: str
    token: str
    surface: str | None = None
    pid: int | None = None
    started: float | None = None
    spec_digest: str = ""
    routes: list[str] = field(default_factory=list)
    reply: str = "cli"
    port: int | None = None
    secret: str = ""
    origin: str = "layout"

    @property
    def is_reused(self) -> bool:
        """Whether it is a session that registered by itself: never started, typed into or ended by us."""
        return self.origin == "reused"

    @property
    def proc(self) -> Proc | None:
        """The program in the surface, by its identity; None before it was started."""
        if self.pid is None or self.started is None:
            return None
        return Proc(self.pid, self.started, self.name)


@dataclass(slots=True)
class TeamState:
    """One team; identity is (name, real path of the project).

    Attributes:
        layout_path: The file it was brought up from.
        mux: Name of the multiplexer.
        socket: Socket of the team's own tmux server; None on other multiplexers.
        server: That server. None before it was started.
        daemon: The team daemon. None before it was started.
        peers: By name, in layout order.
        created_at: Unix seconds.
        notify: Command that is run at each notice (`team/alarm.py`); empty for none.
        before_down: Commands that `down` runs first.
    """

    id: str
    name: str
    project: Path
    layout_path: Path
    mux: str
    created_at: float
    socket: Path | None = None
    server: Proc | None = None
    daemon: Proc | None = None
    peers: dict[str, PeerState] = field(default_factory=dict)
    isolated: bool = False
    notify: list[str] = field(default_factory=list)
    before_down: list[CommandPlan] = field(default_factory=list)


def new_state(plan: TeamPlan) -> TeamState:
    """Return the state of a team of which nothing runs yet."""
    return TeamState(
        id=plan.id,
        name=plan.name,
        project=Path(plan.project),
        layout_path=Path(plan.layout_path),
        mux=plan.mux,
        socket=Path(plan.socket),
        created_at=time.time(),
        isolated=plan.is_isolated,
        notify=list(plan.notify),
        before_down=list(plan.before_down),
    )


def team_id(name: str, project: Path) -> str:
    """Return the team's id, short enough for socket paths: name, cut, and a digest of name and real project path."""
    digest = hashlib.sha256(os.fsencode(name) + b"\0" + os.fsencode(os.path.realpath(project))).hexdigest()
    return f"{name[:_NAME_LENGTH]}-{digest[:8]}"


def session_id(identity: str, name: str) -> str:
    """Return the reserved broker id of a peer: stable over restarts, and unique from its first characters on."""
    digest = hashlib.sha256(f"{identity}/{name}".encode()).hexdigest()
    return f"{digest[:8]}-{name}"


def load(team_id: str) -> TeamState | None:
    """Return the team's state, None when there is none.

    Raises:
        TeamError: The file cannot be read, is damaged (`E_TEAM_STATE`), or has another format (`E_TEAM_FORMAT`).
    """
    path = _file(team_id)
    try:
        body = json.loads(path.read_bytes())
        if isinstance(body, dict) and body.get("format", FORMAT) != FORMAT:
            raise _other_format(path, body["format"])
        if not isinstance(body, dict) or body.pop("format", None) is None:
            raise ValueError("it is no team state")
        state: TeamState = _revived(TeamState, body, "team")
        if state.id != team_id:
            raise ValueError(f"it belongs to {state.id}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TeamError(
            f"cannot read the state of team {team_id} in {path}: {error}",
            code="E_TEAM_STATE",
            hint=f"end what runs of it, then remove {path.parent}",
            path=str(path),
            team=team_id,
        ) from error
    return state


def save(state: TeamState) -> None:
    """Write the state, whole at any time but after a power loss, when no pid in it means anything.

    Raises:
        OSError: The disk is full or not writable.
    """
    path = _file(state.id)
    body = json.dumps({"format": FORMAT} | asdict(state), default=str, indent=1)
    paths.private_dir(path.parent)
    files.write_whole(path, body)


def remove(team_id: str) -> None:
    """Forget the team; its directory stays for the logs in it. Idempotent."""
    _file(team_id).unlink(missing_ok=True)


def no_such_peer(team: TeamState, name: str) -> TeamError:
    """Return the error for a name that no peer of the team has."""
    hint = f"known: {', '.join(sorted(team.peers))}{guess(name, team.peers)}"
    return TeamError(f'team {team.name} has no peer "{name}"', code="E_NO_PEER", hint=hint)


def all_teams(on_unreadable: Callable[[TeamError], None] | None = None) -> list[TeamState]:
    """Return every team by name and project; those that cannot be read are skipped and handed to `on_unreadable`."""
    teams: list[TeamState] = []
    for path in paths.team_state_dir("*").parent.glob("*/state.json"):
        try:
            state = load(path.parent.name)
        except TeamError as error:
            if on_unreadable:
                on_unreadable(error)
            continue
        if state is not None:
            teams.append(state)
    return sorted(teams, key=lambda team: (team.name, team.project))


def select_team(
    explicit: str | None,
    identity_team: str | None,
    cwd: Path,
    on_unreadable: Callable[[TeamError], None] | None = None,
) -> TeamState:
    """Return the team that a command means: the one given, else the pane's, else the cwd's, else the only one.

    Args:
        explicit: Value of `--team`: a name, `name@dir` as `label` shows it or with the project's path, or an id. A name
            that several teams have means the one whose project holds `cwd`.
        identity_team: Id of the team whose pane we are in.
        cwd: A team's project holds it when it is the same or further up; the deepest wins.
        on_unreadable: Is told of teams that were left out of the choice because they cannot be read.

    Raises:
        TeamError: No team runs (`E_NO_TEAM`), several fit (`E_SEVERAL_TEAMS`) or none does, `teams` in fields listing
            them by label; or the state of the only team, or of the one whose id was given, is unreadable.
    """
    unreadable: list[TeamError] = []
    teams = all_teams(unreadable.append)
    if not teams:
        if unreadable:
            raise unreadable[0]
        raise TeamError("no team is running", code="E_NO_TEAM", hint="start one with `intercom-mux up`")
    for error in unreadable:
        if explicit is not None and error.fields["team"] == explicit:
            raise error
        if on_unreadable:
            on_unreadable(error)
    if explicit is not None:
        return _the_one(_called(explicit, teams), teams, cwd, f"called {explicit}")
    if identity_team is not None:
        return _the_one([team for team in teams if team.id == identity_team], teams, cwd, "that this pane belongs to")
    return _the_one(teams, teams, cwd, "")


def label(team: TeamState, others: Collection[TeamState]) -> str:
    """Return the shortest that tells the team from `others`: its name, `name@dir`, or its id. It may be in `others`."""
    namesakes = [other for other in others if other.id != team.id and other.name == team.name]
    if not namesakes:
        return team.name
    if all(other.project.name != team.project.name for other in namesakes):
        return f"{team.name}@{team.project.name}"
    return team.id


def _the_one(fitting: Sequence[TeamState], teams: Sequence[TeamState], cwd: Path, which: str) -> TeamState:
    """Return the only one of `fitting`, or that of them whose project holds `cwd` most closely."""
    if len(fitting) == 1 and which:
        return fitting[0]
    here = Path(os.path.realpath(cwd))
    around = [team for team in fitting if here.is_relative_to(team.project)]
    depth = max((len(team.project.parts) for team in around), default=0)
    nearest = [team for team in around if len(team.project.parts) == depth] or fitting
    if len(nearest) == 1:
        return nearest[0]
    labels = [label(team, teams) for team in (nearest or teams)]
    if nearest:
        message = f"several teams {which or 'are running'}: {', '.join(labels)}"
        raise TeamError(message, code="E_SEVERAL_TEAMS", hint="choose one with `--team`", teams=labels)
    hint = f"choose one with `--team`: {', '.join(labels)}"
    raise TeamError(f"no team {which} is running", hint=hint, teams=labels)


def _called(explicit: str, teams: Sequence[TeamState]) -> list[TeamState]:
    name, at, place = explicit.partition("@")
    project = Path(os.path.realpath(Path(place).expanduser())) if at else None
    return [
        team
        for team in teams
        if explicit in (team.id, team.name)
        or (project is not None and team.name == name and (place == team.project.name or project == team.project))
    ]


def _file(team_id: str) -> Path:
    return paths.team_state_dir(team_id) / "state.json"


def _other_format(path: Path, found: object) -> TeamError:
    return TeamError(
        f"the team state {path} has format {found}; this program knows {FORMAT}",
        code="E_TEAM_FORMAT",
        hint="use the version of intercom-mux that started the team",
        path=str(path),
        team=path.parent.name,
        format=found,
    )


_hints = cache(get_type_hints)


def _revived(hint: Any, value: Any, where: str) -> Any:
    """Return a JSON value as what a type hint asks for; raise ValueError naming the place if it does not fit."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if value is None and NoneType in kinds:
        return None
    kind = kinds[0]
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) in (int, float):
        return float(value)
    if get_origin(kind) is dict and isinstance(value, dict):
        return {key: _revived(get_args(kind)[1], item, f"{where}.{key}") for key, item in value.items()}
    if get_origin(kind) is list and isinstance(value, list):
        return [_revived(get_args(kind)[0], item, f"{where}[{index}]") for index, item in enumerate(value)]
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        hints = _hints(kind)
        if hints.keys() != value.keys():
            raise ValueError(f"{where} has missing or unknown keys: {', '.join(sorted(hints.keys() ^ value.keys()))}")
        return kind(**{key: _revived(hints[key], item, f"{where}.{key}") for key, item in value.items()})
    if type(value) is not kind:
        raise ValueError(f"{where} is no {kind.__name__}")
    return value
