"""What only cmux can get wrong: which program it is, the first split, typed starts, focus, refusals, what is left."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.errors import MultiplexerError
from intercom_mux.layout.model import Arrangement, Leaf, Split, Window
from intercom_mux.mux import cmux_errors
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.cmux import CmuxMultiplexer
from intercom_mux.mux.cmux_client import CmuxClient
from intercom_mux.mux.cmux_errors import explain
from intercom_mux.mux.cmux_place import Step, steps
from intercom_mux.mux.cmux_recognise import is_inside, recognise
from tests.mux.cmux_standin.others import OTHERS
from tests.mux.cmux_standin.profiles import PROFILES
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.mux.cmux_standin.run import Standin

NewCmux = "Callable[..., Standin]"

REFUSALS = {
    "Error: No live cmux socket found. Tried:\n  /x": (cmux_errors.NOT_RUNNING, "start cmux"),
    "Error: Socket not found at /x/cmux.sock": (cmux_errors.NOT_RUNNING, "start cmux"),
    "Error: Failed to connect to socket at /x (Connection refused, errno 61)": (cmux_errors.NOT_RUNNING, "start cmux"),
    "Error: Failed to write to socket (Broken pipe, errno 32)": (cmux_errors.DENIED, "in a terminal of cmux"),
    "Error: ERROR: Access denied — only processes started inside cmux can connect": (
        cmux_errors.DENIED,
        "in a terminal of cmux",
    ),
    "Error: auth_required: Authentication required. Send auth <password> first.": (
        cmux_errors.DENIED,
        "CMUX_SOCKET_PASSWORD",
    ),
    "Error: ERROR: Invalid password": (cmux_errors.DENIED, "CMUX_SOCKET_PASSWORD"),
    "Error: not_found: Surface not found for the given surface_id": ("E_SURFACE_GONE", "status"),
    "Error: invalid_params: Surface is not a terminal": ("E_SURFACE_GONE", "move it back"),
    "Error: invalid_state: Cannot close the last surface": (cmux_errors.LAST_SURFACE, "close the workspace"),
    "Error: internal_error: Failed to read terminal text": (cmux_errors.STARTING, "open the workspace"),
    "Error: close-surface requires --workspace or --window with explicit --surface": ("E_MULTIPLEXER", "report"),
    "Error: new-split requires a direction": ("E_MULTIPLEXER", "report"),
    "Error: send requires text": ("E_MULTIPLEXER", "report"),
    "Error: Command timed out": ("E_OUTCOME_UNKNOWN", "check the surface"),
    "Error: wait-for timed out waiting for 'x'": ("E_OUTCOME_UNKNOWN", "try again"),
    "Error: protected: Workspace is pinned": ("E_MULTIPLEXER", "unpin"),
    "Error: input_queue_full: Queue full": ("E_SURFACE_BUSY", "wait"),
    "Error: process_exited: Process exited": ("E_SURFACE_BUSY", "up"),
    "Error: new-split: unknown flag '--command'": ("E_MULTIPLEXER", "update cmux"),
    "something that nobody has seen": ("E_MULTIPLEXER", "report"),
}


@pytest.mark.parametrize("said", REFUSALS)
def test_each_refusal_is_a_sentence_with_its_fix(said: str) -> None:
    """Whatever cmux says becomes what it means, what it said, and what to do."""
    error = explain(said, "do it")
    code, fix = REFUSALS[said]
    assert (error.code, fix in (error.hint or "")) == (code, True), error.hint
    assert error.message.startswith("cannot do it: ")
    assert said in error.message


def test_every_line_of_the_table_can_be_met() -> None:
    """No pattern is hidden by an earlier one, as the documented words reach all codes."""
    reached = {next(p for p, *_ in cmux_errors.SAYINGS if re.search(p, said)) for said in list(REFUSALS)[:-1]}
    assert len(reached) >= 14


@pytest.mark.parametrize("other", OTHERS)
def test_another_program_of_that_name_is_not_taken(home: Path, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    """The relay, cmux-tui and the cloud's command line are told from the app's."""
    program = home / "cmux"
    program.write_text(f"#!/bin/sh\n{OTHERS[other]}")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    with pytest.raises(MultiplexerError) as caught:
        recognise()
    assert caught.value.code == "E_CMUX_MISSING"
    assert str(program) in caught.value.message


@pytest.mark.parametrize("version", PROFILES)
def test_the_app_is_recognised(new_cmux: Callable[..., Standin], version: str) -> None:
    """Its version is read, whatever follows it."""
    new_cmux(version)
    assert ".".join(map(str, recognise().version)) == version
    assert is_inside()


@pytest.mark.parametrize("version", PROFILES)
def test_a_direction_is_no_surface(new_cmux: Callable[..., Standin], version: str) -> None:
    """`cmux send --surface right` fails before anything is typed."""
    standin = new_cmux(version)
    ran = standin.run_cli("send", "--surface", "right", "oops\\n")
    assert ran.returncode == 1
    assert ran.stderr == "Error: Invalid surface handle: right (expected UUID, ref like surface:1, or index)\n"
    assert "oops" not in standin.screen(standin.user)


def test_the_plain_answers_of_the_command_line(new_cmux: Callable[..., Standin]) -> None:
    """A split answers with refs; `--json --id-format both` with both; the old verbs print plain even then."""
    standin = new_cmux("0.64.22")
    assert standin.run_cli("new-split", "right").stdout == "OK surface:2 workspace:1\n"
    seen = json.loads(standin.run_cli("--json", "--id-format", "both", "list-panels").stdout)
    assert [row["ref"] for row in seen["surfaces"]] == ["surface:1", "surface:2"]
    ran = standin.run_cli("--json", "new-workspace", "--name", "x")
    assert (ran.stdout, "deprecated" in ran.stderr) == ("OK workspace:2\n", True)
    refused = standin.run_cli("new-split", "right", "--command", "ls")
    assert refused.stderr == "Error: new-split: unknown flag '--command'\n"
    assert standin.run_cli("nonsense").returncode == 2


@pytest.mark.parametrize(
    ("arrange", "expected"),
    [
        ("main-left", [("a", None, "right"), ("b", "a", "down"), ("c", "b", "down")]),
        ("columns", [("a", None, "right"), ("b", "a", "right"), ("c", "b", "right")]),
        ("main-top", [("a", None, "down"), ("b", "a", "right"), ("c", "b", "right")]),
        ("tiled", [("a", None, "right"), ("b", "a", "down"), ("c", "a", "right")]),
        ("windows", [("a", None, "right"), ("b", "a", "tab"), ("c", "a", "tab")]),
    ],
)
def test_the_words_of_arrange(arrange: str, expected: list[tuple[str, str | None, str]]) -> None:
    """Right of the caller first, then further splits."""
    assert steps(Arrangement(arrange), ["a", "b", "c"]) == [Step(*step) for step in expected]  # type: ignore[arg-type]  # literals


def test_a_tree_is_split_from_the_outside_in() -> None:
    """A region is parted among its children first; peers that are not opened are left out, other windows are tabs."""
    inner = Split("rows", (Leaf("b"), Leaf("gone"), Leaf("c")), (None, None, None))
    tree = Split("columns", (inner, Leaf("d")), (None, None))
    arrangement = Arrangement((Window("main", tree), Window("logs", Leaf("e"))))
    assert steps(arrangement, ["b", "c", "d", "e"]) == [
        Step("b", None, "right"), Step("d", "b", "right"), Step("c", "b", "down"), Step("e", "b", "tab"),
    ]  # fmt: skip


def opened(standin: Standin, home: Path, *specs: SurfaceSpec) -> tuple[CmuxMultiplexer, dict[str, str]]:
    mux = CmuxMultiplexer(home / "surfaces", standin.socket, limit_s=2)
    return mux, mux.open("team", "main-left", specs or [SurfaceSpec("a", ("cat",), home)])


def test_a_stolen_focus_is_given_back(new_cmux: Callable[..., Standin], home: Path) -> None:
    """Where cmux focuses what it opened against our word, the user's surface gets the focus again."""
    standin = new_cmux("0.64.22", faults={"steals_focus": True})
    mux, _ = opened(standin, home)
    assert standin.focused() == standin.user
    mux.shutdown()


def test_a_dropped_enter_is_pressed_again_and_nothing_is_typed_twice(
    new_cmux: Callable[..., Standin], home: Path
) -> None:
    """Where the program is typed into a shell, Enter alone is repeated."""
    standin = new_cmux("0.64.1", faults={"drop_enters": 1})
    log = home / "runs"
    mux, _ = opened(standin, home, SurfaceSpec("a", ("sh", "-c", f"echo x >>{log}; cat"), home))
    wait_until(lambda: log.exists() and log.read_text(), what="program")
    assert log.read_text() == "x\n"
    mux.shutdown()


def test_a_terminal_that_starts_late_is_waited_for(new_cmux: Callable[..., Standin], home: Path) -> None:
    """Its screen cannot be read at first, and what is typed is queued."""
    standin = new_cmux("0.64.1", faults={"slow_pty_s": 1})
    mux, surfaces = opened(standin, home)
    mux.paste(surfaces["a"], "hello")
    wait_until(lambda: "hello" in mux.capture(surfaces["a"]), what="text")
    standin.set(slow_pty_s=0)
    mux.shutdown()


def test_the_environment_title_log_and_status_of_a_program(new_cmux: Callable[..., Standin], home: Path) -> None:
    """Variables are set and unset, what it prints is in the log byte by byte, and its end leaves screen and status."""
    standin = new_cmux("0.64.22")
    script = 'printf "\\033]2;busy\\007$A,$B,${CMUX_SURFACE_ID:+inside},${TERM}\\n"; pwd; sleep 0.1; exit 7'
    spec = SurfaceSpec("a", ("sh", "-c", script), home, env={"A": "ünï 'q' $x"}, unset=("B",), log=home / "log")
    mux, surfaces = opened(standin, home, spec)
    state = wait_until(lambda: [s for s in (mux.states() or {}).values() if s.is_dead], what="end of the program")[0]
    assert (state.exit_status, state.title, state.name) == (7, "busy", "a")
    assert "ünï 'q' $x,,inside,xterm-256color" in mux.capture(surfaces["a"])
    assert (home / "log").read_bytes().startswith(b"\x1b]2;busy\x07")
    assert (home / "log").stat().st_mode & 0o777 == 0o600
    with pytest.raises(MultiplexerError, match="has ended"):
        mux.paste(surfaces["a"], "x")
    assert [row["title"] for row in standin.surfaces()][1:] == ["a"]
    mux.shutdown()


def test_a_program_that_is_not_there_ends_with_127(new_cmux: Callable[..., Standin], home: Path) -> None:
    """One line on its surface says which."""
    standin = new_cmux("0.64.22")
    mux, surfaces = opened(standin, home, SurfaceSpec("a", ("no-such-program",), home))
    wait_until(lambda: (mux.states() or {})[surfaces["a"]].exit_status == 127, what="status")
    assert "no-such-program: No such file" in mux.capture(surfaces["a"])
    mux.shutdown()


def test_the_last_surface_is_left_to_cmux(new_cmux: Callable[..., Standin], home: Path) -> None:
    """When the user has closed all others, our program ends, and what cmux puts in its place is not touched."""
    standin = new_cmux("0.64.22")
    mux, surfaces = opened(standin, home)
    standin.call("surface.close", surface_id=standin.user)
    mux.shutdown()
    wait_until(lambda: [row["id"] for row in standin.surfaces()] != [surfaces["a"]], what="end of our surface")
    assert len(standin.surfaces()) == 1


def test_what_goes_to_the_sidebar_and_to_people(new_cmux: Callable[..., Standin], home: Path) -> None:
    """A note is a notification at the surface, a mark a status of the workspace, taken away at the end."""
    standin = new_cmux("0.64.22")
    mux, surfaces = opened(standin, home)
    mux.show(surfaces["a"], "blocked:\npermission")
    mux.mark('1 "blocked"')
    seen = standin.look()
    assert [(note["title"], note["body"], note["surface_id"]) for note in seen["notes"]] == [
        ("a", "blocked: permission", surfaces["a"])
    ]
    assert seen["sidebar"][standin.workspace]["status"] == {"intercom": "1 'blocked'"}
    mux.shutdown()
    assert standin.look()["sidebar"][standin.workspace]["status"] == {}


def test_progress_of_tasks_goes_to_the_sidebar(new_cmux: Callable[..., Standin], home: Path) -> None:
    """One progress bar for the workspace, taken away at the end if it is ours, and log lines, which stay."""
    standin = new_cmux("0.64.22")

    def sidebar() -> dict[str, Any]:
        side: dict[str, Any] = standin.look()["sidebar"][standin.workspace]
        return side

    mux, _ = opened(standin, home)
    CmuxClient(standin.socket).line(f"set_progress 0.5 --label=theirs --tab={standin.workspace}")
    mux.progress(None, "")
    assert sidebar()["progress"] == "0.5 theirs"
    mux.progress(2 / 3, '2/3 "done"')
    mux.note("success", "T1 done · worker\n--level=error")
    assert sidebar()["progress"] == "0.67 2/3 'done'"
    assert sidebar()["log"] == ["[success] T1 done · worker --level=error"]
    mux.shutdown()
    assert sidebar()["progress"] == ""


@pytest.mark.parametrize("version", ["0.62.2", "0.64.22"])
def test_outsiders_are_told_what_to_do(
    new_cmux: Callable[..., Standin], home: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Both ways of being denied, a password that is missing or wrong, silence, and an app that has gone."""
    standin = new_cmux(version)
    mux, surfaces = opened(standin, home)
    monkeypatch.delenv("CMUX_SOCKET_CAPABILITY")
    with pytest.raises(MultiplexerError) as denied:
        mux.states()
    assert denied.value.code == cmux_errors.DENIED
    with pytest.raises(MultiplexerError) as left:
        mux.shutdown()
    assert left.value.fields["left"] == [f"a ({surfaces['a']})"]
    standin.set(mode="password", password="right")
    with pytest.raises(MultiplexerError, match="asks for a password"):
        mux.states()
    monkeypatch.setenv("CMUX_SOCKET_PASSWORD", "wrong")
    with pytest.raises(MultiplexerError, match="does not accept"):
        mux.states()
    monkeypatch.setenv("CMUX_SOCKET_PASSWORD", "right")
    assert set(mux.states() or {}) == set(surfaces.values())
    standin.set(unanswered=["surface.list"])
    with pytest.raises(MultiplexerError) as silent:
        mux.states()
    assert silent.value.code == "E_OUTCOME_UNKNOWN"
    standin.end()
    assert mux.states() is None
    mux.shutdown()
