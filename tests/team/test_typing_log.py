"""What was being typed survives any crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.team.typing_log import TypingLog

if TYPE_CHECKING:
    from pathlib import Path

pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

Key = tuple[str, str]
ids = st.text(min_size=1, max_size=8) | st.sampled_from(["a", "ab", "a\ndone a", "typing a", "\u2028", "\ud800", ""])
keys = st.tuples(st.sampled_from(["team:a", "team:b", ""]), ids)
steps = st.lists(st.tuples(keys, st.sampled_from(["typing", "untyped", "done"])), max_size=12)


def replayed(notes: list[tuple[Key, str]]) -> tuple[set[Key], list[Key]]:
    """Return what is being typed and what is done after `notes`."""
    done = dict.fromkeys(one for one, step in notes if step == "done")
    return {one for one, step in dict(notes).items() if step == "typing"}, list(done)


@pure
@given(steps, steps)
def test_a_reopened_log_knows_what_it_knew(
    home: Path, before: list[tuple[Key, str]], after: list[tuple[Key, str]]
) -> None:
    """Whatever the ids are made of, closing and opening again changes nothing, and the log goes on."""
    path = home / "typing.log"
    path.unlink(missing_ok=True)
    log = TypingLog(path)
    for notes in (before, after):
        for key, step in notes:
            log.note(key, step)
        log.close()
        log = TypingLog(path)
    assert (log.typing, list(log.done)) == replayed([*before, *after])
    log.close()


@pure
@given(steps, st.data())
def test_a_log_cut_anywhere_keeps_every_whole_line(
    home: Path, notes: list[tuple[Key, str]], data: st.DataObject
) -> None:
    """A crash in the middle of a line costs that line only, and what is written next is readable."""
    path = home / "typing.log"
    path.unlink(missing_ok=True)
    log = TypingLog(path)
    for key, step in notes:
        log.note(key, step)
    log.close()
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    log = TypingLog(path)
    kept = notes[: whole[:cut].count(b"\n")]
    assert (log.typing, list(log.done)) == replayed(kept)
    log.note(("team:a", "next"), "typing")
    log.close()
    log = TypingLog(path)
    assert ("team:a", "next") in log.typing
    log.close()


def test_two_peers_may_get_messages_of_one_id(home: Path) -> None:
    """What one peer got under an id says nothing of another peer, and each entry keeps its own step."""
    log = TypingLog(home / "typing.log")
    log.note(("team:a", "same"), "typing")
    log.note(("team:b", "same"), "typing")
    log.note(("team:a", "same"), "done")
    assert (log.typing, list(log.done)) == ({("team:b", "same")}, [("team:a", "same")])
    log.close()


def test_the_log_does_not_grow_for_ever(home: Path) -> None:
    """Opening keeps the last two thousand deliveries that are done, and all that are not."""
    path = home / "typing.log"
    log = TypingLog(path)
    log.note(("team:a", "open"), "typing")
    for number in range(5_000):
        log.note(("team:a", f"m{number}"), "done")
    log.close()
    TypingLog(path).close()
    log = TypingLog(path)
    assert log.typing == {("team:a", "open")}
    assert list(log.done) == [("team:a", f"m{number}") for number in range(3_000, 5_000)]
    log.close()


def test_foreign_bytes_are_passed_over(home: Path) -> None:
    """A damaged file costs its own lines, never the start of the daemon."""
    path = home / "typing.log"
    path.write_bytes(b'\xff\xfe\n{}\ndone [1]\ndone 7\ndone ["a",1]\ntyping "a"\ntyping ["a","b"]\n\ndance ["a","c"]\n')
    log = TypingLog(path)
    assert (log.typing, log.done) == ({("a", "b")}, {})
    log.close()
