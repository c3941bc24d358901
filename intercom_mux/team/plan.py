"""Exact data of a team: what to start, where, with which command. It travels to the team's daemon as JSON.

`team/planner.py` makes it; the daemon needs no more than this.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from intercom_mux.layout.model import Dependency, Restart
from intercom_mux.team.command_plan import CommandPlan

if TYPE_CHECKING:
    from intercom_mux.team.worktrees import WorktreePlan

Json = dict[str, Any]
_NO_RESTART = Restart()


@dataclass(frozen=True, slots=True)
class PeerPlan:
    """One peer, ready to exec but for its late values (`agents/late.py`).

    Attributes:
        files: Name → content, written into its private directory at its start.
        routes: How messages reach it, best first.
        reply: How it is told to answer, "cli" or "mcp".
        place: The agent directory where its own client looks for a broker, "" without one.
        origin: Why the team has it, as in `team/state.py`; one that is "reused" has a session and nothing to start.
        digest: Changes whenever anything it is started from does; drift is told by it.
    """

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
    files: dict[str, str] = field(default_factory=dict)
    routes: tuple[str, ...] = ()
    reply: str = "cli"
    place: str = ""
    origin: str = "layout"
    worktree: WorktreePlan | None = None
    depends_on: tuple[Dependency, ...] = ()
    restart: Restart = _NO_RESTART

    @classmethod
    def from_json(cls, value: Json) -> PeerPlan:
        """Return the peer that `dataclasses.asdict` gave."""
        revived: Json = {key: tuple(value[key]) for key in ("argv", "unset", "routes")}
        if value["worktree"]:
            from intercom_mux.team.worktrees import WorktreePlan

            revived["worktree"] = WorktreePlan.from_json(value["worktree"])
        revived["depends_on"] = tuple(Dependency(**each) for each in value["depends_on"])
        return cls(**{**value, **revived, "restart": Restart(**value["restart"])})

    @property
    def is_reused(self) -> bool:
        """Whether it is a session that registered by itself."""
        return self.origin == "reused"


@dataclass(frozen=True, slots=True)
class TeamPlan:
    """A whole team, as the team daemon gets it in JSON; `notices` are for the user, `agents` the layout's profiles.

    `profiles` has the whole data of every profile that its peers use.

    `arrange` is what `Arrangement.to_json` gave.
    `variables` and `agent` are those of the `up` that made it, for plans of further peers.
    """

    id: str
    name: str
    project: str
    layout_path: str
    mux: str
    arrange: Any
    socket: str
    peers: tuple[PeerPlan, ...]
    supervisor: str | None = None
    is_isolated: bool = False
    notices: tuple[str, ...] = ()
    agents: Json = field(default_factory=dict)
    profiles: Json = field(default_factory=dict)
    notify: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    agent: str | None = None
    before_up: tuple[CommandPlan, ...] = ()
    after_up: tuple[CommandPlan, ...] = ()
    before_down: tuple[CommandPlan, ...] = ()

    def to_json(self) -> Json:
        """Return the plan as JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Json) -> TeamPlan:
        """Return the plan that `to_json` gave."""
        revived: Json = {"peers": tuple(map(PeerPlan.from_json, value["peers"]))}
        revived |= {key: tuple(value[key]) for key in ("notices", "notify", "secrets")}
        for stage in ("before_up", "after_up", "before_down"):
            revived[stage] = tuple(CommandPlan(**each) for each in value[stage])
        return cls(**{**value, **revived})
