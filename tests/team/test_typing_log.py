"""What was being typed survives any crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.team.typing_log import TypingLog

if TYPE_CHECKING:
    from pathlib import Path

pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

ids = st.text(min_size=1, max_size=8) | st.sampled_from(["a", "ab", "a\ndone a", "typing a", "\u2028", "\ud800", ""])
steps = st.lists(st.tuples(ids, st.sampled_from(["typing", "untyped", "done"])), max_size=12)


def replayed(notes: list[tuple[str, str]]) -> tuple[set[str], list[str]]:
    """Return what is being typed and what is done after `notes`."""
    done = dict.fromkeys(one for one, step in notes if step == "done")
    return {one for one, step in dict(notes).items() if step == "typing"}, list(done)


@pure
@given(steps, steps)
def test_a_reopened_log_knows_what_it_knew(
    home: Path, before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    """Whatever the ids are made of, closing and opening again changes nothing, and the log goes on."""
    path = home / "typing.log"
    path.unlink(missing_ok=True)
    log = TypingLog(path)
    for notes in (before, after):
        for message_id, step in notes:
            log.note(message_id, step)
        log.close()
        log = TypingLog(path)
    assert (log.typing, list(log.done)) == replayed([*before, *after])
    log.close()


@pure
@given(steps, st.data())
def test_a_log_cut_anywhere_keeps_every_whole_line(
    home: Path, notes: list[tuple[str, str]], data: st.DataObject
) -> None:
    """A crash in the middle of a line costs that line only, and what is written next is readable."""
    path = home / "typing.log"
    path.unlink(missing_ok=True)
    log = TypingLog(path)
    for message_id, step in notes:
        log.note(message_id, step)
    log.close()
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    log = TypingLog(path)
    kept = notes[: whole[:cut].count(b"\n")]
    assert (log.typing, list(log.done)) == replayed(kept)
    log.note("next", "typing")
    log.close()
    log = TypingLog(path)
    assert "next" in log.typing
    log.close()


def test_the_log_does_not_grow_for_ever(home: Path) -> None:
    """Opening keeps the last two thousand deliveries that are done, and all that are not."""
    path = home / "typing.log"
    log = TypingLog(path)
    log.note("open", "typing")
    for number in range(5_000):
        log.note(f"m{number}", "done")
    log.close()
    TypingLog(path).close()
    log = TypingLog(path)
    assert log.typing == {"open"}
    assert list(log.done) == [f"m{number}" for number in range(3_000, 5_000)]
    log.close()


def test_foreign_bytes_are_passed_over(home: Path) -> None:
    """A damaged file costs its own lines, never the start of the daemon."""
    path = home / "typing.log"
    path.write_bytes(b'\xff\xfe\n{}\ndone [1]\ndone 7\ntyping "a"\n\ndance "b"\n')
    log = TypingLog(path)
    assert log.typing == {"a"}
    log.close()
