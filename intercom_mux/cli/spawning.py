"""`spawn`, `kill`, `restart`, `scale`: changing a team that runs. No agent is allowed them in advance."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.complete import peer_names
from intercom_mux.cli.teams import JSON, TEAM, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.team.grow import Wish
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]


@click.command()
@click.argument("name")
@click.option("--role", default="worker", show_default=True, help="Its role.")
@click.option("--agent", metavar="NAME", help="The agent; else that of `up --agent`, else the first installed.")
@click.option("--cwd", type=click.Path(path_type=Path), help="Its directory, in the team's codebase; else the project.")
@click.option("--reference", type=click.Path(path_type=Path), help="Its directory, another codebase on purpose.")
@click.option("--prompt", metavar="TEXT", help="Its first prompt.")
@click.option("--prompt-file", type=click.File(), help="A file with its first prompt.")
@click.option("--model", help="Its model.")
@click.option("--one-shot", is_flag=True, help="Say that the work is done with one answer; then nothing is spawned.")
@click.option("--explain", is_flag=True, help="Say whether it would be started and why; start nothing.")
@click.option("--no-wait", is_flag=True, help="Return when its program lives, without waiting until it is ready.")
@TEAM
@JSON
def spawn(
    name: str,
    role: str,
    agent: str | None,
    cwd: Path | None,
    reference: Path | None,
    prompt: str | None,
    prompt_file: Any,
    model: str | None,
    one_shot: bool,
    explain: bool,
    no_wait: bool,
    team: str | None,
    as_json: bool,
) -> None:
    """Add a peer called NAME to a running team, beside its other panes.

    Whether it is started follows the spawn decision rule (docs/spawning.md): a session of that name, role and
    directory is reused, a single question is better asked, another repository must be a `--reference`. `up` leaves
    such a peer alone, `down` ends it.
    """
    from intercom_mux.cli import team_text
    from intercom_mux.team.grow import Wish, decide_spawn

    if cwd is not None and reference is not None:
        raise click.UsageError("give `--cwd` or `--reference`, not both")
    if prompt is not None and prompt_file is not None:
        raise click.UsageError("give `--prompt` or `--prompt-file`, not both")
    state = select(team)
    wish = Wish(
        name=name,
        role=role,
        cwd=Path(os.path.abspath(reference or cwd or state.project)),
        agent=agent,
        prompt=prompt_file.read() if prompt_file is not None else prompt or "",
        model=model,
        is_reference=reference is not None,
        is_one_shot=one_shot,
    )
    if explain:
        from intercom_mux.cli import plan_text

        row = decide_spawn(state, wish).to_json()
        click.echo(team_text.json_text(row) if as_json else plan_text.explained([row]))
        return
    result = _spawn(state, wish, wait_ready=not no_wait, is_quiet=as_json)
    click.echo(team_text.json_text(result) if as_json else team_text.changed([result]))


def _spawn(state: TeamState, wish: Wish, *, wait_ready: bool, is_quiet: bool) -> Json:
    """Return what became of it.

    Raises:
        TeamError: It is refused (`E_SPAWN_REFUSED`), or ended at once.
        MultiplexerError: It is skipped: there is nowhere to open it.
    """
    from intercom_mux.errors import MultiplexerError, TeamError
    from intercom_mux.team.grow import decide_spawn, plan_spawn

    decision = decide_spawn(state, wish)
    why = decision.reasons[-1].why
    if decision.verdict == "refuse":
        raise TeamError(f"{wish.name} is not spawned: {why}", code="E_SPAWN_REFUSED", hint=decision.advice)
    if decision.verdict == "skip":
        raise MultiplexerError(f"{wish.name} is not spawned: {why}", code="E_NO_MULTIPLEXER", hint=decision.advice)
    if decision.verdict == "keep":
        return {"team": state.name, "peer": wish.name, "state": "known", "notices": []}
    plan = plan_spawn(state, wish, decision)
    request = {"type": "add", "plan": plan.to_json(), "wait": wait_ready}
    told = _change(state, request, f"spawn {wish.name}", is_quiet=is_quiet)
    became = told.get(wish.name, "running")
    return {"team": state.name, "peer": wish.name, "state": became, "notices": list(plan.notices)}


@click.command()
@click.argument("peers", nargs=-1, required=True, shell_complete=peer_names)
@TEAM
@JSON
def kill(peers: tuple[str, ...], team: str | None, as_json: bool) -> None:
    """End PEERS for good: their programs and all that these started, their panes, their mailboxes.

    Who waits for an answer of theirs is told. A reused session is only let go of. The next `up` of a layout that names
    them starts them anew. With the last peer the team is gone.
    """
    state = select(team)
    names = _own_last(state, peers)
    request = {"type": "kill", "peers": names, "idle_only": False}
    told = _change(state, request, f"kill {' '.join(names)}", is_quiet=as_json)
    _show(state, names, told, as_json=as_json)


@click.command()
@click.argument("peers", nargs=-1, required=True, shell_complete=peer_names)
@click.option("--no-wait", is_flag=True, help="Return when every program lives, without waiting until it is ready.")
@TEAM
@JSON
def restart(peers: tuple[str, ...], no_wait: bool, team: str | None, as_json: bool) -> None:
    """End the programs of PEERS and start them again, as they were started before.

    They stay the same sessions: mail that their agents had not taken comes again, and asks to them stay open.
    """
    state = select(team)
    names = _own_last(state, peers)
    request = {"type": "restart", "peers": names, "wait": not no_wait}
    told = _change(state, request, f"restart {' '.join(names)}", is_quiet=as_json)
    _show(state, names, told, as_json=as_json)


@click.command()
@click.argument("sizes", metavar="ENTRY=N", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="End peers that are at work too.")
@click.option("--no-wait", is_flag=True, help="Return when every program lives, without waiting until it is ready.")
@TEAM
@JSON
def scale(sizes: tuple[str, ...], force: bool, no_wait: bool, team: str | None, as_json: bool) -> None:
    """Have N peers of a layout's ENTRY: `scale worker=3`.

    New ones are made as the file says now. Those with the highest numbers are ended first, if they are not at work.
    """
    from intercom_mux.team.grow import plan_scale

    state = select(team)
    wanted = dict(map(_size, sizes))
    scalings = {entry: plan_scale(state, entry, count) for entry, count in wanted.items()}
    told: dict[str, str] = {}
    names: list[str] = []
    for entry, scaling in scalings.items():
        names += scaling.staying
        told |= dict.fromkeys(scaling.staying, "running")
        ending = _own_last(state, scaling.ending)
        if ending:
            request: Json = {"type": "kill", "peers": ending, "idle_only": not force}
            told |= _change(state, request, f"scale {entry}={wanted[entry]}", is_quiet=as_json)
            names += ending
        if scaling.plan is not None:
            request = {"type": "add", "plan": scaling.plan.to_json(), "wait": not no_wait}
            told |= _change(state, request, f"scale {entry}={wanted[entry]}", is_quiet=as_json)
            names += [peer.name for peer in scaling.plan.peers]
    _show(state, names, told, as_json=as_json)


def _size(text_: str) -> tuple[str, int]:
    entry, equals, count = text_.partition("=")
    if not entry or not equals or not count.isdecimal():
        raise click.UsageError(f"{text_!r} is not ENTRY=N, such as worker=3")
    return entry, int(count)


def _own_last(state: TeamState, peers: Sequence[str]) -> list[str]:
    """Return the names once each, the peer of our own pane last: this command ends with it, the daemon goes on."""
    from intercom_mux.client import identity as identities

    pane = identities.of_pane()
    own = pane.name if pane is not None and pane.team == state.id else None
    return sorted(dict.fromkeys(peers), key=lambda name: name == own)


def _change(state: TeamState, request: Json, action: str, *, is_quiet: bool) -> dict[str, str]:
    """Have the daemon do it, with progress as `up` shows it; return name → what became of it."""
    from intercom_mux.cli import team_text
    from intercom_mux.team.up import change

    told: dict[str, str] = {}

    def on_event(event: Json) -> None:
        if "peer" in event:
            told[event["peer"]] = event["event"]
        if not is_quiet:
            progress.show(event)

    with team_text.Progress() as progress:
        change(state, request, on_event, action=action, on_wait=text.note)
    return told


def _show(state: TeamState, names: Sequence[str], told: dict[str, str], *, as_json: bool) -> None:
    from intercom_mux.cli import team_text

    rows = [{"team": state.name, "peer": name, "state": told.get(name, "unknown")} for name in names]
    click.echo(team_text.json_text(rows) if as_json else team_text.changed(rows, state.peers))
