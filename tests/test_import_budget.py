"""What hot verbs may import: an exact list, because every further module costs more than the verb itself."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.stage import TEAM, Peer, echo
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    program = PROGRAM.format(body=body)
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


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
    """Registering every command loads click and small modules; each command imports what it needs when it runs."""
    by_click = _imports("import click")
    loaded = _imports("import intercom_mux.cli.main")
    assert not (loaded - by_click) & HEAVY
