"""`up`, `down`, `status`, `attach`: commands about whole teams."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.complete import layout_names, team_names
from intercom_mux.cli.layouts import variables_option

if TYPE_CHECKING:
    from intercom_mux.errors import TeamError
    from intercom_mux.layout.model import Layout
    from intercom_mux.team.decide import Decision
    from intercom_mux.team.plan import TeamPlan
    from intercom_mux.team.spare_daemon import SpareDaemon
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]

TEAM = click.option("--team", metavar="NAME", shell_complete=team_names, help="The team: its name, NAME@DIR, or id.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.argument("layout", required=False, shell_complete=layout_names)
@click.option("--agent", metavar="NAME", help="Use this agent for every peer that is one; `demo` needs nothing.")
@variables_option
@click.option("--attach", is_flag=True, help="Watch the team in this terminal once it is up.")
@click.option("--dry-run", is_flag=True, help="Print what would be started, and start nothing.")
@click.option("--explain", is_flag=True, help="Say of each peer whether it would be started and why; start nothing.")
@click.option("--no-wait", is_flag=True, help="Return when every program lives, without waiting until it is ready.")
@JSON
@click.pass_obj
def up(
    started_ahead: SpareDaemon | None,
    layout: str | None,
    agent: str | None,
    variables: dict[str, str],
    attach: bool,
    dry_run: bool,
    explain: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Bring up the team of LAYOUT: a file, or a name known to `intercom-mux layouts`.

    What runs already stays as it is; what is missing is started. A connected session of a peer's name and directory
    that is in no team fills its place (docs/spawning.md).
    """
    from intercom_mux.cli import team_text
    from intercom_mux.team.spare_daemon import SpareDaemon

    if explain or dry_run:
        from intercom_mux.cli import plan_text

        if explain:
            _, decisions = _decide(layout, variables)
            rows = [decision.to_json() for decision in decisions]
            click.echo(team_text.json_text(rows) if as_json else plan_text.explained(rows))
        else:
            plan = _plan(layout, agent, variables)
            click.echo(team_text.json_text(plan_text.plan_json(plan)) if as_json else plan_text.dry_run(plan))
        return
    if attach:
        _check_terminal()
    with started_ahead or SpareDaemon() as spare:
        plan = _plan(layout, agent, variables)
        state, summary, failure = _bring_up(plan, spare, layout or plan.name, wait_ready=not no_wait, is_quiet=as_json)
    if failure and as_json:
        raise failure
    click.echo(team_text.json_text(summary) if as_json else team_text.summary(summary))
    if failure:
        raise failure
    if attach:
        _attach(state, None)


def _decide(layout: str | None, variables: dict[str, str]) -> tuple[Layout, tuple[Decision, ...]]:
    from intercom_mux.layout.find import find_layout
    from intercom_mux.layout.load import load_layout
    from intercom_mux.team.decide import decide_all
    from intercom_mux.team.facts import facts_for, requests_of

    found = find_layout(layout, Path.cwd())
    if layout is not None and layout.endswith((".yaml", ".yml")) and found.origin != "path":
        text.note(f"note: there is no file {layout} here; the {found.origin} layout of that name is {found.path}")
    loaded = load_layout(found, variables=variables, environ=os.environ)
    return loaded, decide_all(requests_of(loaded), facts_for(loaded))


def _plan(layout: str | None, agent: str | None, variables: dict[str, str]) -> TeamPlan:
    from intercom_mux.errors import MultiplexerError
    from intercom_mux.mux.tmux_version import install_hint
    from intercom_mux.team.planner import make_plan

    loaded, decisions = _decide(layout, variables)
    plan = make_plan(loaded, agent=agent, variables=variables, decisions=decisions)
    if not plan.peers:
        last = decisions[-1]
        way_out = install_hint() if loaded.mux in ("auto", "tmux") else f"say `mux: auto` instead of {loaded.mux}"
        raise MultiplexerError(
            f"nothing can be started: {last.reasons[-1].why}",
            code="E_TMUX_MISSING",
            hint=f"{way_out}; {last.advice}",
            decisions=[decision.to_json() for decision in decisions],
        )
    return plan


def _bring_up(
    plan: TeamPlan, spare: SpareDaemon, shown: str, *, wait_ready: bool, is_quiet: bool
) -> tuple[TeamState, Json, TeamError | None]:
    """Return the team, what there is to say of it, and why some of its peers were not started, if so."""
    from intercom_mux.cli import team_text
    from intercom_mux.errors import TeamError
    from intercom_mux.team import state as team_states
    from intercom_mux.team.up import up as bring_up

    difference: Json = {}
    statuses: dict[str, str] = {}
    told: set[str] = set()
    failure: TeamError | None = None

    def on_event(event: Json) -> None:
        if event["event"] == "plan":
            difference.update(event)
        elif event["event"] == "waiting":
            text.note(f"waiting until an earlier start of {plan.name} is done")
        elif event["event"] == "output":
            text.note(f"{event['what']} | {event['line']}")
        elif event["event"] == "warning":
            text.note(event["message"])
        elif "peer" in event:
            statuses[event["peer"]] = event["event"]
        told.add(event["event"])
        if not is_quiet:
            progress.show(event)

    try:
        with team_text.Progress() as progress:
            bring_up(plan, spare, on_event, action=f"up {shown}", wait_ready=wait_ready, on_wait=text.note)
    except KeyboardInterrupt:
        if "handed-over" in told:
            text.note(f"{plan.name} goes on starting; see `intercom-mux status`, end it with `intercom-mux down`")
        raise
    except TeamError as error:
        if error.code != "E_NOT_STARTED":
            raise
        failure = error
    state = team_states.load(plan.id)
    if state is None:
        raise failure or TeamError(f"team {plan.name} was taken down while it came up")
    return state, team_text.summarise(plan, state, difference, statuses), failure


@click.command()
@TEAM
@click.option("--all", "everything", is_flag=True, help="End every team.")
@click.option("--grace", "grace_s", type=float, default=3.0, show_default=True, help="Seconds between TERM and KILL.")
@click.option("--after", type=int, hidden=True, help="Begin when this parent process has ended.")
@JSON
def down(team: str | None, everything: bool, grace_s: float, after: int | None, as_json: bool) -> None:
    """End a team: its panes, its processes and everything they started. Nothing of it is left running."""
    from dataclasses import asdict

    from intercom_mux.cli import team_text
    from intercom_mux.errors import TeamError
    from intercom_mux.team import down as teardown
    from intercom_mux.team import state as team_states

    unreadable: list[TeamError] = []
    if after is not None:
        teardown.wait_for_end_of(after)
    teams: list[TeamState]
    if everything:
        teams = team_states.all_teams(unreadable.append)
    else:
        try:
            teams = [select(team)]
        except TeamError as error:
            if error.code != "E_NO_TEAM" or team is not None:
                raise
            teams = []
    rows: list[Json] = []
    for state in teams:
        if teardown.is_inside(state):
            log = teardown.down_detached(state, grace_s)
            rows.append({"team": state.name, "detached": True, "log": str(log)})
            continue
        ended = teardown.down(state, grace_s=grace_s, on_line=text.note, on_wait=text.note)
        spared = [{"pid": s.proc.pid, "command": s.proc.command, "why": s.reason} for s in ended.spared]
        rows.append({"team": ended.team, "ended": ended.ended, "spared": spared, "left": list(ended.left)})
        rows[-1]["worktrees"] = [{**asdict(kept), "told": kept.told} for kept in ended.worktrees]
    if as_json:
        click.echo(team_text.json_text([*rows, *(error.to_json() for error in unreadable)]))
    elif rows or not unreadable:
        labels = [team_states.label(state, teams) for state in teams]
        click.echo("\n".join(map(team_text.ended, rows, labels)) or "nothing runs")
    if unreadable:
        if not as_json:
            for damage in unreadable:
                text.note(text.problem(damage.message, damage.hint))
        click.get_current_context().exit(unreadable[0].exit_code)


def select(team: str | None) -> TeamState:
    """Return the team that a command without more words means."""
    from intercom_mux.client import identity as identities
    from intercom_mux.team.state import select_team

    pane = identities.of_pane()
    return select_team(team, pane.team if pane else None, Path.cwd(), _note_unreadable)


def _note_unreadable(error: TeamError) -> None:
    text.note(f"left out: {error.message}")


@click.command()
@TEAM
@JSON
def status(team: str | None, as_json: bool) -> None:
    """Show this session, the broker, and the team: peers with live status, tasks, waiting asks."""
    from intercom_mux.cli import team_text
    from intercom_mux.team import overview

    seen = overview.look(team, Path.cwd())
    click.echo(team_text.json_text(seen) if as_json else team_text.overview(seen))


@click.command()
@click.argument("peer", required=False)
@TEAM
def attach(peer: str | None, team: str | None) -> None:
    """Watch a team in this terminal, at PEER's pane if given. Detach with Ctrl-B d."""
    from intercom_mux.team.multiplexer import require

    state = select(team)
    surface = surface_of(state, peer) if peer else None
    if state.mux == "tmux":
        require("tmux")
    _check_server(state)
    _check_terminal()
    _attach(state, surface)


def surface_of(state: TeamState, peer: str) -> str:
    from intercom_mux.errors import TeamError
    from intercom_mux.team.state import no_such_peer

    known = state.peers.get(peer)
    if known is not None and known.is_reused:
        raise TeamError(
            f"{peer} is a session that registered by itself, and has no pane here",
            code="E_REUSED",
            hint=f"look at it where it runs; talk to it with `intercom-mux ask {peer}`",
        )
    if known is None or known.surface is None:
        raise no_such_peer(state, peer)
    return known.surface


def _check_terminal() -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("watching a team needs a terminal, and standard input is none")


def _check_server(state: TeamState) -> None:
    from intercom_mux.errors import MultiplexerError
    from intercom_mux.team import processes

    if state.mux != "tmux":
        return
    if state.server is None or not processes.is_alive(state.server):
        raise MultiplexerError(
            f"the tmux server of {state.name} is gone", code="E_SERVER_GONE", hint="start it again: `intercom-mux up`"
        )


def _attach(state: TeamState, surface: str | None) -> None:
    from intercom_mux.host.process import become
    from intercom_mux.team.multiplexer import attach_argv

    argv = attach_argv(state, surface)
    environment = {k: v for k, v in os.environ.items() if k not in {"TMUX", "TMUX_PANE"}}
    sys.stdout.flush()
    become(argv, environment)
