"""The console script: every way out has its code, and says what it must on the right stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from intercom_mux import __version__, _entry, paths
from intercom_mux.cli import main as cli_main
from intercom_mux.cli import text
from intercom_mux.cli.teams import up
from intercom_mux.errors import LayoutError
from tests.cli.stage import command, run

ROOT = Path(__file__).parents[1]


def _raising(error: BaseException) -> object:
    def fail(_arguments: list[str]) -> int:
        raise error

    return fail


def test_version_and_help_need_no_broker(home: Path) -> None:
    """They print and end with 0, and start nothing."""
    assert run("--version").out == f"intercom-mux {__version__}\n"
    shown = run("--help")
    assert (shown.code, shown.err) == (0, "")
    assert all(section in shown.out for section in ("Teams:", "Talking:", "Looking:"))
    for words in ("--help", "broker --help", "task --help", "supervisor --help"):
        lines = run(*words.split()).out.splitlines()
        assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage: ")]
    assert not paths.broker_file().exists()


def test_an_error_is_told_with_its_lines_and_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """First line, further lines indented, then the next step, all on stderr; the code is the class's."""
    error = LayoutError("team.yaml: 2 problems\nline 1: no\nline 2: no", hint="fix them", problems=[1, 2])
    monkeypatch.setattr(cli_main, "run", _raising(error))
    assert _entry.main(["validate"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: team.yaml: 2 problems\n  line 1: no\n  line 2: no\nhint: fix them\n"


def test_an_error_is_an_object_with_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json stdout has the one object, facts included, and stderr is silent."""
    monkeypatch.setattr(cli_main, "run", _raising(LayoutError("bad", problems=[{"line": 1}])))
    assert _entry.main(["validate", "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"error": {"code": "E_LAYOUT", "message": "bad", "problems": [{"line": 1}]}}
    assert captured.err == ""


def test_json_behind_the_end_of_options_is_a_word() -> None:
    """`send x -- --json` talks about JSON and does not ask for it."""
    assert text.wants_json(["send", "--json", "x"])
    assert not text.wants_json(["send", "x", "--", "--json"])


def test_a_usage_error_is_an_object_with_json_too(home: Path) -> None:
    """Scripts read every failure the same way."""
    result = run("send", "--json")
    assert result.code == 2
    assert result.json["error"]["code"] == "E_USAGE"


def test_a_fault_of_ours_is_one_line_and_a_traceback_in_the_log(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 70; the line names the log, which only its owner can read and which keeps earlier crashes."""
    monkeypatch.setattr(cli_main, "run", _raising(KeyError("x\ny")))
    assert [_entry.main(["list"]), _entry.main(["list"])] == [70, 70]
    log = paths.state_dir() / "crash.log"
    assert capsys.readouterr().err.splitlines()[0] == f"error: unexpected KeyError: 'x\\ny' (traceback: {log})"
    assert log.read_text().count("Traceback") == 2
    assert log.stat().st_mode & 0o777 == 0o600


def test_without_a_place_for_the_log_the_traceback_is_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A state directory that cannot be made hides nothing."""
    monkeypatch.setattr(cli_main, "run", _raising(KeyError("x")))
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")
    assert _entry.main(["list"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_log_that_grew_large_starts_afresh(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log stays bounded."""
    log = paths.private_dir(paths.state_dir()) / "crash.log"
    log.write_text("x" * (_entry.CRASH_LOG_MAX_BYTES + 1))
    monkeypatch.setattr(cli_main, "run", _raising(KeyError("x")))
    assert _entry.main(["list"]) == 70
    assert log.stat().st_size < 10_000


@pytest.mark.parametrize("arguments", [("--help",), ("completion", "zsh"), ("layouts",), ("inbox",)], ids=" ".join)
def test_a_closed_pipe_is_quiet(arguments: tuple[str, ...], home: Path) -> None:
    """`intercom-mux … | head -0` says nothing about it."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command(*arguments), stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (1, 141)


def test_words_that_are_no_utf8_pass(home: Path) -> None:
    """An argument with a stray byte is sent, and printed with a replacement."""
    done = subprocess.run([*command("progress"), b"t\xff"], capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(b"t")


def test_a_file_called_json_in_the_directory_harms_nobody(home: Path) -> None:
    """Agents work anywhere: the console script does not import from the current directory."""
    (home / "json.py").write_text("raise SystemExit('shadowed')")
    script = Path(sys.executable).parent / "intercom-mux"
    done = subprocess.run([script, "layouts"], cwd=home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_of_the_package_is_the_entry() -> None:
    """What pip installs as `intercom-mux` ends with the code that main returns."""
    script = Path(sys.executable).parent / "intercom-mux"
    assert subprocess.run([script, "nonsense"], capture_output=True, check=False).returncode == 2


def test_an_option_before_its_verb_is_told_where_it_goes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--team NAME status` is a usage error that shows the order; an unknown option gets the general hint."""
    assert _entry.main(["--team", "same", "status"]) == 2
    assert "hint: the option goes behind the verb: intercom-mux status --team …" in capsys.readouterr().err
    assert _entry.main(["--nonsense", "status"]) == 2
    assert "hint: intercom-mux --help" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["task"]])
def test_a_group_alone_shows_its_help_and_no_error(
    arguments: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _entry.main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Usage: intercom-mux")
    assert "error:" not in shown


@pytest.mark.parametrize(
    ("words", "may"),
    [
        ([], True),
        (["pair"], True),
        (["pair", "--agent", "demo", "--var", "a=b", "--var=c=d", "--attach", "--no-wait", "--json"], True),
        (["here.yaml"], True),
        (["gone.yaml"], False),
        (["pair", "again"], False),
        (["--agnet", "demo"], False),
        (["pair", "--agent"], False),
        (["--dry-run"], False),
        (["pair", "--explain"], False),
        (["-h"], False),
    ],
)
def test_a_daemon_is_started_ahead_only_for_an_up_that_may_succeed(
    words: list[str], may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word that `up` does not know, one too many, and a file that is not there start nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.yaml").touch()
    assert _entry.may_start_team(words) == may


def test_the_options_of_up_are_known_before_click() -> None:
    """A new one must be told to the console script, or its `up` starts later than it could."""
    options = {name: option.is_flag for option in up.params if isinstance(option, click.Option) for name in option.opts}
    assert {name for name, is_flag in options.items() if not is_flag} == _entry.UP_VALUES
    assert {name for name, is_flag in options.items() if is_flag} == _entry.UP_FLAGS | {"--dry-run", "--explain"}
