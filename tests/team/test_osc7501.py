"""OSC 7501 read from the raw log of a pane, however it is written and cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.team.osc7501 import CLEARED, LOOK_MAX_BYTES, Osc7501Log

if TYPE_CHECKING:
    from pathlib import Path


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
    (tmp_path / "log").write_bytes(data)
    log = Osc7501Log(tmp_path / "log")
    assert (log.news(), log.news()) == (status, None)


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """No file is no news."""
    log = Osc7501Log(tmp_path / "log")
    assert log.news() is None
    (tmp_path / "log").write_bytes(osc("state=idle"))
    assert log.news() == "idle"


def test_one_look_reads_little_of_a_flood(tmp_path: Path) -> None:
    """Of a large gain only the end is read, and a log that was cut is read anew."""
    (tmp_path / "log").write_bytes(osc("state=working") + b"x" * 3 * LOOK_MAX_BYTES + osc("state=idle"))
    log = Osc7501Log(tmp_path / "log")
    assert log.news() == "idle"
    (tmp_path / "log").write_bytes(osc("state=working"))
    assert log.news() == "thinking"


PARTS = st.lists(st.sampled_from([*(data for data, _ in CASES[:5]), b"text", b"\x1b[1m"]), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(parts=PARTS, step=st.integers(2, 40))
def test_cuts_change_nothing(parts: list[bytes], step: int, home: Path) -> None:
    """Read in pieces of any size, the last status is the same."""
    data = b"".join(parts)
    path = home / "log"
    path.unlink(missing_ok=True)
    log, last = Osc7501Log(path), None
    for end in range(step, len(data) + step, step):
        path.write_bytes(data[:end])
        last = log.news() or last
    path.write_bytes(data)
    assert last == Osc7501Log(path).news()
