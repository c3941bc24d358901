"""The redo log: what was appended is read back, whole entries only, and nothing but plain values."""

from __future__ import annotations

import pickle
from pathlib import Path
from struct import pack
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.broker.core.model import SessionKey
from intercom_mux.broker.redo_log import RedoLog

values = (
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.builds(SessionKey, st.text(), st.text())
)
commits = st.lists(st.lists(st.lists(values, max_size=4).map(tuple), min_size=1, max_size=3), max_size=4)
pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


@pure
@given(commits, st.integers(0, 10_000), st.integers(1, 255))
def test_what_was_appended_is_read_up_to_the_first_damage(
    tmp_path: Path, story: list[list[tuple[object, ...]]], position: int, flip: int
) -> None:
    """Cut or bent anywhere, the log reads as the commits before that place, each of them whole."""
    path = tmp_path / "journal.redo"
    path.unlink(missing_ok=True)
    log = RedoLog(path)
    ends = [0]
    for records in story:
        log.append(records)
        ends.append(path.stat().st_size)
    assert log.read() == [record for records in story for record in records]
    log.close()
    whole = path.read_bytes()
    if whole:
        place = position % len(whole)
        intact = sum(end <= place for end in ends[1:])
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]):
            path.write_bytes(damaged)
            bent = RedoLog(path)
            assert bent.read() == [record for records in story[:intact] for record in records]
            bent.close()


def test_clear_forgets_everything(tmp_path: Path) -> None:
    """After it the log is empty, also for the next who opens it."""
    path = tmp_path / "journal.redo"
    log = RedoLog(path)
    log.append([("finish", 1)])
    log.clear()
    log.append([("finish", 2)])
    assert log.read() == [("finish", 2)]
    log.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_foreign_object_is_refused(tmp_path: Path) -> None:
    """A log that somebody else wrote cannot make the broker build objects of his choice."""
    path = tmp_path / "journal.redo"
    body = pickle.dumps([(Path("/"),)])
    path.write_bytes(pack(">II", len(body), crc32(body)) + body)
    log = RedoLog(path)
    with pytest.raises(ValueError, match="does not belong"):
        log.read()
    log.close()
