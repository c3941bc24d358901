"""How a plan is shown before anything starts: `--dry-run`, `--explain`, `validate`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from intercom_mux.agents import late
from intercom_mux.cli.text import one_line, plural, table
from intercom_mux.layout.model import Arrangement
from intercom_mux.team import start_order
from intercom_mux.transcript.secrets import looks_secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from intercom_mux.team.command_plan import CommandPlan
    from intercom_mux.team.plan import PeerPlan, TeamPlan

Json = dict[str, Any]

_SHOWN_ARGV = 160
_MEANS = {"abort": "ends the start", "warn": "is told"}


def dry_run(plan: TeamPlan) -> str:
    """Return what `up` would start, command lines included."""
    arranged = Arrangement.of(plan.arrange)
    lines = [f"{plan.name}: {plural(len(plan.peers), 'peer', 'peers')} in {plan.project}, arranged {arranged}"]
    lines.append(f"  {plan.mux} {'socket' if plan.mux == 'tmux' else 'at'} {plan.socket}")
    lines += _commands("before_up", plan.before_up)
    lines += _order(plan)
    for peer in plan.peers:
        if peer.is_reused:
            lines.append(f"  {peer.name} ({peer.role}) is session {peer.session_id}, which is there already")
            continue
        command = one_line(shlex.join(map(late.shown, peer.argv)))
        shown = command if len(command) <= _SHOWN_ARGV else f"{command[:_SHOWN_ARGV]}… (whole with --json)"
        reference = ", a reference" if peer.is_reference else ""
        lines.append(f"  {peer.name} ({peer.role}, {peer.profile}{reference}) in {peer.cwd}")
        lines.append(f"    {shown}")
        lines += _details(peer, plan.secrets)
    lines += _commands("after_up", plan.after_up) + _commands("before_down", plan.before_down)
    lines += [f"note: {notice}" for notice in plan.notices]
    return "\n".join(lines)


def _commands(stage: str, commands: Sequence[CommandPlan]) -> list[str]:
    return [f"  {stage}: {_command(each)} (in {each.cwd}; a failure {_MEANS[each.on_failure]})" for each in commands]


def _command(command: CommandPlan) -> str:
    return one_line(command.argv[2] if command.argv[:2] == ["sh", "-c"] else shlex.join(command.argv))


def _order(plan: TeamPlan) -> list[str]:
    """Return the order of the start, if there is one."""
    if not any(peer.depends_on for peer in plan.peers):
        return []
    waves = start_order.waves({peer.name: peer.depends_on for peer in plan.peers})
    return [f"  order: {', then '.join(' + '.join(wave) for wave in waves)}"]


def _details(peer: PeerPlan, secrets: Collection[str]) -> list[str]:
    """Return what else there is to a peer's start: worktree, what it waits for, restarts, environment, files."""
    lines = []
    if tree := peer.worktree:
        lines.append(f"    worktree {tree.path}, branch {tree.branch} from {tree.base[:12]}, kept {tree.keep}")
        if tree.setup:
            lines.append(f"    set up by: {_command(tree.setup)}")
    if peer.depends_on:
        lines.append(f"    waits for {', '.join(f'{each.peer} ({each.condition})' for each in peer.depends_on)}")
    if peer.restart.policy != "no":
        lines.append(f"    restarted {peer.restart.policy}, {peer.restart.max_retries} times in 10 minutes at most")
    if env := masked({name: value for name, value in peer.env.items() if name != "PATH"}, secrets):
        lines.append(f"    environment {one_line(' '.join(f'{name}={value}' for name, value in env.items()))}")
    if peer.files:
        lines.append(f"    files {', '.join(peer.files)}")
    return lines


def masked(env: Mapping[str, str], marked: Collection[str] = ()) -> dict[str, str]:
    """Return an environment for people: the values of what is `marked`, or named like a secret, are not shown."""
    hidden = {name for name in env if name in marked or looks_secret(name)}
    return {name: "…" if name in hidden else late.shown(value) for name, value in env.items()}


def plan_json(plan: TeamPlan) -> Json:
    """Return what `up --dry-run --json` prints: the plan, with secrets masked, and the order of the start."""
    value = plan.to_json()
    for peer in value["peers"]:
        peer["env"] = masked(peer["env"], plan.secrets)
    value["order"] = start_order.waves({peer.name: peer.depends_on for peer in plan.peers})
    return value


def explained(rows: Sequence[Json]) -> str:
    """Return what `--explain` prints: per peer the verdict, and each condition that was looked at."""
    lines = []
    for row in rows:
        where = {"spawn": f" in {row['backend']}", "reuse": f" {row['session']}"}.get(row["verdict"], "")
        lines.append(f"{row['peer']}: {row['verdict']}{where}")
        reasons = [(each["condition"], "yes" if each["holds"] else "no", each["why"]) for each in row["reasons"]]
        lines.append(table(reasons, indent="  "))
        if row["advice"]:
            lines.append(f"  {row['advice']}")
    return "\n".join(lines)
