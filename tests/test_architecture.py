"""The shape of the package: imports go one way, each dependency has one home, files stay readable."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "intercom_mux"

TIERS = (
    {"errors"},
    {"host"},
    {"paths", "config", "__init__"},
    {"wire"},
    {"broker", "client"},
    {"agents", "mux", "layout", "transcript"},
    {"team"},
    {"supervise"},
    {"bridges", "watch", "report", "doctor"},
    {"cli"},
    {"_fastpath", "_hook", "_entry", "__main__"},
)
"""A room may import its own tier and those before it; docs/ARCHITECTURE.md shows the same order."""

HOMES = {
    "click": ("cli/",),
    "rich": ("cli/", "watch/lists.py"),
    "textual": ("watch/app.py", "watch/dialogs.py", "watch/lists.py", "watch/answering.py"),
    "libtmux": ("mux/tmux.py",),
    "yaml": ("layout/", "agents/"),
    "psutil": ("team/", "host/process.py"),
    "mcp": ("bridges/mcp_server.py",),
    "mcp_types": ("bridges/mcp_server.py",),
    "anyio": ("bridges/mcp_server.py",),
    "jsonschema": ("bridges/mcp_server.py",),
    "sqlite3": ("broker/journal.py", "broker/retention.py", "broker/history.py", "broker/journal_check.py"),
}

MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return the dotted names that a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def room(path: Path) -> str:
    """Return the first part of a file's place in the package."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def tier(name: str) -> int:
    """Return where a room stands; a new room must be given its place."""
    return next(index for index, rooms in enumerate(TIERS) if name in rooms)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    """No room imports one that stands after it."""
    mine = room(path)
    for name in imported(path):
        if name.startswith("intercom_mux.") and name != "intercom_mux.__version__":
            other = name.split(".")[1]
            assert tier(other) <= tier(mine), f"{mine} must not import {other} ({name})"


def test_the_fast_path_shares_only_words_with_the_command_line() -> None:
    """Of cli, `_fastpath` imports `text` alone, which imports nothing."""
    modules = [path for path in MODULES if room(path) == "_fastpath"]
    names = {name for path in modules for name in imported(path)}
    assert {name for name in names if name.split(".")[1:2] == ["cli"]} == {"intercom_mux.cli", "intercom_mux.cli.text"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_dependency_has_one_home(path: Path) -> None:
    """A third-party package, and sqlite3, is imported only where it lives."""
    relative = path.relative_to(PACKAGE).as_posix()
    for name in imported(path):
        top = name.split(".")[0]
        if top in HOMES:
            assert relative.startswith(HOMES[top]), f"{relative} must not import {top}"
        else:
            assert top in sys.stdlib_module_names or top == "intercom_mux", f"{relative} imports unknown {top}"


def test_no_file_is_too_long_to_read() -> None:
    """Files stay under about 400 lines; a longer one wants to be split by concern."""
    long = {path.name: lines for path in MODULES if (lines := len(path.read_text().splitlines())) > 420}
    assert not long
