"""Plans of further peers for a team that runs: for `spawn` from what the command says, for `scale` from the file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.errors import LayoutError, TeamError
from intercom_mux.layout.find import find_layout
from intercom_mux.layout.load import load_layout
from intercom_mux.layout.model import NAME_PATTERN, NAME_RULE, Arrangement, Layout, Mark, PeerSpec
from intercom_mux.layout.peers import MAX_COUNT
from intercom_mux.team import plan_file
from intercom_mux.team.decide import Decision, Request, decide
from intercom_mux.team.facts import gather, repository_of
from intercom_mux.team.planner import make_plan

if TYPE_CHECKING:
    from intercom_mux.team.plan import TeamPlan
    from intercom_mux.team.state import TeamState


@dataclass(frozen=True, slots=True)
class Wish:
    """A peer that `spawn` is asked for; `cwd` is absolute."""

    name: str
    role: str
    cwd: Path
    agent: str | None = None
    prompt: str = ""
    model: str | None = None
    is_reference: bool = False
    is_one_shot: bool = False


def decide_spawn(team: TeamState, wish: Wish) -> Decision:
    """Return what the spawn decision rule says of a wish; starts nothing."""
    references = [Path(peer.cwd) for peer in plan_file.recorded(team).peers if peer.is_reference]
    scope = team.id if team.isolated else ""
    facts = gather(team.id, team.project, mux=team.mux, scope=scope, references=references)
    return decide(
        Request(
            name=wish.name,
            role=wish.role,
            cwd=os.path.realpath(wish.cwd),
            verb="spawn",
            prompt=wish.prompt,
            repository=repository_of(wish.cwd),
            is_reference=wish.is_reference,
            is_one_shot=wish.is_one_shot,
        ),
        facts,
    )


def plan_spawn(team: TeamState, wish: Wish, decision: Decision) -> TeamPlan:
    """Return a plan of the one peer.

    Raises:
        LayoutError: Its directory, agent or program is missing.
        TeamError: The name is no name (`E_NAME`), or another peer has it in other letters.
    """
    if re.fullmatch(NAME_PATTERN, wish.name) is None:
        raise TeamError(f"{wish.name!r} is no peer's name", code="E_NAME", hint=f"a name has {NAME_RULE}")
    taken = [name for name in team.peers if name.casefold() == wish.name.casefold() and name != wish.name]
    if taken:
        raise TeamError(f"{team.name} has a peer {taken[0]}", code="E_NAME", hint="choose a name of other letters")
    before = plan_file.recorded(team)
    here = Mark(Path("spawn"), 1, 1)
    spec = PeerSpec(
        name=wish.name,
        role=wish.role,
        agent=None,
        command=None,
        cwd=wish.cwd,
        mark=here,
        prompt=wish.prompt or None,
        model=wish.model,
        is_reference=wish.is_reference,
        entry=wish.name,
    )
    layout = Layout(
        name=team.name,
        path=here.path,
        project=team.project,
        mux=team.mux,
        arrange=Arrangement.of(before.arrange),
        peers=(spec,),
        supervisor=before.supervisor,
        isolated=team.isolated,
        agents=before.agents,
        notify=before.notify,
    )
    try:
        plan = make_plan(layout, agent=wish.agent or before.agent, decisions=[decision], team=before)
    except LayoutError as error:
        if "problems" not in error.fields:
            raise
        # Their places are in no file: what is wrong was said on the command line.
        told = "; ".join(problem["problem"] for problem in error.fields["problems"])
        raise LayoutError(f"{wish.name} cannot be spawned: {told}", code=error.code) from None
    return _marked(plan, before, "spawned")


@dataclass(frozen=True, slots=True)
class Scaling:
    """What `scale` means: peers to add (None for none), and names to end, the highest number first."""

    plan: TeamPlan | None
    ending: list[str]
    staying: list[str]


def plan_scale(team: TeamState, entry: str, count: int) -> Scaling:
    """Return how to have `count` peers of a layout's entry; the file is read as it is now.

    Raises:
        TeamError: The layout has no such entry (`E_NO_ENTRY`), or may not have so many (`E_TOO_MANY`).
        LayoutError: The layout, or what its peers need, is at fault.
    """
    before = plan_file.recorded(team)
    numbered = [(number, name) for name in team.peers if (number := _number(entry, name)) is not None]
    members = [name for _, name in sorted(numbered)]
    if count <= len(members):
        return Scaling(None, members[count:][::-1], members[:count])
    if count > MAX_COUNT:
        raise TeamError(
            f"{entry}={count} is too many", code="E_TOO_MANY", hint=f"an entry has {MAX_COUNT} peers at most"
        )
    layout = load_layout(
        find_layout(str(team.layout_path), team.project), variables=before.variables, environ=os.environ
    )
    specs = {spec.name: spec for spec in layout.peers if spec.entry == entry}
    if not specs:
        raise TeamError(
            f'the layout has no entry "{entry}"',
            code="E_NO_ENTRY",
            hint=f"see `intercom-mux validate {team.layout_path}`; a single peer comes by `intercom-mux spawn`",
        )
    pattern = next(iter(specs.values()))
    names = _new_names(entry, members, count)
    added = tuple(specs.get(name, replace(pattern, name=name)) for name in names)
    layout = replace(layout, project=team.project, name=team.name, peers=added)
    plan = make_plan(layout, agent=before.agent, variables=before.variables, team=before)
    return Scaling(_marked(plan, before, "scaled", set(specs)), [], members)


def _new_names(entry: str, members: list[str], count: int) -> list[str]:
    """Return the lowest free numbered names; an entry that had one bare peer goes on with 2."""
    taken = {_number(entry, name) for name in members}
    names: list[str] = []
    number = 1
    while len(members) + len(names) < count:
        if number not in taken:
            names.append(f"{entry}-{number}")
        number += 1
    return names


def _number(entry: str, name: str) -> int | None:
    """Return which one of an entry's peers has this name, 1 for the bare name; None for a peer of another entry."""
    if name == entry:
        return 1
    head, dash, number = name.rpartition("-")
    return int(number) if head == entry and dash and number.isdecimal() else None


def _marked(plan: TeamPlan, before: TeamPlan, origin: str, of_layout: set[str] | None = None) -> TeamPlan:
    """Return the plan with its peers marked with why the team has them."""
    kept = of_layout or set()
    peers = tuple(peer if peer.is_reused or peer.name in kept else replace(peer, origin=origin) for peer in plan.peers)
    return replace(plan, peers=peers, arrange=before.arrange, agent=before.agent)
