"""`doctor` on real files, sockets, brokers and teams, well and broken."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.doctor import examine
from intercom_mux.doctor.finding import Finding
from intercom_mux.host import lock as locks
from tests.agents.demo.pseudo import Pseudo
from tests.cli.stage import run
from tests.support import wait_until
from tests.team.stage import CAT, Stage, broker_pid, end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty directory to be in."""
    directory = home / "project"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def examined(*options: str, code: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Return what `doctor --json` says, by subject."""
    done = run("doctor", "--json", *options)
    assert (done.code, done.err) == (code, "")
    found: dict[str, list[dict[str, Any]]] = {}
    for row in done.json:
        found.setdefault(row["what"], []).append(row)
    return found


def test_a_new_machine_is_well_and_stays_untouched(home: Path) -> None:
    """Nothing is started and nothing is written; the sentence at the end sums up."""
    before = sorted(home.rglob("*"))
    shown = run("doctor")
    assert shown.code == 0
    assert "none runs; the first command that needs it starts it" in shown.out
    assert sorted(home.rglob("*")) == before
    assert all(row["state"] in {"ok", "note"} for rows in examined().values() for row in rows)


def test_a_narrow_terminal_shows_what_goes_on_below_itself(project: Path) -> None:
    """The subject stands alone in its column; a command to copy is one line, however long."""
    paths.private_dir(paths.runtime_dir())
    paths.runtime_dir().chmod(0o755)
    with Pseudo(["-m", "intercom_mux", "doctor"], project, columns=48) as terminal:
        terminal.wait_for("intercom-mux doctor --fix` mends 1")
        lines = terminal.written.decode().splitlines()
    at = next(index for index, line in enumerate(lines) if "none runs; the first" in line)
    assert [line.strip() for line in lines[at : at + 2]] == [
        "ok     broker   none runs; the first command",
        "that needs it starts it",
    ]
    assert len(lines[at + 1]) - len(lines[at + 1].lstrip()) == lines[at].index("none")
    assert f"                → chmod 700 {paths.runtime_dir()}" in lines


def test_a_running_broker_and_team_are_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pids that can be found again; when the daemon is killed, and then the server, each is named with its fix."""
    stage = Stage(home)
    monkeypatch.chdir(stage.project)
    assert examined()["layout"][0]["state"] == "note"
    stage.up({"worker": CAT})
    try:
        found = examined()
        assert "layout" not in found
        assert str(broker_pid()) in found["broker"][0]["text"]
        assert found["journal"][0]["text"].startswith(f"{paths.journal_file()} is whole")
        assert found["team"][0]["state"] == "ok"
        assert {row["state"] for row in found["places"]} == {"ok"}
        assert str(stage.daemon_pid()) in found["team"][0]["text"]
        os.kill(stage.daemon_pid(), signal.SIGKILL)
        (dead,) = wait_until(lambda: [row for row in examined()["team"] if row["state"] == "warning"], what="the death")
        assert "its daemon is dead" in dead["text"]
        assert "intercom-mux up" in dead["fix"]
    finally:
        end_all_teams()


def test_what_a_killed_broker_left_is_mended() -> None:
    """Its socket is named, and `--fix` removes it; its death is told until the next one starts."""
    lifecycle.ensure_running()
    pid = broker_pid()
    os.kill(pid, signal.SIGKILL)
    (left,) = wait_until(lambda: examined().get("socket", []), what="the socket of nobody")
    assert (left["state"], left["is_safe"]) == ("warning", True)
    assert paths.broker_socket().exists()
    assert examined("--fix")["socket"][0]["text"] == f"{paths.broker_socket()} is removed"
    assert not paths.broker_socket().exists()
    assert "socket" not in examined()
    (dead,) = examined()["broker"]
    assert (dead["state"], dead["fix"]) == ("warning", "intercom-mux broker start")
    assert f"(pid {pid}) was killed" in dead["text"]
    assert run("broker", "start").code == 0
    assert examined()["broker"][0]["state"] == "ok"


def test_a_broker_that_does_not_answer_is_an_error() -> None:
    """With its pid, which lives; a file that nobody can read is told as such."""
    paths.private_dir(paths.state_dir())
    paths.broker_file().write_text(json.dumps({"pid": os.getpid()}))
    with (paths.state_dir() / "broker.lock").open("w") as lock:
        assert locks.try_lock(lock.fileno())
        (silent,) = examined(code=1)["broker"]
    assert silent["text"] == f"pid {os.getpid()} does not answer at {paths.broker_socket()}"
    paths.broker_file().write_text("nonsense")
    assert "cannot be read" in examined()["broker"][0]["text"]


def test_a_check_without_end_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named when the time is over; what the others found stands in its place in the order."""
    gate = threading.Event()

    def stuck() -> Iterator[Finding]:
        gate.wait()
        yield Finding("ok", "first", "never told")

    def broken() -> Iterator[Finding]:
        yield Finding("ok", "second", "well")
        raise OSError("gone")

    monkeypatch.setattr(examine, "CHECKS", (("first", stuck), ("second", broken)))
    found = list(examine.examine(limit_s=1))
    gate.set()
    assert [(one.state, one.what, one.text) for one in found] == [
        ("error", "first", "nothing was heard of it within 1 s"),
        ("ok", "second", "well"),
        ("error", "second", "gone"),
    ]


def test_modes_that_are_too_open_are_mended() -> None:
    """Directories and what proves who somebody is; the command to do it by hand is the fix."""
    directory = paths.team_runtime_dir("crew-1")
    for each in (paths.runtime_dir(), directory.parent, directory):
        paths.private_dir(each)
    identity = directory / "worker.identity"
    identity.write_text("{}")
    identity.chmod(0o644)
    directory.chmod(0o755)
    fixes = {row["fix"] for row in examined()["places"]}
    assert fixes == {f"chmod 700 {directory}", f"chmod 600 {identity}"}
    assert "intercom-mux doctor --fix` mends 3" in run("doctor").out
    mended = examined("--fix")
    assert {row["state"] for row in mended["places"]} == {"ok"}
    assert mended["team"][0]["text"] == f"{directory} is removed"
    assert not directory.exists()


def test_a_damaged_journal_is_an_error_with_its_fix() -> None:
    """Told without writing to it: what can be saved of it is still there."""
    paths.private_dir(paths.state_dir())
    paths.journal_file().write_bytes(b"SQLite format 3\0" + b"nonsense" * 200)
    before = paths.journal_file().read_bytes()
    (row,) = examined(code=1)["journal"]
    assert row["state"] == "error"
    assert f"mv {paths.journal_file()}" in row["fix"]
    assert paths.journal_file().read_bytes() == before
    assert "ERROR  journal" in run("doctor").out


def test_every_table_of_a_wrong_configuration_is_told(project: Path) -> None:
    """Several at once, and a layout of the project that is wrong; none keeps the other checks from their say."""
    paths.config_dir().mkdir(parents=True)
    (paths.config_dir() / "config.toml").write_text('[broker]\nidle_exit_s = "soon"\n[notify]\nnonsense = 1\n')
    (project / ".intercom-mux").mkdir()
    (project / ".intercom-mux" / "mine.yaml").write_text(json.dumps({"version": 1, "peers": {"a": {"rol": "x"}}}))
    found = examined(code=1)
    assert len([row for row in found["config"] if row["state"] == "error"]) == 2
    assert found["layout"][0]["fix"] == "intercom-mux validate mine"
    assert found["broker"][0]["state"] == "ok"


def test_places_that_cannot_be_ours_are_errors(home: Path) -> None:
    """A symbolic link in place of the state directory is named; nothing follows it."""
    (home / "elsewhere").mkdir()
    paths.state_dir().parent.mkdir(parents=True)
    paths.state_dir().symlink_to(home / "elsewhere")
    rows = examined("--fix", code=1)["places"]
    assert [(row["state"], row["fix"]) for row in rows] == [("error", f"rm {paths.state_dir()}")]
    assert paths.state_dir().is_symlink()


def test_a_state_directory_that_cannot_be_made_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything of ours is there; the fix says how to put it elsewhere."""
    (home / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))
    (row,) = examined(code=1)["places"]
    place = home / "file" / "intercom-mux"
    assert row["text"] == f"{place} cannot be made in {home / 'file'}: it is no directory"
    assert row["fix"] == "set XDG_STATE_HOME to another directory"
