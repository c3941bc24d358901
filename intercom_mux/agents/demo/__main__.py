"""`python -I -m intercom_mux.agents.demo --name NAME --role ROLE [--prompt TEXT]` runs one demo agent in this terminal.

It ends with status 0 on `quit`, Ctrl-C, the end of its input or a lost terminal, and 143 on SIGTERM.
`INTERCOM_MUX_DEMO_PACE` scales the short pauses that make its steps readable; 0 removes them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from intercom_mux.agents.demo.agent import Agent
from intercom_mux.agents.demo.intercom import connect
from intercom_mux.agents.demo.planner import Planner
from intercom_mux.agents.demo.terminal import Terminal
from intercom_mux.agents.demo.worker import Worker

_ROLES: dict[str, type[Agent]] = {"worker": Worker, "planner": Planner}
_PACE_S = 0.1


def main() -> None:
    """Run until the person, the terminal or a signal ends it."""
    parser = argparse.ArgumentParser(prog="intercom-mux demo agent", description="A small agent that needs no account.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--role", required=True)
    parser.add_argument("--prompt", default="")
    options = parser.parse_args(_joined(sys.argv[1:]))
    with Terminal() as terminal:
        terminal.status("starting")
        role = _ROLES.get(options.role.lower(), Agent)
        agent = role(options.name, options.role, terminal, connect, Path.cwd(), prompt=options.prompt, pace_s=_pace_s())
        agent.start()
        _serve(agent, terminal)


def _serve(agent: Agent, terminal: Terminal) -> None:
    """Act on what is submitted, in order, until the input ends."""
    while True:
        if not terminal.has_submissions():
            terminal.status("idle")
        try:
            submission = terminal.next_submission(agent.tick_s)
        except EOFError:
            return
        if submission is None:
            agent.tick()
        else:
            terminal.status("thinking")
            agent.handle(submission)


def _joined(arguments: list[str]) -> list[str]:
    """Return the arguments with `--prompt TEXT` as one, so that a text may begin with a dash."""
    if "--prompt" not in arguments[:-1]:
        return arguments
    at = arguments.index("--prompt")
    return [*arguments[:at], f"--prompt={arguments[at + 1]}", *arguments[at + 2 :]]


def _pace_s() -> float:
    """Return the pause between steps in seconds, at most 0.1."""
    try:
        scale = float(os.environ.get("INTERCOM_MUX_DEMO_PACE", "1"))
    except ValueError:
        scale = 1.0
    return _PACE_S * min(max(scale, 0.0), 1.0)


main()
