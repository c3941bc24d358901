"""What the machine has: multiplexers, agents, extras, shell completion."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from intercom_mux.agents.installed import survey
from intercom_mux.doctor.finding import Finding
from intercom_mux.mux.choose import backends
from intercom_mux.mux.cmux_recognise import is_inside
from intercom_mux.mux.tmux_version import install_hint

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENT_LIMIT_S = 5.0
"""How long an agent may take to tell its version."""

_EXTRAS = (("mcp", "mcp", "the MCP server"), ("watch", "textual", "the board"))


def multiplexers() -> Iterator[Finding]:
    """Yield one finding for each multiplexer that a team could open in here."""
    for backend in backends(os.environ):
        if backend.is_usable:
            yield Finding("ok", backend.name, backend.why)
        elif backend.name != "cmux":
            yield Finding("error", backend.name, backend.why, install_hint() if backend.name == "tmux" else "")
        elif is_inside():
            yield Finding("warning", "cmux", backend.why, "teams open in tmux with `mux: tmux` in the layout")


def agents() -> Iterator[Finding]:
    """Yield the agents that are installed, with their versions, and profiles that are wrong."""
    found = survey(limit_s=AGENT_LIMIT_S)
    for agent in found:
        if agent.fault:
            yield Finding("error", "agent", f"{agent.name}: {agent.fault}", f"mend {agent.path}")
    here = [agent for agent in found if agent.program and not agent.fault and agent.name not in {"demo", "shell"}]
    for agent in here:
        yield Finding("ok", "agent", f"{agent.name} {agent.version or '(version not told)'} at {agent.program}")
    if not here:
        yield Finding("note", "agent", "none is installed; `agent: auto` is the demo agent then", "intercom-mux agents")


def extras() -> Iterator[Finding]:
    """Yield whether the optional parts are installed."""
    for extra, module, what in _EXTRAS:
        if importlib.util.find_spec(module) is None:
            yield Finding("note", f"[{extra}]", f"{what} is not installed", f"pip install 'intercom-mux[{extra}]'")
        else:
            yield Finding("ok", f"[{extra}]", f"{what} is installed")
