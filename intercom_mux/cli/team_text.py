"""How teams are shown: progress while coming up, the summary, the overview, the end. A plan is in `plan_text.py`."""

from __future__ import annotations

import json
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from intercom_mux.cli.text import current_task, cut, plural, short_path, span, table, team_task_cells, width
from intercom_mux.config import guess
from intercom_mux.team.multiplexer import attach_argv

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from intercom_mux.team.plan import TeamPlan
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]

_NO_AGENTS = ("shell", "command")
"""What may run in a pane and answer nothing by itself."""


def json_text(value: object) -> str:
    """Return `value` as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


class Progress:
    """One line on stderr that says what `up` is doing, on a terminal only. A context manager; it cleans up."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._waiting: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._paint("")

    def show(self, event: Json) -> None:
        """Take one event of the team daemon."""
        if event["event"] == "plan":
            self._waiting = list(event["missing"])
            self._paint(f"starting {', '.join(self._waiting)} …" if self._waiting else "")
        elif event.get("peer") in self._waiting:
            self._waiting.remove(event["peer"])
            self._paint(f"waiting for {', '.join(self._waiting)} …" if self._waiting else "")

    def _paint(self, text: str) -> None:
        if self._is_terminal:
            # A line that wraps could not be taken back.
            columns = width(sys.stderr)
            sys.stderr.write(f"\r\x1b[K{cut(text, columns - 1 if columns else None)}")
            sys.stderr.flush()


def summarise(plan: TeamPlan, state: TeamState, difference: Json, statuses: dict[str, str]) -> Json:
    """Return what `up --json` prints."""
    roles = {peer.name: peer for peer in plan.peers}
    return {
        "team": state.name,
        "id": state.id,
        "project": str(state.project),
        "socket": str(state.socket),
        "attach": shlex.join(attach_argv(state)),
        "started": [name for name in difference.get("missing", []) if statuses.get(name) != "not-started"],
        "running": difference.get("running", []),
        "drifted": difference.get("drifted", []),
        "extra": difference.get("extra", []),
        "reused": difference.get("reused", []),
        "added": difference.get("added", []),
        "notices": list(plan.notices),
        "peers": [
            {
                "name": peer.name,
                "role": peer.role,
                "agent": peer.agent,
                "cwd": str(peer.cwd),
                "session": peer.session_id,
                "surface": peer.surface,
                "pid": peer.pid,
                "state": "reused" if peer.is_reused else statuses.get(peer.name, "running"),
                "origin": peer.origin,
                "is_reference": peer.name in roles and roles[peer.name].is_reference,
                "attach": "" if peer.is_reused else shlex.join(attach_argv(state, peer.surface)),
            }
            for peer in state.peers.values()
        ],
    }


def summary(value: Json) -> str:
    """Return what `up` prints: who is there, how to watch each, and what to do next."""
    from intercom_mux.layout.model import BOARD  # loaded by `up`, and not needed by the others

    started, running = value["started"], value["running"]
    if not started:
        head = f"{value['team']} is up already: {plural(len(running), 'peer runs', 'peers run')}"
    else:
        more = f", {len(running)} ran already" if running else ""
        head = f"{value['team']} is up: {plural(len(started), 'peer', 'peers')} started{more}"
    lines = [f"note: {notice}" for notice in value["notices"]]
    lines += [head, _peers(value["peers"])]
    if value["drifted"]:
        names = ", ".join(value["drifted"])
        lines.append(f"changed since it was started, left as it runs: {names} (`down` and `up` apply it)")
    if value["reused"]:
        lines.append(f"sessions that were there, never restarted, typed into or ended: {', '.join(value['reused'])}")
    if value["added"]:
        lines.append(f"added by `spawn` or `scale`: {', '.join(value['added'])}")
    if value["extra"]:
        lines.append(f"not in the layout any more, left running: {', '.join(value['extra'])}")
    others = [peer for peer in reversed(value["peers"]) if peer["role"] != BOARD]
    others.sort(key=lambda peer: peer["agent"] in _NO_AGENTS)
    talk = others[0]["name"] if others else "NAME"
    lines += [
        f"watch  {value['attach']}",
        f'talk   intercom-mux ask {talk} "…"',
        "stop   intercom-mux down",
    ]
    return "\n".join(lines)


def _peers(peers: list[Json]) -> str:
    """Return a line per peer that ends in how to watch it, by the multiplexer's own command where there is room."""

    def rows(attach: Callable[[Json], str]) -> list[tuple[str, ...]]:
        return [(peer["name"], peer["role"], peer["agent"], peer["state"], attach(peer)) for peer in peers]

    columns = width()
    exact = table(rows(lambda peer: peer["attach"]), indent="  ")
    if columns is None or max(map(len, exact.split("\n"))) <= columns:
        return exact
    return table(rows(lambda peer: peer["attach"] and f"intercom-mux attach {peer['name']}"), indent="  ")


_CHANGES = {
    "known": "is in the team already",
    "absent": "is no peer of the team; nothing to end",
    "ended": "is ended, its pane closed and its mail returned",
    "released": "is let go of; it goes on where it runs",
    "reused": "is a session that was there; it is never restarted, typed into or ended",
}


def changed(rows: Sequence[Json], known: Collection[str] = ()) -> str:
    """Return what `spawn`, `kill`, `restart` and `scale` print: one line per peer, of a team that has those `known`."""
    lines = [f"note: {notice}" for row in rows for notice in row.get("notices", ())]
    for row in rows:
        near = guess(row["peer"], known) if row["state"] == "absent" else ""
        lines.append(f"{row['peer']} {_CHANGES.get(row['state'], 'is ' + row['state'])}{near}")
    return "\n".join(lines)


def ended(row: Json, called: str) -> str:
    """Return what `down` prints for one team, called so beside the others."""
    if row.get("detached"):
        return f"{called}: going down, this pane included; its log is {row['log']}"
    lines = [f"{called} is down: {plural(row['ended'], 'process', 'processes')} ended, none left"]
    lines += [f"  left alone: {s['pid']} {s['command'][:80]} ({s['why']})" for s in row["spared"]]
    lines += [f"  cmux did not let us close the surface of {name}; close it there if it stays" for name in row["left"]]
    lines += [f"  {kept['peer']}: {kept['told']}" for kept in row["worktrees"]]
    return "\n".join(lines)


def overview(seen: Json) -> str:
    """Return what `status` prints."""
    lines = [_session_line(seen["session"]), _broker_line(seen["broker"])]
    lines += [f"left out {problem}" for problem in seen["unreadable"]]
    team = seen["team"]
    if seen["teams"]:
        lines += [
            "teams    choose one with `--team`",
            table(map(_team_cells, seen["teams"]), columns=width(), indent="  "),
        ]
    elif team is None:
        lines.append("team     none is running; start one with `intercom-mux up`")
    else:
        lines.append(f"team     {team['name']} in {team['project']} · {_watched(team)}")
        has_tasks = bool(seen["tasks"])
        head = ("PEER", "ROLE", "AGENT", "STATUS", "FOR", "UP", *(["TASK"] if has_tasks else []), "CWD")
        rows = [
            (
                *(peer["name"], peer["role"], peer["agent"], peer["status"] or "unknown"),
                *(_since(peer["status_since"]), _age(peer["age_s"])),
                *([_task(peer, team["id"], seen["tasks"])] if has_tasks else []),
                short_path(peer["cwd"]),
            )
            for peer in team["peers"]
        ]
        lines.append(table([head, *rows], columns=width(), indent="  ", ends_in_path=True))
    if seen["tasks"]:
        lines += ["tasks", table(team_task_cells(seen["tasks"]), columns=width(), indent="  ")]
    pending = seen["pending"]
    if pending and (pending["to_me"] or pending["from_me"]):
        to_me, from_me = len(pending["to_me"]), len(pending["from_me"])
        lines.append(f"asks     {to_me} to you, {from_me} of yours (`intercom-mux pending`)")
    return "\n".join(lines)


def _task(peer: Json, team: str, tasks: list[Json]) -> str:
    row = current_task(peer["name"], team, tasks)
    return f"{row['id']} {row['percent']}%" if row else "-"


def _team_cells(team: Json) -> tuple[str, ...]:
    counts = [f"{count} {status}" for status, count in team["statuses"].items()]
    return team["name"], team["project"], _watched(team), ", ".join(counts) or "no peers"


def _watched(team: Json) -> str:
    return f"daemon {team['daemon']}" if team["daemon"] else "DAEMON GONE: run `intercom-mux up` again"


def _since(at_ms: float | None) -> str:
    return span(max(0, time.time() - at_ms / 1000)) if at_ms else "-"


def _age(seconds: int | None) -> str:
    return span(seconds) if seconds is not None else "-"


def _session_line(session: Json | None) -> str:
    if session is None:
        return "you      not connected"
    waiting = f", {plural(session['waiting'], 'message waits', 'messages wait')}" if session["waiting"] else ""
    return f"you      {session['name']} ({session['id']}){waiting}"


def _broker_line(broker: Json | None) -> str:
    if broker is None:
        return "broker   not running; it starts by itself when it is needed"
    facts = [
        f"pid {broker['pid']}",
        f"up {span(broker['uptime_s'])}",
        plural(broker["sessions"], "session", "sessions"),
        plural(broker["waiting_messages"], "message waits", "messages wait"),
    ]
    return f"broker   {' · '.join(facts)} · {broker['socket']}"
