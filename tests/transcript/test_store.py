"""Segments and their index: bounds, times, marks, and reading on while all of that changes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intercom_mux.transcript.reader import Piece, Reader
from intercom_mux.transcript.store import (
    GRAIN_MS,
    SEGMENTS,
    Entry,
    Writer,
    entries,
    index_file,
    log_file,
    numbers,
    remove_segment,
)

PRINTED = st.lists(
    st.tuples(st.binary(min_size=1, max_size=40), st.integers(0, 3 * GRAIN_MS), st.booleans()), min_size=1, max_size=40
)
"""What is printed, how long after the last, and whether a mark comes before it."""

SMALL = settings(deadline=None, max_examples=60)


def record(writer: Writer, printed: list[tuple[bytes, int, bool]], now: int = 1_000_000) -> list[tuple[bytes, int]]:
    """Write all of it, and return it with its times."""
    told = []
    for data, pause, has_mark in printed:
        now += pause
        if has_mark:
            writer.mark("started", now)
        writer.add(data, now)
        told.append((data, now))
    return told


def read_all(reader: Reader) -> list[Piece]:
    found = []
    while pieces := reader.read():
        found += pieces
    return found


@SMALL
@given(PRINTED)
def test_all_bytes_come_back_with_their_times(printed: list[tuple[bytes, int, bool]]) -> None:
    """Each byte has the time at which it came, or one of the tenth of a second before; marks stand where they were."""
    with tempfile.TemporaryDirectory() as name:
        writer = Writer(Path(name), 1_000_000)
        told = record(writer, printed)
        writer.close()
        pieces = read_all(Reader(Path(name)))
    assert b"".join(piece.data for piece in pieces) == b"".join(data for data, _ in told)
    assert sum(bool(piece.mark) for piece in pieces) == sum(has_mark for *_, has_mark in printed)
    came = [at for data, at in told for _ in data]
    said = [piece.at for piece in pieces for _ in piece.data]
    assert all(0 <= real - shown < GRAIN_MS for real, shown in zip(came, said, strict=True))


@SMALL
@given(PRINTED, st.integers(900_000, 1_010_000))
def test_since_leaves_out_nothing_that_is_later(printed: list[tuple[bytes, int, bool]], since: int) -> None:
    """What came at the time or later is there, and what came before only within a tenth of a second, or of its line."""
    with tempfile.TemporaryDirectory() as name:
        writer = Writer(Path(name), 1_000_000)
        told = record(writer, [(data.replace(b"\n", b"") + b"\n", pause, mark) for data, pause, mark in printed])
        writer.close()
        reader = Reader(Path(name))
        reader.seek_time(since)
        got = b"".join(piece.data for piece in read_all(reader))
    later = b"".join(data for data, at in told if at >= since)
    assert got.endswith(later)
    assert len(got) <= sum(len(data) for data, at in told if at + 2 * GRAIN_MS > since)


@SMALL
@given(PRINTED, st.integers(40, 400), st.integers(1, 4))
def test_a_transcript_is_bounded_and_its_end_is_whole(
    printed: list[tuple[bytes, int, bool]], limit: int, opened: int
) -> None:
    """Bytes and index never exceed the limit by more than the lines of a piece, and what is left is the end."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        told: list[bytes] = []
        # A writer that is opened anew goes on where the last one was.
        for part in range(opened):
            writer = Writer(directory, limit)
            for data, pause, has_mark in printed[part::opened]:
                told += [data for data, _ in record(writer, [(data, pause, has_mark)])]
                size = sum(file.stat().st_size for file in directory.iterdir())
                assert size <= limit + SEGMENTS * (1 + 2 * len(b"100000 1000000 started\n"))
                assert len(numbers(directory)) <= SEGMENTS
            writer.close()
        left = b"".join(log_file(directory, number).read_bytes() for number in numbers(directory))
        assert b"".join(told).endswith(left)
        assert len(left) >= min(len(b"".join(told)), 1)


@SMALL
@given(PRINTED, st.integers(400, 1200))
def test_a_reader_that_keeps_up_misses_nothing(printed: list[tuple[bytes, int, bool]], limit: int) -> None:
    """However small the segments are, and whenever a new one begins, who reads on after each piece gets all of it."""
    with tempfile.TemporaryDirectory() as name:
        writer, reader = Writer(Path(name), limit), Reader(Path(name))
        got: list[Piece] = []
        told = []
        for each in printed:
            told += record(writer, [each])
            got += read_all(reader)
        writer.close()
    assert b"".join(piece.data for piece in got) == b"".join(data for data, _ in told)
    assert sum(bool(piece.mark) for piece in got) == sum(has_mark for *_, has_mark in printed)


@SMALL
@given(PRINTED, st.integers(0, 600))
def test_the_tail_has_at_least_what_was_asked_for(printed: list[tuple[bytes, int, bool]], size: int) -> None:
    """So many last bytes, over segments if need be, or all there are."""
    with tempfile.TemporaryDirectory() as name:
        writer = Writer(Path(name), 100_000)
        told = record(writer, printed)
        writer.close()
        reader = Reader(Path(name))
        reader.seek_tail(size)
        got = b"".join(piece.data for piece in read_all(reader))
    whole = b"".join(data for data, _ in told)
    assert got == whole[max(0, len(whole) - size) :]


@given(st.binary(max_size=60))
def test_a_damaged_index_is_no_obstacle(index: bytes) -> None:
    """Whatever stands there, lines that are none are passed over."""
    assert all(isinstance(entry, Entry) and entry.offset >= 0 for entry in entries(index))


def test_a_torn_index_is_mended(tmp_path: Path) -> None:
    """What a writer left half written when it died goes before the next one goes on."""
    writer = Writer(tmp_path, 1000)
    writer.add(b"one", 5_000)
    writer.close()
    with index_file(tmp_path, 1).open("ab") as index:
        index.write(b"3 60")
    writer = Writer(tmp_path, 1000)
    writer.add(b"two", 7_000)
    writer.close()
    assert read_all(Reader(tmp_path)) == [Piece(b"one", 5_000), Piece(b"two", 7_000)]


def test_segments_that_are_removed_under_a_reader_are_passed_over(tmp_path: Path) -> None:
    """It goes on with the oldest that is left."""
    writer, reader = Writer(tmp_path, 400), Reader(tmp_path)
    for number in range(6):
        writer.add(b"%d" % number * 92, number * 1_000 + 1)
    assert reader.read()
    writer.add(b"x" * 20, 10_000)
    for number in numbers(tmp_path)[:-1]:
        remove_segment(tmp_path, number)
    assert set(b"".join(piece.data for piece in read_all(reader))) == {ord("x")}
    writer.close()


def test_the_last_mark(tmp_path: Path) -> None:
    """It is found over segments and writers; 0 when there is none."""
    writer = Writer(tmp_path, 4_000)
    assert writer.last_mark("started") == 0
    writer.mark("started", 7)
    writer.add(b"x" * 900, 8)
    writer.add(b"x" * 200, 9)
    writer.close()
    assert Writer(tmp_path, 4_000).last_mark("started") == 7
    assert len(numbers(tmp_path)) == 2


def test_files_are_private_and_no_link_is_followed(tmp_path: Path) -> None:
    """0600, and a symbolic link in their place is refused."""
    old = os.umask(0)
    try:
        Writer(tmp_path, 100).add(b"x", 1)
    finally:
        os.umask(old)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "00000001.idx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        Writer(tmp_path / "other", 100).add(b"x", 1)
