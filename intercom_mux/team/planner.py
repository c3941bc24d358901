"""From a layout to a plan.

Everything that can be checked is checked here, before anything starts.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.agents.briefing import briefing
from intercom_mux.agents.find import AUTO, COMMAND, auto_order, load_profiles, resolve
from intercom_mux.agents.launch import Facts, launch, reply_channel
from intercom_mux.agents.profile_tree import Tree
from intercom_mux.errors import LayoutError
from intercom_mux.layout.model import BOARD, Mark
from intercom_mux.layout.problems import Problems
from intercom_mux.team import message_rules, native_place
from intercom_mux.team.command_plan import CommandPlan
from intercom_mux.team.limits import limited
from intercom_mux.team.multiplexer import choose, socket_of
from intercom_mux.team.plan import PeerPlan, TeamPlan
from intercom_mux.team.state import session_id, team_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intercom_mux.agents.profile import Profile, Resolved
    from intercom_mux.layout.model import Layout, PeerSpec
    from intercom_mux.team.decide import Decision
    from intercom_mux.team.worktrees import WorktreePlan


def make_plan(
    layout: Layout,
    *,
    agent: str | None = None,
    variables: Mapping[str, str] | None = None,
    decisions: Sequence[Decision] = (),
    team: TeamPlan | None = None,
) -> TeamPlan:
    """Decide everything about a team; `agent` replaces the agent of every peer that is one.

    Of `decisions` (`team/decide.py`) those that refuse are faults, and what is skipped is left out with a notice.
    `team` is the plan of a running team that the layout's peers will join, and are told of.

    Raises:
        LayoutError: Directories or programs are missing, agents unknown; every fault at once, each with its place. A
            fault of `agent` is in no place of the file, and comes alone.
        IntercomError: The configuration is not valid.
    """
    message_rules.load()
    identity = team_id(layout.name, layout.project)
    planner = _Planner(layout, identity, agent, decisions, team.peers if team else ())
    peers = [peer for spec in layout.peers if (peer := planner.peer(spec)) is not None]
    planner.problems.raise_any()
    mux = next((decision.backend for decision in decisions if decision.backend), None) or choose(layout.mux)
    supervisor = layout.supervisor if any(peer.name == layout.supervisor for peer in peers) else None
    return TeamPlan(
        id=identity,
        name=layout.name,
        project=str(layout.project),
        layout_path=str(layout.path),
        mux=mux,
        arrange=layout.arrange.to_json(),
        socket=str(socket_of(mux, identity)),
        peers=tuple(peers),
        supervisor=supervisor,
        is_isolated=layout.isolated,
        notices=(*layout.notices, *planner.notices),
        agents=dict(layout.agents),
        profiles={profile.name: profile.data for profile in planner.profiles},
        notify=layout.notify,
        secrets=layout.secrets,
        variables=dict(variables or {}),
        agent=agent,
        before_up=tuple(CommandPlan.of(each, layout.project) for each in layout.before_up),
        after_up=tuple(CommandPlan.of(each, layout.project) for each in layout.after_up),
        before_down=tuple(CommandPlan.of(each, layout.project) for each in layout.before_down),
    )


class _Planner:
    """Plans the peers of one layout; `problems`, `notices` and `profiles` grow meanwhile."""

    def __init__(
        self,
        layout: Layout,
        identity: str,
        agent: str | None,
        decisions: Sequence[Decision],
        present: Sequence[PeerPlan],
    ) -> None:
        self.problems = Problems(layout.path)
        self.notices: dict[str, None] = {}
        self.profiles: list[Profile] = []
        self._layout = layout
        self._team = identity
        self._agent = agent
        planned = {spec.name: spec.role for spec in layout.peers}
        self._roles = {**{peer.name: peer.role for peer in present}, **planned}
        self._sessions = {peer.name: peer.session_id for peer in present}
        self._decisions = {decision.peer: decision for decision in decisions}
        start = Mark(layout.path, 1, 1)
        self._profiles = load_profiles(layout={name: Tree(data, {"": start}) for name, data in layout.agents.items()})
        if agent is not None:
            self._resolve_agent(agent)

    def peer(self, spec: PeerSpec) -> PeerPlan | None:
        """Return what is to run for `spec`, None after noting why nothing can."""
        key = BOARD if spec.is_board else f"peers.{spec.name}"
        decision = self._decisions.get(spec.name)
        if decision is not None and decision.verdict == "reuse":
            return self._reused(spec, decision)
        if decision is not None and decision.verdict == "refuse":
            self.problems.add(spec.mark, key, f"{decision.reasons[-1].why}; {decision.advice}")
        if decision is not None and decision.verdict == "skip":
            self.notices[f"{spec.name} is skipped: {decision.reasons[-1].why}; {decision.advice}"] = None
            return None
        if not spec.cwd.is_dir():
            self.problems.add(spec.mark, key, f"directory {spec.cwd} does not exist")
        if spec.is_board and importlib.util.find_spec("textual") is None:
            self.problems.add(spec.mark, key, "textual is not installed: pip install 'intercom-mux[watch]'")
        resolved = self._resolve(spec, key)
        if resolved is None:
            return None
        if missed := native_place.problem(resolved.profile, spec.env):
            self.problems.add(spec.mark, key, missed)
        self.profiles.append(resolved.profile)
        self._tell(spec, resolved)
        worktree = self._worktree(spec, key)
        if worktree is not None:
            spec = replace(spec, cwd=Path(worktree.cwd))
        return replace(self._plan(spec, resolved), worktree=worktree)

    def _worktree(self, spec: PeerSpec, key: str) -> WorktreePlan | None:
        if spec.worktree is None or not spec.cwd.is_dir():
            return None
        from intercom_mux.team import worktrees  # few teams have any
        from intercom_mux.team.git import GitError

        try:
            return worktrees.plan(
                spec.worktree, team=self._layout.name, project=self._layout.project, peer=spec.name, cwd=spec.cwd
            )
        except GitError as error:
            self.problems.add(spec.mark, f"{key}.worktree", error.message)
            return None

    def _reused(self, spec: PeerSpec, decision: Decision) -> PeerPlan:
        return PeerPlan(
            name=spec.name,
            role=spec.role,
            profile="reused",
            argv=(),
            cwd=str(spec.cwd),
            session_id=decision.session or "",
            is_reference=spec.is_reference,
            origin="reused",
        )

    def _session(self, name: str) -> str:
        """Return the broker id that a peer has or will have."""
        decision = self._decisions.get(name)
        known = decision.session if decision else self._sessions.get(name)
        return known or session_id(self._team, name)

    def _resolve(self, spec: PeerSpec, key: str) -> Resolved | None:
        if spec.command is not None:
            if _find_command(spec.command[0], spec) is None:
                self.problems.add(spec.mark, key, f"program {spec.command[0]} is not found on PATH")
            return resolve(COMMAND, profiles=self._profiles)
        try:
            return self._resolve_agent(self._agent or spec.agent or AUTO)
        except LayoutError as error:
            self.problems.add(spec.mark, key, f"{error.message}; {error.hint}" if error.hint else error.message)
            return None

    def _resolve_agent(self, agent: str) -> Resolved:
        return resolve(agent, profiles=self._profiles, order=auto_order() if agent == AUTO else ())

    def _tell(self, spec: PeerSpec, resolved: Resolved) -> None:
        """Note what the user would not expect."""
        profile = resolved.profile
        if resolved.notice:
            self.notices[resolved.notice] = None
        if spec.prompt and (spec.command is not None or not profile.takes("prompt")):
            self.notices[f"{spec.name}: {profile.name} takes no prompt; it is left out"] = None
        if spec.trust and profile.trust is None and profile.binaries:
            told = f"{profile.name} cannot be told for one start only to trust a directory: answer its question once"
            self.notices[f"{spec.name}: {told}"] = None
        if profile.reply != reply_channel(profile):
            told = f"{profile.name} needs our MCP tools to answer messages: install intercom-mux[mcp]"
            self.notices[told] = None

    def _plan(self, spec: PeerSpec, resolved: Resolved) -> PeerPlan:
        profile = resolved.profile
        facts = self._facts(spec, resolved)
        started = launch(profile, facts)
        argv = limited(spec.command or started.argv, spec.resources)
        env = {**started.env, **spec.env}
        return PeerPlan(
            name=spec.name,
            role=spec.role,
            profile=profile.name,
            argv=argv,
            cwd=str(spec.cwd),
            session_id=facts.session,
            env={**env, "PATH": _path_with_ourselves(env)},
            unset=tuple(name for name in started.unset if name not in env),
            model=spec.model or profile.name,
            digest=_digest(spec, profile, facts),
            is_reference=spec.is_reference,
            files=started.files,
            routes=started.routes,
            reply=reply_channel(profile),
            place=str(native_place.agent_dir(profile.name, spec.env)) if "native" in started.routes else "",
            depends_on=spec.depends_on,
            restart=spec.restart,
        )

    def _facts(self, spec: PeerSpec, resolved: Resolved) -> Facts:
        supervisor = self._layout.supervisor if self._layout.supervisor != spec.name else None
        others = [(name, role) for name, role in self._roles.items() if name != spec.name and role != BOARD]
        channel = reply_channel(resolved.profile)
        return Facts(
            name=spec.name,
            role=spec.role,
            cwd=str(spec.cwd),
            binary=resolved.binary,
            prompt=spec.prompt,
            model=spec.model,
            briefing=briefing(name=spec.name, role=spec.role, peers=others, supervisor=supervisor, channel=channel),
            team=self._layout.name,
            team_id=self._team,
            index=str(list(self._roles).index(spec.name)),
            session=session_id(self._team, spec.name),
            scope=self._team if self._layout.isolated else "",
            supervisor=supervisor,
            supervisor_session=self._session(supervisor) if supervisor else None,
            identity=str(paths.peer_identity_file(self._team, spec.name)),
            dir=str(paths.peer_dir(self._team, spec.name)),
            trust=spec.trust,
        )


def _find_command(program: str, spec: PeerSpec) -> str | None:
    if os.sep in program:
        path = spec.cwd / program
        return str(path) if os.access(path, os.X_OK) and path.is_file() else None
    return shutil.which(program, path=spec.env.get("PATH", os.environ.get("PATH")))


def _digest(spec: PeerSpec, profile: Profile, facts: Facts) -> str:
    """Return the digest of what a peer is started from, but for its briefing: that others came is no drift of it."""
    started = launch(profile, replace(facts, briefing="…"))
    argv, env = limited(spec.command or started.argv, spec.resources), {**started.env, **spec.env}
    counted = [argv, str(spec.cwd), env, profile.unset, spec.role, profile.name, started.files]
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:16]


def _path_with_ourselves(env: Mapping[str, str]) -> str:
    """Return PATH, with our script's directory last if need be, so that agents find `intercom-mux` in any install."""
    path = env.get("PATH", os.environ.get("PATH", os.defpath))
    if shutil.which("intercom-mux", path=path):
        return path
    return f"{path}{os.pathsep}{Path(sys.executable).parent}"
