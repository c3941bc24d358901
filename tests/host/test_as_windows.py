"""The product in a Python that has what Windows has, and what POSIX alone has not: nothing here ran on Windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from tests.support import wait_until

if TYPE_CHECKING:
    from tests.host.conftest import WindowsPython

PACKAGE = Path(paths.__file__).parent
NOT_THERE = {"mux.cmux_launch", "broker.__main__", "__main__", "agents.demo.__main__"}
"""Run, not imported; the first by a Python of POSIX, as cmux is."""

IMPORT_ALL = """
import importlib, sys
assert sys.platform == "win32"
for name in {names!r}:
    importlib.import_module(name)
print("all")
"""


def modules() -> list[str]:
    """Return the dotted names of the package's modules."""
    found = [path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".") for path in PACKAGE.rglob("*.py")]
    names = {name.removesuffix(".__init__") for name in found if name not in NOT_THERE}
    return sorted(f"intercom_mux.{name}" for name in names if name != "__init__" and not name.startswith("_fastpath"))


def test_every_module_can_be_imported(windows: WindowsPython) -> None:
    """None needs at import what only POSIX has; the fast path may, since its ImportError leaves the call to click."""
    done = windows.python("-c", IMPORT_ALL.format(names=modules()))
    assert (done.code, done.out) == (0, "all\n"), done.err
    done = windows.python("-c", "import intercom_mux._fastpath")
    assert "ImportError" in done.err


@pytest.fixture
def broker_file(home: Path) -> Path:
    """Where the broker's endpoint is told."""
    return paths.state_dir() / "run" / "broker.port.json"


def end(broker_file: Path, windows: WindowsPython) -> None:
    """End the broker."""
    windows.run("broker", "stop")
    wait_until(lambda: not broker_file.exists(), what="the end of the broker")


def test_messages_over_the_broker_that_is_started_on_demand(windows: WindowsPython, broker_file: Path) -> None:
    """`list` starts it on TCP, with its secret in the file of the user's own directory."""
    listed = windows.run("list", "--json")
    assert listed.code == 0, listed.err
    print(listed)
    assert json.loads(broker_file.read_text())["transport"] == "tcp"
    status = windows.run("broker", "status", "--json")
    print(status)
    end(broker_file, windows)
