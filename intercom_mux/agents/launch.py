"""What a profile becomes for one peer: command line, environment, files. Pure but for looking for our own programs."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux.agents import late
from intercom_mux.agents.profile import CONDITIONS, LATE, PLACEHOLDER, Channel
from intercom_mux.host.process import SCRIPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intercom_mux.agents.profile import Generated, Profile


_DROPPED = object()


@dataclass(frozen=True, slots=True)
class Facts:
    """What placeholders stand for; None or "" where there is no such value.

    `index` is the peer's place in the layout from 0, `dir` its private directory, `identity` its identity file, `trust`
    what the layout says.
    """

    name: str
    role: str
    cwd: str
    binary: str | None = None
    prompt: str | None = None
    model: str | None = None
    briefing: str = ""
    team: str = ""
    team_id: str = ""
    index: str = ""
    session: str = ""
    scope: str = ""
    supervisor: str | None = None
    supervisor_session: str | None = None
    identity: str = ""
    dir: str = ""
    trust: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """What to exec, with which environment, beside which files (name → content).

    Late placeholders are still in it, as `late.py` fills them in and shows them.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    routes: tuple[str, ...] = ()


def launch(profile: Profile, facts: Facts) -> Launch:
    """Return how the peer of `facts` is started; what has no value or whose condition does not hold is left out."""
    values = _values(facts)
    argv = [
        _rendered(word, values)
        for part in profile.argv
        if _holds(part.condition, values) and all(_is_known(word, values) for word in part.words)
        for word in part.words
    ]
    env = _made(profile.env, values)
    return Launch(
        argv=tuple(argv),
        env=env,
        unset=tuple(name for name in profile.unset if name not in env),
        files=_made(profile.files, values),
        routes=_routes(profile, values),
    )


def reply_channel(profile: Profile) -> Channel:
    """Return how the agent is told to answer: by MCP where its profile wants that and the SDK is installed."""
    return "mcp" if profile.reply == "mcp" and has_mcp() else "cli"


@cache
def has_mcp() -> bool:
    """Return whether the MCP SDK is installed with us."""
    return importlib.util.find_spec("mcp") is not None


@cache
def our_command() -> str:
    """Return the path of the `intercom-mux` script of this installation, else of the one on PATH."""
    beside = Path(sys.executable).parent / SCRIPT
    return str(beside) if beside.exists() else shutil.which("intercom-mux") or str(beside)


def _values(facts: Facts) -> dict[str, str]:
    values = {name: late.mark(name) for name in LATE}
    values |= {name: getattr(facts, name) or "" for name in Facts.__slots__ if name != "trust"}
    values |= {"python": sys.executable, "cli": our_command()}
    # These two are only asked for by conditions.
    return values | {"trust": "true" if facts.trust else "", "mcp": "true" if has_mcp() else ""}


def _routes(profile: Profile, values: Mapping[str, str]) -> tuple[str, ...]:
    has_hooks = profile.hooks is not None and _holds(profile.hooks.condition, values)
    return tuple(route for route in profile.routes if route != "hook" or has_hooks)


def _holds(condition: str | None, values: Mapping[str, str]) -> bool:
    return condition is None or (condition in CONDITIONS and bool(values[condition]))


def _is_known(text: str, values: Mapping[str, str]) -> bool:
    return all(values[match[1]] for match in PLACEHOLDER.finditer(text))


def _rendered(text: str, values: Mapping[str, str]) -> str:
    def value(match: Any) -> str:
        plain = values[match[1]]
        if match[2] == "json":
            return _dumped(plain)
        return shlex.quote(plain) if match[2] == "sh" else plain

    return PLACEHOLDER.sub(value, text)


def _made(templates: tuple[Generated, ...], values: Mapping[str, str]) -> dict[str, str]:
    made: dict[str, str] = {}
    for template in templates:
        if not _holds(template.condition, values):
            continue
        if not isinstance(template.content, str):
            made[template.name] = _dumped(_chosen(template.content, values))
        elif _is_known(template.content, values):
            made[template.name] = _rendered(template.content, values)
    return made


def _dumped(data: Any) -> str:
    """Return JSON with late marks as `fill` looks for them: JSON has no NUL but as an escape."""
    text = json.dumps(data, ensure_ascii=False)
    for name in LATE:
        text = text.replace(f"\\u0000{name}\\u0000", late.mark(name))
    return text


def _chosen(data: Any, values: Mapping[str, str]) -> Any:
    """Return JSON data with its texts rendered and what depends on a condition put in or dropped."""
    if isinstance(data, str):
        return _rendered(data, values) if _is_known(data, values) else _DROPPED
    if isinstance(data, list):
        return [item for item in (_chosen(item, values) for item in data) if item is not _DROPPED]
    if isinstance(data, dict) and set(data) == {"if", "then"}:
        return _chosen(data["then"], values) if _holds(data["if"], values) else _DROPPED
    if isinstance(data, dict):
        chosen = {name: _chosen(value, values) for name, value in data.items()}
        return {name: value for name, value in chosen.items() if value is not _DROPPED}
    return data
