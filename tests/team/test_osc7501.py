"""OSC 7501 read from the transcript of a pane, however it is written and cut."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.team.osc7501 import CLEARED, LOOK_MAX_BYTES, Osc7501Log
from intercom_mux.transcript.store import Writer, numbers


def osc(fields: str, end: bytes = b"\x1b\\") -> bytes:
    return b"\x1b]7501;" + fields.encode() + end


CASES = [
    (osc("state=idle:app=codex"), "idle"),
    (osc("state=done:app=codex"), "idle"),
    (osc("state=working:app=codex", b"\x07"), "thinking"),
    (osc("state=blocked:app=codex:kind=permission"), "blocked:permission"),
    (osc("state=blocked"), "blocked:permission"),
    (osc("state=blocked:kind=au th"), "blocked:permission"),
    (osc("state=clear"), CLEARED),
    (osc("state=error:app=codex"), CLEARED),
    (osc("?"), None),
    (osc("state=dancing"), None),
    (b"\x1b]7500;state=idle\x07 text state=idle", None),
    (osc("state=working") + b"text" + osc("state=idle") + b"more", "idle"),
    (osc("state=working") + osc("?"), "thinking"),
]


@pytest.mark.parametrize(("data", "status"), CASES)
def test_a_sequence_tells_a_status(data: bytes, status: str | None, tmp_path: Path) -> None:
    """The last that tells anything counts, and is news once."""
    Writer(tmp_path, 10_000).add(data, 1)
    log = Osc7501Log(tmp_path)
    assert (log.news(), log.news()) == (status, None)


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """No transcript is no news."""
    log = Osc7501Log(tmp_path / "a")
    assert log.news() is None
    (tmp_path / "a").mkdir()
    Writer(tmp_path / "a", 10_000).add(osc("state=idle"), 1)
    assert log.news() == "idle"


def test_one_look_searches_little_of_a_flood(tmp_path: Path) -> None:
    """Of a large gain only the end counts, and what was begun in one segment may end in the next."""
    writer = Writer(tmp_path, 8 * LOOK_MAX_BYTES)
    writer.add(osc("state=working") + b"x" * 3 * LOOK_MAX_BYTES + osc("state=idle"), 1)
    log = Osc7501Log(tmp_path)
    assert log.news() == "idle"
    writer.add(osc("state=working")[:9], 2)
    assert log.news() is None
    writer.add(osc("state=working")[9:], 3)
    assert log.news() == "thinking"
    assert len(numbers(tmp_path)) == 2


PARTS = st.lists(st.sampled_from([*(data for data, _ in CASES[:5]), b"text", b"\x1b[1m"]), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(parts=PARTS, step=st.integers(2, 40))
def test_cuts_change_nothing(parts: list[bytes], step: int, home: Path) -> None:
    """Read in pieces of any size, the last status is the same."""
    data = b"".join(parts)
    with tempfile.TemporaryDirectory(dir=home) as name:
        writer, log, last = Writer(Path(name), 100_000), Osc7501Log(Path(name)), None
        for begin in range(0, len(data), step):
            writer.add(data[begin : begin + step], 1)
            last = log.news() or last
        writer.close()
        assert last == Osc7501Log(Path(name)).news()
