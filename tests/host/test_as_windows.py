"""The product in a Python that has what Windows has, and what POSIX alone has not: nothing here ran on Windows."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from tests.mux.conftest import new_psmux  # noqa: F401 - a fixture
from tests.mux.psmux_standin.psmux import NEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.stage import Ran
    from tests.host.conftest import WindowsPython

PACKAGE = Path(paths.__file__).parent
NOT_THERE = {"mux.cmux_launch", "supervise.file_channel", "broker.__main__", "__main__", "agents.demo.__main__"}
"""Run, not imported; the first by a Python of POSIX, as cmux is. The second is passed over on Windows."""

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
def broker_file(windows: WindowsPython) -> Iterator[Path]:
    """Where the broker's endpoint is told; the broker is ended after the test."""
    file = paths.state_dir() / "run" / "broker.port.json"
    yield file
    if file.exists():
        assert windows.run("broker", "stop").code == 0
    assert not file.exists()


def at(console: int, windows: WindowsPython, *arguments: str) -> Ran:
    """Run a command in the console of this number and return what it did, which was no failure."""
    done = windows.run(*arguments, env={**os.environ, "AS_WINDOWS_CONSOLE": str(console)})
    assert done.code == 0, done.err + done.out
    return done


def broker_pid() -> int:
    return int(json.loads(paths.broker_file().read_text())["pid"])


def test_ask_and_reply_between_two_consoles(windows: WindowsPython, broker_file: Path) -> None:
    """The first command starts the broker, on TCP; a killed one is replaced, and what it had accepted is there."""
    at(1, windows, "name", "alice")
    at(2, windows, "name", "bob")
    assert json.loads(broker_file.read_text())["transport"] == "tcp"
    assert not paths.broker_socket().exists()
    at(1, windows, "send", "bob", "hello")
    ticket = at(1, windows, "ask", "--async", "bob", "why?").out.strip()
    before = broker_file.read_text()
    os.kill(broker_pid(), signal.SIGKILL)
    assert "hello" in at(2, windows, "inbox").out
    assert broker_file.read_text() != before
    assert "why?" in at(2, windows, "pending").out
    at(2, windows, "reply", "because")
    assert at(1, windows, "result", ticket).out == "because\n"
    secret = json.loads(broker_file.read_text())["stateId"]
    assert secret not in (paths.state_dir() / "broker.log").read_text()


def test_one_broker_whoever_starts_it(windows: WindowsPython, broker_file: Path) -> None:
    """Starters at the same time serialise on locked files."""
    starters = [windows.start("broker", "start") for _ in range(3)]
    told = [starter.communicate(timeout=60) for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], told
    assert {line for out, _ in told for line in out.splitlines()} == {f"the broker listens on {broker_file}"}
    assert (paths.state_dir() / "broker.log").read_text().count(" serves ") == 1


def test_where_pi_looks_is_refused(windows: WindowsPython, home: Path) -> None:
    """Its sessions look for a named pipe there."""
    refused = windows.run("broker", "start", "--pi", str(home / "agent"), "--json")
    assert refused.code == 5
    assert "named pipe" in json.loads(refused.out)["error"]["message"]


@pytest.fixture
def team(windows: WindowsPython, home: Path, broker_file: Path) -> Iterator[Path]:
    """The project directory of a team of two demo agents and a program; `down` is run after the test."""
    project = home / "project"
    project.mkdir()
    demo = {"agent": "demo", "env": {"INTERCOM_MUX_DEMO_PACE": "0"}}
    peers = {"planner": demo, "worker": demo, "cat": {"command": ["cat"]}}
    layout = {"version": 1, "name": "team", "before_up": ["echo prepared"], "peers": peers}
    (project / "layout.yaml").write_text(json.dumps(layout))
    yield project
    with contextlib.suppress(StopIteration):
        state = next((paths.state_dir() / "teams").glob("*/state.json"))
        windows.run("down", "--team", state.parent.name)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="the stand-in for psmux is a tmux")
def test_a_team_comes_up_in_psmux_answers_and_goes_down(
    windows: WindowsPython,
    new_psmux: Callable[[str], Path],  # noqa: F811 - the fixture
    team: Path,
) -> None:
    """Control connection, launch files, typing, hook calls, a killed broker, a killed daemon; no process is left."""
    new_psmux(NEWEST)
    up = windows.run("up", "layout.yaml", cwd=team)
    assert up.code == 0, up.err + up.out
    assert "prepared" in up.err + up.out
    (state_file,) = (paths.state_dir() / "teams").glob("*/state.json")
    state = json.loads(state_file.read_text())
    runtime = paths.state_dir() / "run" / "t" / state["id"]
    assert json.loads((runtime / "control.port.json").read_text())["transport"] == "tcp"
    assert windows.run("ask", "worker", "anything about retries?").out

    in_pane = {**os.environ, paths.IDENTITY_VARIABLE: str(runtime / "planner.identity")}
    assert windows.run("hook", "claude", "Stop", "{}", env=in_pane) == (0, "", "")
    os.kill(broker_pid(), signal.SIGKILL)
    assert windows.run("ask", "worker", "and again?", env=in_pane).code == 0

    os.kill(state["daemon"]["pid"], signal.SIGKILL)
    assert windows.run("up", "layout.yaml", cwd=team).code == 0
    down = windows.run("down", cwd=team)
    assert (down.code, "none left" in down.out) == (0, True), down.err + down.out
    assert not state_file.exists()
    assert not runtime.exists()
    left = subprocess.run(["psmux", "-L", f"imux-{state['id']}", "list-panes", "-a"], capture_output=True, check=False)
    assert left.returncode != 0


LOCKED = """
import sys
from pathlib import Path
from intercom_mux.errors import TeamError
from intercom_mux.team.lock import team_lock
with team_lock(Path(sys.argv[1]), "up first"):
    import subprocess
    again = [sys.executable, "-I", "-c", sys.argv[2], sys.argv[1]]
    print(subprocess.run(again, capture_output=True, text=True).stdout)
with team_lock(Path(sys.argv[1]), "up second", timeout_s=0):
    print("free")
"""
CONTENDER = """
import sys
from pathlib import Path
from intercom_mux.errors import TeamError
from intercom_mux.team.lock import team_lock
try:
    with team_lock(Path(sys.argv[1]), "up other", timeout_s=0):
        print("taken")
except TeamError as error:
    print(error.code, error.message)
"""


def test_a_team_has_one_writer_who_can_be_read(windows: WindowsPython, home: Path) -> None:
    """The lock says who holds it, and is free when given up."""
    done = windows.python("-c", LOCKED, str(home / "team"), CONTENDER)
    first, _, last = done.out.splitlines()
    assert first.startswith("E_TEAM_BUSY gave up waiting for `up first` (pid "), done.err
    assert last == "free"


PIPED = """
import os
from intercom_mux.host.pipes import reading
ours, theirs = os.pipe()
with reading(ours) as read:
    print(read(0))
    os.write(theirs, b"one")
    print(read(5))
    os.close(theirs)
    print(read(5))
"""


def test_a_pipe_is_read_with_a_limit_of_time(windows: WindowsPython) -> None:
    """None is nothing yet, b"" the end."""
    done = windows.python("-c", PIPED)
    assert done.out.splitlines() == ["None", "b'one'", "b''"], done.err


def test_a_hook_that_gets_no_answer_holds_nobody_up(windows: WindowsPython, home: Path) -> None:
    """Without an alarm signal a thread ends the call, quietly."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = {"transport": "tcp", "host": "127.0.0.1", "port": silent.getsockname()[1], "stateId": "s"}
        (home / "control.port.json").write_text(json.dumps(at))
        (home / "control.port.json").chmod(0o600)
        (home / "x.identity").write_text("{}")
        env = {**os.environ, paths.IDENTITY_VARIABLE: str(home / "x.identity")}
        assert windows.run("hook", "claude", "Stop", "{}", env=env) == (0, "", "")
        silent.settimeout(1)
        with silent.accept()[0] as connection:
            assert b'{"stateId":"s","payload":{}' in connection.recv(1000)
