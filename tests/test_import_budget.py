"""What hot verbs may import: an exact list, because every further module costs more than the verb itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.stage import TEAM, Peer, echo
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALLOWED = {
    "__future__",
    "_json",
    "_socket",
    "intercom_mux",
    "intercom_mux._entry",
    "intercom_mux._fastpath",
    "intercom_mux._fastpath.caller",
    "intercom_mux._fastpath.line",
    "intercom_mux._fastpath.verbs",
    "intercom_mux._fastpath.words",
    "intercom_mux.cli",
    "intercom_mux.cli.text",
    "intercom_mux.wire",
    "intercom_mux.wire.letter",
}
"""Beyond what the bare interpreter has loaded."""

ALLOWED_TO_HOOKS = {"__future__", "_socket", "intercom_mux", "intercom_mux._entry", "intercom_mux._hook"}
"""What a hook call may load when nothing waits; one that prints something may load `_json` besides."""

HEAVY = {"yaml", "psutil", "libtmux", "rich", "asyncio", "sqlite3", "subprocess"}
"""What a command that does not need it must not pay for."""

PROGRAM = """
import sys
before = set(sys.modules)
{body}
print(*sorted(set(sys.modules) - before), sep="\\n", file=sys.stderr)
"""

CALLS = [
    ["send", "worker-1", "hello"],
    ["ask", "worker-1", "why?", "--timeout", "20s"],
    ["reply", "done", "--to", "worker-1"],
    ["pending"],
    ["inbox"],
    ["progress", "parser", "--percent", "40"],
]


def _imports(body: str) -> set[str]:
    return set(_words(body))


def _words(body: str) -> list[str]:
    """Return what `body` loads, after what it says on stderr."""
    program = PROGRAM.format(body=body)
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return done.stderr.split()


@pytest.fixture
def pane(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pane of a planner whose worker answers asks and has asked something itself."""
    with Peer("planner", team=TEAM) as planner, Peer("worker-1", team=TEAM, answer=echo) as worker:
        ask = {"id": "1" * 32, "timestamp": 1, "expectsReply": True, "content": {"text": "?"}}
        worker.write({"type": "send", "to": "planner", "message": ask})
        wait_until(planner.texts, what="the ask")
        planner.enter_pane(monkeypatch)
        yield


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_a_hot_verb_imports_nothing_else(call: list[str], pane: None) -> None:
    """In a pane the verb loads our few modules and two C modules, `time` being built in."""
    if call[0] == "ask":
        # A cycle otherwise: the worker waits for us.
        _imports("from intercom_mux._entry import main; main(['reply', 'x'])")
    loaded = _imports(f"from intercom_mux._entry import main; assert main({call!r}) == 0")
    assert loaded == ALLOWED


def test_a_hook_call_imports_next_to_nothing(pane: None) -> None:
    """An agent runs it at every tool: it loads one module of ours, and sockets."""
    body = "from intercom_mux._entry import main; assert main(['hook', 'claude', 'Stop', '{}']) == 0"
    assert _imports(body) == ALLOWED_TO_HOOKS


def test_the_entry_alone_imports_nothing() -> None:
    """Until it knows what is called, the console script costs one module."""
    assert _imports("import intercom_mux._entry") == {"__future__", "intercom_mux", "intercom_mux._entry"}


def test_click_brings_in_nothing_heavy() -> None:
    """Defining every command loads click and small modules; each command imports what it needs when it runs."""
    by_click = _imports("import click")
    loaded = _imports("from intercom_mux.cli.main import cli; list(cli.commands.values())")
    assert not (loaded - by_click) & HEAVY


def test_a_command_loads_no_other_ones() -> None:
    """Of the modules of commands only the called one's is loaded, with those it takes options from."""
    loaded = _imports("from intercom_mux._entry import main; assert main(['status', '--help']) == 0")
    ours = {name for name in loaded if name.startswith("intercom_mux.")}
    names = ("_entry", "cli", "cli.main", "cli.text", "cli.complete", "cli.groups", "cli.layouts", "cli.teams")
    assert ours == {f"intercom_mux.{name}" for name in names}


NOT_FOR_A_DAEMON = {
    *("intercom_mux.broker.history", "intercom_mux.broker.journal", "intercom_mux.layout.load", "sqlite3"),
    *("intercom_mux.agents.launch", "intercom_mux.agents.profile_yaml", "intercom_mux.team.planner", "yaml"),
    *("intercom_mux.team.git", "intercom_mux.team.worktrees", "intercom_mux.cli"),
    *("click", "email", "http", "libtmux", "rich", "tempfile", "tomllib", "urllib.request"),
}
"""What a team daemon needs later or never: `up` waits for all that it imports at its start."""

NOT_FOR_UP = {
    *("intercom_mux.broker.journal", "intercom_mux.mux.tmux", "intercom_mux.team.daemon", "intercom_mux.team.git"),
    *("intercom_mux.team.processes", "intercom_mux.team.worktrees"),
    *("intercom_mux.cli.plan_text", "intercom_mux.cli.talk", "intercom_mux.mux.psmux_client"),
    *("asyncio", "http", "libtmux", "logging", "psutil", "rich", "sqlite3", "tempfile", "tomllib"),
}
"""What `up` of shells and agents needs not: the daemon has it, or only a team with worktrees or commands does."""


def test_a_spare_daemon_costs_no_import_of_ours() -> None:
    """The console script starts the daemon's process before click, the layout's modules and everything else of ours."""
    loaded = {name for name in _imports("import intercom_mux.team.spare_daemon") if name.startswith("intercom_mux")}
    assert loaded == {
        "intercom_mux",
        "intercom_mux.host",
        "intercom_mux.host.process",
        "intercom_mux.team",
        "intercom_mux.team.spare_daemon",
    }


def test_a_team_daemon_starts_with_what_it_needs() -> None:
    """Journal, git, HTTP and the like are imported when a team turns out to need them."""
    loaded = _imports("from intercom_mux.team.daemon import load_the_rest; load_the_rest()")
    assert not loaded & NOT_FOR_A_DAEMON


def test_up_imports_only_its_own_part(home: Path) -> None:
    """A whole `up` of shells, in a process of its own, loads nothing of the daemon's, git's or the journal's."""
    layout = home / "team.yaml"
    layout.write_text("version: 1\nname: lean\ndefaults: {agent: shell}\npeers: {a: , b: }\n")
    try:
        body = f"from intercom_mux._entry import main; assert main(['up', {str(layout)!r}, '--json']) == 0"
        assert not _imports(body) & NOT_FOR_UP
    finally:
        _imports("from intercom_mux._entry import main; assert main(['down', '--team', 'lean']) == 0")


def test_up_starts_few_programs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Besides the broker, `up` starts the daemon and asks tmux for its version; the daemon opens all in one call."""
    calls = home / "calls"
    tmux = home / "bin" / "tmux"
    tmux.parent.mkdir()
    tmux.write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexec {shutil.which("tmux")} "$@"\n')
    tmux.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmux.parent}:{os.environ['PATH']}")
    layout = home / "team.yaml"
    layout.write_text("version: 1\nname: lean\ndefaults: {agent: shell}\npeers: {a: , b: , c: , d: }\n")
    told = "sys.addaudithook(lambda event, _: event == 'subprocess.Popen' and print('PROGRAM', file=sys.stderr))"
    try:
        body = f"{told}\nfrom intercom_mux._entry import main; assert main(['up', {str(layout)!r}]) == 0"
        assert _words(body).count("PROGRAM") == len(("broker", "daemon", "tmux -V"))
        asked = calls.read_text()
        assert asked.count("-V\n") == 1
        assert (asked.count(" start-server "), asked.count(" source-file -")) == (1, 1)
    finally:
        _imports("from intercom_mux._entry import main; assert main(['down', '--team', 'lean']) == 0")
