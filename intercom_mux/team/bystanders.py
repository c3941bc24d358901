"""Processes that a team may have started but that others use as well. Knowing one by name only ever spares it."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from intercom_mux.host.process import has_terminal

if TYPE_CHECKING:
    import psutil

_MULTIPLEXERS = ("tmux", "psmux", "cmux", "zellij", "screen")
_SHARED_DAEMONS = (("codex", "app-server", "--managed-daemon"), ("codex", "daemon", "pid-update-loop"))
"""Program and arguments of daemons that agents start once per user and share with windows outside the team."""


def shared_service(process: psutil.Process, *, in_tree: bool) -> str | None:
    """Return which shared service a process is, by name and arguments and by having no terminal; None for any other.

    With `in_tree` the daemons of agents do not count: what runs inside a pane's tree serves that pane.

    Raises:
        psutil.Error: The process is gone or closed to us.
    """
    name = process.name().lower()
    argv = process.cmdline()
    if name.split(":")[0] in _MULTIPLEXERS and "client" not in name and not has_terminal(process):
        return "multiplexer server"
    if (_is_own_service(argv) or _is_stock_broker(argv)) and not has_terminal(process):
        return "intercom service"
    if not in_tree and _is_shared_daemon(argv):
        return "agent daemon that others may use"
    return None


def _is_own_service(argv: list[str]) -> bool:
    """True for `python … -m intercom_mux[.module] …` and `intercom-mux …` that run a broker or a team daemon."""
    for at, word in enumerate(argv):
        is_module = at > 0 and argv[at - 1] == "-m" and word.partition(".")[0] == "intercom_mux"
        if is_module or PurePath(word).name == "intercom-mux":
            verbs = [*(word.split(".")[1:] if is_module else ()), *argv[at + 1 : at + 2]]
            return any(verb in ("broker", "daemon") for verb in verbs)
    return False


def _is_stock_broker(argv: list[str]) -> bool:
    """True for the broker that pi and atomic sessions share, whatever runs it."""
    return any("intercom" in word and word.endswith("/broker/broker.ts") for word in argv)


def _is_shared_daemon(argv: list[str]) -> bool:
    words = " ".join(argv).split()
    programs = [PurePath(word).name for word in words[:2]]
    return any(
        any(program.startswith(agent) for program in programs) and set(arguments) <= set(words)
        for agent, *arguments in _SHARED_DAEMONS
    )
