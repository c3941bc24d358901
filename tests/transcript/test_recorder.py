"""The recorder as a real process: pipes in, transcripts out, through restarts, kills, full disks and floods."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from intercom_mux import config, paths
from intercom_mux.errors import IntercomError
from intercom_mux.transcript import recording, settings
from intercom_mux.transcript.keeping import transcripts_dir
from intercom_mux.transcript.reader import Reader
from intercom_mux.transcript.store import SEGMENTS, numbers
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEAM = "crew-1"
SECRET = [("API_KEY", "sk-123456789")]


class Pane:
    """What tmux's copy of a pane is to the recorder: somebody who writes into the pipe."""

    def __init__(self, name: str = "a", secrets: list[tuple[str, str]] | None = None) -> None:
        pipe = recording.pipe_for(TEAM, name, SECRET if secrets is None else secrets)
        assert pipe is not None
        self.descriptor = os.open(pipe, os.O_RDWR)

    def print(self, data: bytes) -> None:
        assert os.write(self.descriptor, data) == len(data)

    def close(self) -> None:
        os.close(self.descriptor)


@pytest.fixture
def keeper(home: Path) -> Iterator[recording.Keeper]:
    """A daemon's keeper; its recorder is ended."""
    paths.private_dir(paths.team_state_dir(TEAM))
    keeper = recording.Keeper(TEAM)
    yield keeper
    recording.stop(TEAM)
    keeper.leave()


def recorded(name: str = "a") -> bytes:
    return b"".join(piece.data for piece in pieces(name))


def marks(name: str = "a") -> list[str]:
    return [piece.mark for piece in pieces(name) if piece.mark]


def pieces(name: str) -> list:  # type: ignore[type-arg]
    reader, found = Reader(transcripts_dir(TEAM) / name), []
    while more := reader.read():
        found += more
    return found


def pid() -> int:
    return int((paths.team_runtime_dir(TEAM) / "record" / "recorder.pid").read_text())


def test_what_was_printed_before_it_ran_is_recorded_and_masked_over_reads(keeper: recording.Keeper) -> None:
    """From the first byte on; a secret in two pieces, apart in time, is never on disk, not even its first half."""
    pane = Pane()
    pane.print(b"first\n")
    keeper.keep()
    wait_until(lambda: recorded() == b"first\n", what="the beginning")
    pane.print(b"key: sk-1234")
    wait_until(lambda: recorded() == b"first\nkey: ", what="what is no secret")
    pane.print(b"56789 and sk-12\n")
    wait_until(lambda: recorded() == b"first\nkey: [masked API_KEY] and sk-12\n", what="the mask")
    pane.close()


def test_a_peer_that_starts_again_is_marked_and_has_its_new_secrets(keeper: recording.Keeper) -> None:
    """Its transcript goes on after a mark, and what is secret now counts from its first byte."""
    keeper.keep()
    first = Pane()
    keeper.keep()
    first.print(b"old\n")
    wait_until(lambda: recorded() == b"old\n", what="the first run")
    first.close()
    second = Pane(secrets=[("OTHER", "other-secret")])
    second.print(b"other-secret\n")
    wait_until(lambda: recorded() == b"old\n[masked OTHER]\n", what="the second run")
    assert marks() == ["started", "started"]
    second.close()


def test_peers_that_come_later_are_heard_at_once(keeper: recording.Keeper) -> None:
    """A new pipe is found by the bell, not by waiting."""
    first = Pane("a")
    keeper.keep()
    first.print(b"x")
    wait_until(lambda: recorded("a") == b"x", what="the first peer")
    second = Pane("b")
    second.print(b"y")
    wait_until(lambda: recorded("b") == b"y", what="the second peer", timeout_s=5)
    first.close()
    second.close()


def test_a_killed_recorder_is_replaced_and_loses_nothing_that_it_had_not_read(keeper: recording.Keeper) -> None:
    """What is printed meanwhile waits in the pipe; a mark says that there was a gap."""
    pane = Pane()
    keeper.keep()
    pane.print(b"before\n")
    wait_until(lambda: recorded() == b"before\n", what="the beginning")
    killed = pid()
    os.kill(killed, signal.SIGKILL)
    pane.print(b"meanwhile\n")
    wait_until(lambda: _kept(keeper) and recorded() == b"before\nmeanwhile\n", what="what was printed meanwhile")
    assert marks() == ["started", "resumed"]
    assert pid() != killed
    pane.close()


def _kept(keeper: recording.Keeper) -> bool:
    keeper.keep()
    return True


def test_one_runs_whoever_starts_it(keeper: recording.Keeper) -> None:
    """A second keeper, as of the next daemon, leaves the first one's recorder alone."""
    pane = Pane()
    keeper.keep()
    pane.print(b"x")
    wait_until(lambda: recorded() == b"x", what="the recorder")
    only = pid()
    other = recording.Keeper(TEAM)
    other.keep()
    assert pid() == only
    os.kill(only, 0)
    pane.close()


def test_ending_it_writes_all_that_is_left(keeper: recording.Keeper) -> None:
    """What is in the pipe, and what was held back; on return nobody holds the lock, and once more is no error."""
    pane = Pane()
    keeper.keep()
    pane.print(b"a" * 60_000 + b" sk-1")
    recording.stop(TEAM)
    # It begins a secret: what would reveal it is masked.
    assert recorded() == b"a" * 60_000 + b" [masked API_KEY]"
    recording.stop(TEAM)
    pane.close()


def test_nothing_is_started_without_pipes(keeper: recording.Keeper) -> None:
    """A team in which nothing is recorded has no recorder."""
    keeper.keep()
    assert not (paths.team_runtime_dir(TEAM) / "record").exists()


def test_a_flood_is_bounded_and_its_end_is_there(keeper: recording.Keeper) -> None:
    """Of 3 MB printed at once the last part stays, within the size that the user has set."""
    config.config_file().parent.mkdir(parents=True)
    config.config_file().write_text("[transcripts]\nsize_mb = 0.25\n")
    pane = Pane()
    keeper.keep()
    for number in range(3_000):
        pane.print(b"%07d " % number + b"x" * 1_000 + b"\n")
    wait_until(lambda: recorded().endswith(b"0002999 " + b"x" * 1_000 + b"\n"), what="the end of the flood")
    directory = transcripts_dir(TEAM) / "a"
    assert len(numbers(directory)) <= SEGMENTS
    assert sum(file.stat().st_size for file in directory.iterdir()) <= 262_144 + SEGMENTS * 100
    pane.close()


def test_a_transcript_that_cannot_be_written_is_told_once_it_can(keeper: recording.Keeper) -> None:
    """The program is not held up, the loss is counted in a mark, and the daemon's log has the reason."""
    directory = transcripts_dir(TEAM) / "a"
    paths.private_dir(directory.parent)
    directory.write_text("in the way")
    pane = Pane()
    keeper.keep()
    log = paths.team_state_dir(TEAM) / "daemon.log"
    pane.print(b"lost")
    wait_until(lambda: log.exists() and "a: cannot write" in log.read_text(), what="the reason")
    directory.unlink()
    directory.mkdir(mode=0o700)
    pane.print(b"kept")
    wait_until(lambda: recorded() == b"kept", what="what came then")
    assert marks() == ["lost 4"]
    pane.close()


def test_pipes_and_what_stands_beside_them_are_private(keeper: recording.Keeper) -> None:
    """0600 in 0700, and the values stand in no command line."""
    pane = Pane()
    keeper.keep()
    pane.print(b"x")
    wait_until(lambda: recorded() == b"x", what="the recorder")
    directory = paths.team_runtime_dir(TEAM) / "record"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o077 for file in directory.iterdir()} == {0}
    with open(f"/proc/{pid()}/cmdline", "rb") as line:
        assert b"sk-1" not in line.read()
    pane.close()


@pytest.mark.parametrize("line", ["size_mb = 0", 'keep_days = "7"', "keep_days = true", "size_mb = inf", "size = 1"])
def test_settings_are_strict(home: Path, line: str) -> None:
    """A wrong value or key is told with its name; recording goes on with the defaults."""
    config.config_file().parent.mkdir(parents=True)
    config.config_file().write_text(f"[transcripts]\n{line}\n")
    with pytest.raises(IntercomError, match=r"transcripts\.") as raised:
        settings.load()
    assert raised.value.code == "E_CONFIG"
    assert settings.load_or_default() == settings.Settings()
