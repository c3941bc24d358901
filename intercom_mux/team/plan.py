"""From a layout to exact data: what to start, where, with which command.

Everything that can be checked is checked here, before anything starts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.agents.profile import load_profiles, render_argv, resolve
from intercom_mux.errors import LayoutError
from intercom_mux.layout.problems import Problems
from intercom_mux.team.state import team_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intercom_mux.agents.profile import Profile, Resolved
    from intercom_mux.layout.model import Layout, PeerSpec

COMMAND_PROFILE = "command"
"""The profile of a peer that is any program."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PeerPlan:
    """One peer, ready to exec. `digest` changes whenever anything it is started from does; drift is told by it."""

    name: str
    role: str
    profile: str
    argv: tuple[str, ...]
    cwd: str
    session_id: str
    env: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    model: str = ""
    digest: str = ""
    is_reference: bool = False


@dataclass(frozen=True, slots=True)
class TeamPlan:
    """A whole team; `notices` are for the user. Goes to the team daemon as JSON."""

    id: str
    name: str
    project: str
    layout_path: str
    mux: str
    arrange: str
    socket: str
    peers: tuple[PeerPlan, ...]
    supervisor: str | None = None
    is_isolated: bool = False
    notices: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """Return the plan as JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Json) -> TeamPlan:
        """Return the plan that `to_json` gave."""
        peers = tuple(
            PeerPlan(**{**peer, "argv": tuple(peer["argv"]), "unset": tuple(peer["unset"])}) for peer in value["peers"]
        )
        return cls(**{**value, "peers": peers, "notices": tuple(value["notices"])})


def make_plan(layout: Layout, *, agent: str | None = None) -> TeamPlan:
    """Decide everything about a team; `agent` replaces the agent of every peer that is one.

    Raises:
        LayoutError: Directories or programs are missing, agents unknown; every fault at once, each with its place.
    """
    identity = team_id(layout.name, layout.project)
    profiles = load_profiles()
    problems = Problems(layout.path)
    notices: dict[str, None] = {}
    peers: list[PeerPlan] = []
    for spec in layout.peers:
        key = f"peers.{spec.name}"
        if not spec.cwd.is_dir():
            problems.add(spec.mark, key, f"directory {spec.cwd} does not exist")
        resolved = _resolve(spec, agent, profiles, problems, key)
        if resolved is not None:
            peers.append(_plan_peer(identity, spec, resolved, notices))
    problems.raise_any()
    return TeamPlan(
        id=identity,
        name=layout.name,
        project=str(layout.project),
        layout_path=str(layout.path),
        mux="tmux",
        arrange=layout.arrange,
        socket=str(paths.socket_path(paths.team_runtime_dir(identity) / "tmux.sock")),
        peers=tuple(peers),
        supervisor=layout.supervisor,
        is_isolated=layout.isolated,
        notices=tuple(notices),
    )


def _resolve(
    spec: PeerSpec, agent: str | None, profiles: Mapping[str, Profile], problems: Problems, key: str
) -> Resolved | None:
    """Find the program of a peer; what is wrong with it becomes a problem."""
    if spec.command is not None:
        if _find_command(spec.command[0], spec) is None:
            problems.add(spec.mark, key, f"program {spec.command[0]} is not found on PATH")
        return resolve(COMMAND_PROFILE, profiles=profiles)
    try:
        return resolve(agent or spec.agent or "auto", profiles=profiles)
    except LayoutError as error:
        problems.add(spec.mark, key, f"{error.message}; {error.hint}" if error.hint else error.message)
        return None


def _find_command(program: str, spec: PeerSpec) -> str | None:
    if os.sep in program:
        path = spec.cwd / program
        return str(path) if os.access(path, os.X_OK) and path.is_file() else None
    return shutil.which(program, path=spec.env.get("PATH", os.environ.get("PATH")))


def _plan_peer(identity: str, spec: PeerSpec, resolved: Resolved, notices: dict[str, None]) -> PeerPlan:
    profile = resolved.profile
    if resolved.notice:
        notices[resolved.notice] = None
    if spec.command is not None:
        argv = spec.command
    else:
        argv = render_argv(resolved, name=spec.name, role=spec.role, cwd=spec.cwd, prompt=spec.prompt, model=spec.model)
    if spec.prompt and (spec.command is not None or not profile.takes("prompt")):
        notices[f"{spec.name}: {profile.name} takes no prompt; it is left out"] = None
    env = {**profile.env, **spec.env}
    facts = [argv, str(spec.cwd), env, profile.unset, spec.role, profile.name]
    return PeerPlan(
        name=spec.name,
        role=spec.role,
        profile=profile.name,
        argv=tuple(argv),
        cwd=str(spec.cwd),
        session_id=session_id(identity, spec.name),
        env={**env, "PATH": _path_with_ourselves(env)},
        unset=profile.unset,
        model=spec.model or profile.name,
        digest=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16],
        is_reference=spec.is_reference,
    )


def session_id(identity: str, name: str) -> str:
    """Return the reserved broker id of a peer: stable over restarts, and unique from its first characters on."""
    digest = hashlib.sha256(f"{identity}/{name}".encode()).hexdigest()
    return f"{digest[:8]}-{name}"


def _path_with_ourselves(env: Mapping[str, str]) -> str:
    """Return PATH, with our script's directory last if need be, so that agents find `intercom-mux` in any install."""
    path = env.get("PATH", os.environ.get("PATH", os.defpath))
    if shutil.which("intercom-mux", path=path):
        return path
    return f"{path}{os.pathsep}{Path(sys.executable).parent}"
