"""`logs` as a person types it, on real teams: masked, searched, followed, over restarts and deaths, after `down`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux import config, paths
from intercom_mux.transcript.keeping import label, transcripts_dir
from intercom_mux.transcript.store import Writer, numbers
from tests.agents.demo.pseudo import Pseudo
from tests.cli.stage import command, run
from tests.support import wait_until
from tests.team.stage import CAT, SHELL, Stage, end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]


@pytest.fixture
def team(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A team in whose project directory the commands run; not up yet."""
    stage = Stage(home)
    monkeypatch.chdir(stage.project)
    yield stage
    end_all_teams()


@pytest.fixture
def past(team: Stage) -> Writer:
    """The transcript of peer `a` of the team as it is after `down`."""
    label(team.id, team.name, team.project)
    directory = transcripts_dir(team.id) / "a"
    directory.mkdir()
    return Writer(directory, 1_000_000)


class Following:
    """A `logs -f` that runs."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(command("logs", "-f", *arguments), stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self.out = b""

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(10) == 130
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_for(self, out: bytes) -> None:
        wait_until(lambda: self._seen() == out, what=f"{out!r}, have {self.out!r}")

    def _seen(self) -> bytes:
        assert self._process.stdout is not None
        self.out += self._process.stdout.read() or b""
        return self.out


def rows(*arguments: str) -> list[Json]:
    """The objects that `logs --json` prints."""
    done = run("logs", *arguments, "--json")
    assert done.code == 0, done
    return [json.loads(line) for line in done.out.splitlines()]


def test_secrets_are_masked_in_what_panes_print(team: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, by the layout's word, from the user's own environment and from the peer's, also half by half."""
    monkeypatch.setenv("MY_OWN_TOKEN", "own-token-1234")
    script = 'echo "$A_KEY $A_PASSWORD $MY_OWN_TOKEN $PLAIN"; printf hunter; sleep 0.3; echo 22-hunter; exec cat'
    env = {"A_PASSWORD": "hunter22-hunter", "A_KEY": "watchword-9", "PLAIN": "plain-value"}
    team.up({"a": {"command": ["sh", "-c", script], "env": env}}, secrets=["A_KEY"])
    shown = "[masked A_KEY] [masked A_PASSWORD] [masked MY_OWN_TOKEN] plain-value\n[masked A_PASSWORD]\n"
    wait_until(lambda: run("logs", "a").out == shown, what="the masked lines")
    values = ("hunter22-hunter", "watchword-9", "own-token-1234")
    kept = b"".join(file.read_bytes() for file in paths.state_dir().rglob("*") if file.is_file())
    assert not [value for value in values if value.encode() in kept]
    planned = run("up", "layout.yaml", "--dry-run")
    assert not [value for value in values if value in planned.out]


def test_a_transcript_goes_on_over_restarts_and_lives(team: Stage) -> None:
    """What the program printed before and after stands there, with a mark between; after `down` and `up` again too."""
    peer = {"a": {"command": ["sh", "-c", "echo life; read line; echo $line; exec cat"]}}
    team.up(peer)
    team.type("a", "one")
    wait_until(lambda: "one" in run("logs", "a").out, what="the first life")
    assert run("restart", "a").code == 0
    wait_until(lambda: run("logs", "a").out.count("life\n") == 2, what="the second life")
    team.down()
    assert run("logs", "a").out.count("life\n") == 2
    team.up(peer)
    wait_until(lambda: run("logs", "a").out.count("life\n") == 3, what="the third life")
    lines = run("logs", "a").out.splitlines()
    assert [line.split(" 2")[0] for line in lines if "──" in line] == ["── started again"] * 2
    assert [row["mark"] for row in rows("a") if "mark" in row] == ["started"] * 3
    assert [row["text"] for row in rows("a", "--grep", "^li[f]e$")] == ["life"] * 3


def test_the_daemons_and_the_recorders_death_lose_nothing(team: Stage) -> None:
    """Without a daemon recording goes on; without either, panes run on, and the next `up` records what they printed."""
    team.up({"a": SHELL})
    wait_until(lambda: run("logs", "a").out, what="the recorder")
    os.kill(team.daemon_pid(), signal.SIGKILL)
    team.type("a", "echo without-$((1)) a daemon")
    wait_until(lambda: "\nwithout-1 a daemon\n" in run("logs", "a").out, what="what came without a daemon")
    recorder = int((team.runtime / "record" / "recorder.pid").read_text())
    os.kill(recorder, signal.SIGKILL)
    team.type("a", "seq -s, 30000; echo without-$((2)) both")
    team.wait_for("a", "without-2 both")
    team.up()
    wait_until(lambda: "\nwithout-2 both\n" in run("logs", "a").out, what="what came without both")
    assert ",".join(map(str, range(1, 30_001))) in run("logs", "a", "--since", "1h").out.replace("\n", "")
    assert [row["mark"] for row in rows("a", "--since", "1h") if "mark" in row] == ["started", "resumed"]


def test_following_survives_rotation_restart_and_death(team: Stage) -> None:
    """`-f` prints every line once while segments come and go, then goes on over the peer's restart."""
    config.config_file().parent.mkdir(parents=True)
    config.config_file().write_text("[transcripts]\nsize_mb = 0.02\n")
    script = "while read count; do i=0; while [ $i -lt $count ]; do i=$((i+1)); echo line $i of $count; done; done"
    team.up({"a": {"command": ["sh", "-c", f"stty -echo; echo ready; {script}"]}})
    wait_until(lambda: run("logs", "a").out == "ready\n", what="the program")
    out = b"ready\n"
    with Following("a") as following:
        following.wait_for(out)
        for _ in range(4):
            team.type("a", "600")
            out += b"".join(b"line %d of 600\n" % number for number in range(1, 601))
            following.wait_for(out)
        assert numbers(transcripts_dir(team.id) / "a")[0] > 1
        run("restart", "a")
        wait_until(lambda: following._seen().endswith(b"ready\n") and following.out != out, what="the new start")
        assert "── started again ".encode() in following.out[len(out) :]


def test_following_shows_an_unfinished_line_and_then_its_end(team: Stage) -> None:
    """A prompt is seen though nothing ends it; what follows stands on the same line."""
    team.up({"a": {"command": ["sh", "-c", "printf 'Continue? '; read answer; echo; echo Gone on.; exec cat"]}})
    with Following("a") as following:
        following.wait_for(b"Continue? ")
        team.type("a", "y")
        following.wait_for(b"Continue? y\n\nGone on.\n")
    with Following("a", "--grep", "^Gone") as following:
        following.wait_for(b"Gone on.\n")


def test_colours_are_for_terminals(team: Stage, past: Writer) -> None:
    """On a terminal they stay, unless NO_COLOR says otherwise; in a pipe and in JSON there is plain text."""
    past.add(b"\x1b[31mred\x1b[0m\r\n\x1b[2J\x1b[5;5Hmenu\r\n", 1_000)
    assert run("logs", "a").out == "red\nmenu\n"
    assert run("logs", "a", "--raw").out == "\x1b[31mred\x1b[0m\r\n\x1b[2J\x1b[5;5Hmenu\r\n"
    assert [row["text"] for row in rows("a")] == ["red", "menu"]
    for variables, expected in (({}, b"\x1b[31mred\x1b[0m"), ({"NO_COLOR": "1"}, b"red\r\n")):
        with Pseudo(["-I", "-m", "intercom_mux", "logs", "a"], team.project, {"TERM": "xterm", **variables}) as screen:
            assert screen.process.wait(20) == 0
            wait_until(lambda screen=screen, expected=expected: expected in _raw(screen), what="the line")  # type: ignore[misc]
            assert (b"\x1b[31m" in _raw(screen)) == (not variables)


def _raw(screen: Pseudo) -> bytes:
    return screen.written


def test_times(past: Writer) -> None:
    """`--since` counts by when a line was printed; `-t` shows it; JSON has Unix milliseconds."""
    now = 1_790_000_000_000
    past.mark("started", now)
    for minute in range(5):
        past.add(b"minute %d\n" % minute, now + minute * 60_000)
    past.mark("started", now + 240_001)
    past.add(b"again\n", now + 240_001)
    since = "2026-09-21T14:16:20+00:00"
    assert run("logs", "a", "--since", since).out.splitlines()[0] == "minute 3"
    assert [row["at"] - now for row in rows("a", "--since", since)] == [180_000, 240_000, 240_001, 240_001]
    stamped = run("logs", "a", "-t", "-n", "3", env={"TZ": "UTC"}).out.splitlines()
    assert stamped == [
        "2026-09-21 14:17:20.000  minute 4",
        "── started again 2026-09-21 14:17:20 ──",
        "2026-09-21 14:17:20.001  again",
    ]
    assert run("logs", "a", "--since", "1s").out == ""


@pytest.mark.parametrize(("count", "shown"), [("0", ""), ("2", "three\nfour"), ("9", "one\ntwo\nthree\nfour")])
def test_the_last_lines(past: Writer, count: str, shown: str) -> None:
    """As many as were asked for, an unfinished one included; so do raw bytes."""
    past.add(b"one\r\ntwo\r\nthree\r\nfour", 1_000)
    assert run("logs", "a", "-n", count).out == (f"{shown}\n" if shown else "")
    assert run("logs", "a", "-n", count, "--raw").out == shown.replace("\n", "\r\n")


def test_a_search_goes_over_all_segments(team: Stage) -> None:
    """More than the last 200 lines, and over segments."""
    label(team.id, team.name, team.project)
    directory = transcripts_dir(team.id) / "a"
    directory.mkdir()
    writer = Writer(directory, 400_000)
    for number in range(20_000):
        writer.add(b"line %d\n" % number, number)
    assert len(numbers(directory)) > 1
    assert run("logs", "a", "--grep", r"^line \d*999$").out.splitlines()[-2:] == ["line 18999", "line 19999"]
    assert run("logs", "a", "--grep", r"(?i)LINE \d+99$", "-n", "1").out == "line 19999\n"


@pytest.mark.parametrize(
    "words",
    [
        ["a", "--grep", "("],
        ["a", "--since", "yesterday"],
        ["a", "--raw", "-t"],
        ["a", "--daemon"],
        ["--daemon", "--since", "1h"],
        ["a", "--prune", "-f"],
        ["a", "--days", "3"],
    ],
)
def test_what_does_not_go_together_is_refused(past: Writer, words: list[str]) -> None:
    """With the usage, before anything is printed."""
    past.add(b"x\n", 1)
    refused = run("logs", *words)
    assert (refused.code, refused.out) == (2, "")


def test_after_down_the_team_is_found_by_directory_or_name(
    team: Stage, past: Writer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like a running one; several are told, an unknown peer or team too."""
    past.add(b"here\n", 1)
    other = home / "other"
    other.mkdir()
    label("other-1", "other", other)
    (transcripts_dir("other-1") / "a").mkdir()
    Writer(transcripts_dir("other-1") / "a", 1_000).add(b"there\n", 1)
    assert run("logs", "a").out == "here\n"
    assert run("logs", "a", "--team", "other").out == "there\n"
    assert "name a peer: a" in run("logs").err
    monkeypatch.chdir(home)
    several = run("logs", "a", "--json")
    assert (several.code, several.json["error"]["code"]) == (9, "E_SEVERAL_TEAMS")
    for words in (["nobody"], ["a", "--team", "nobody"]):
        refused = run("logs", *words, "--json")
        assert (refused.code, refused.json["error"]["code"]) == (9, "E_NO_TEAM")


def test_pruning(team: Stage, past: Writer) -> None:
    """Of teams that are down all goes, of one that runs only what is not being written; `--days` spares the younger."""
    past.add(b"old\n", 1)
    assert run("logs", "--prune", "--days", "1").out == "0 files are removed, 0.0 MiB\n"
    assert run("logs", "a").out == "old\n"
    pruned = run("logs", "--prune", "--json").json
    assert pruned["files"] == 1
    assert not transcripts_dir(team.id).exists()
    team.up({"a": {"command": ["sh", "-c", "echo new; exec cat"]}, "b": CAT})
    wait_until(lambda: run("logs", "a").out == "new\n", what="the new life")
    assert run("logs", "a", "--prune", "--json").json["files"] == 0
    assert run("logs", "--prune").code == 0
    assert run("logs", "a").out == "new\n"


def test_what_is_too_old_goes_when_a_team_comes_up(team: Stage, past: Writer, home: Path) -> None:
    """After `keep_days`, without anybody asking."""
    label("gone-1", "gone", home / "gone")
    (transcripts_dir("gone-1") / "a").mkdir()
    Writer(transcripts_dir("gone-1") / "a", 1_000).add(b"x\n", 1)
    for file in (transcripts_dir("gone-1") / "a").iterdir():
        os.utime(file, (1, 1))
    past.add(b"young\n", 1)
    team.up({"b": CAT})
    wait_until(lambda: not transcripts_dir("gone-1").exists(), what="the end of the old ones")
    assert run("logs", "a").out == "young\n"


def test_many_chatty_panes_are_recorded_by_one_process(team: Stage) -> None:
    """Forty panes that print at once are all recorded whole, and there is one recorder."""
    script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; done; exec cat"
    team.up({"p": {"command": ["sh", "-c", script], "count": 40}}, arrange="windows")
    whole = "".join(f"{number}\n" for number in range(1, 301))
    for number in range(1, 41):
        wait_until(lambda number=number: _recorded(team, f"p-{number}") == whole, what=f"p-{number}", timeout_s=20)  # type: ignore[misc]
    processes = subprocess.run(["ps", "-ww", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    recorders = [line for line in processes.splitlines() if "transcript.recorder" in line and str(team.runtime) in line]
    assert len(recorders) == 1
    assert sys.executable in recorders[0]


def _recorded(team: Stage, peer: str) -> str:
    directory = transcripts_dir(team.id) / peer
    files = [file.read_text() for file in sorted(directory.glob("*.log"))]
    return "".join(files).replace("\r\n", "\n")
