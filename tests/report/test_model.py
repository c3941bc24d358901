"""What a report says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.report import model
from intercom_mux.report.model import Span, build, doing
from intercom_mux.team.status_log import Change
from tests.report.sources import NOON, busy, message, source

QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def test_asks_and_replies_are_joined() -> None:
    """A reply knows its ask and how long it took, an ask its first reply; others say what became of them."""
    rows = [
        message(1, "a", "b", "how?", kind="ask"),
        message(2, "a", "c", "when?", kind="ask", outcome="expired"),
        message(5, "b", "a", "so", kind="reply", reply_to="m1"),
        message(6, "c", "a", "stray", kind="reply", reply_to="m1"),
        message(7, "a", "b", "and?", kind="ask"),
    ]
    rows[3]["to_id"] = "id-somebody"
    made = build(source(rows, now=NOON + 10_000))
    first, second, reply, stray, last = made.conversation
    assert (first.answered_by, first.outcome, reply.answers, reply.waited_ms) == (3, "answered", 1, 4_000)
    assert (second.answered_by, second.outcome, second.waited_ms) == (None, "expired", None)
    assert (stray.answers, last.outcome, last.waited_ms) == (None, "open", 3_000)
    everybody, *each = made.waits
    assert (everybody.asks, everybody.answered, everybody.unanswered) == (3, 1, {"expired": 1, "open": 1})
    assert {row.asked: (row.median_ms, row.worst_ms) for row in each} == {"b": (4_000, 4_000), "c": (None, None)}
    assert [ask.number for ask in made.unanswered] == [2, 5]


def test_median_and_worst_are_of_all_answers() -> None:
    """Also of those that are no longer shown one by one."""
    rows = []
    for turn in range(1_001):
        rows.append(message(10_000 * turn, "a", "b", kind="ask"))
        rows.append(message(10_000 * turn + 1 + turn, "b", "a", kind="reply", reply_to=rows[-1]["id"]))
    made = build(source(rows))
    assert (made.waits[0].median_ms, made.waits[0].worst_ms) == (501_000, 1_001_000)
    assert len(made.conversation) == model.MAX_MESSAGES
    assert made.conversation[-1].number == 2_002
    assert made.cuts == ["1,000 of 2,002 messages are shown one by one: the last"]


def test_lines_count_by_kind() -> None:
    """Who sent to whom, the busiest first; strangers are told apart from peers."""
    rows = [message(1, "a", "b"), message(2, "a", "b", kind="ask"), message(3, "shell", "a")]
    made = build(source(rows, peers=["a", "b"]))
    lines = [(line.sender, line.receiver, line.messages, line.asks) for line in made.lines]
    assert lines == [("a", "b", 2, 1), ("shell", "a", 1, 0)]
    assert (made.peers, made.others) == (["a", "b"], ["shell"])


def test_time_is_told_by_what_was_done() -> None:
    """Tools are thinking, a dialog is blocked, after the end nobody looked; the last status lasts until now."""
    words = ["starting", "idle", "thinking", "tool:Bash", "blocked:permission", "stopped", "idle"]
    changes = [Change(NOON + 1000 * at, "a", status) for at, status in enumerate(words)]
    (time,) = build(source([], peers=["a"], changes=changes, now=NOON + 10_000)).times
    assert time.totals == {
        "thinking": 2_000,
        "blocked": 1_000,
        "idle": 5_000,
        "starting": 1_000,
        "away": 1_000,
    }
    assert [doing(word) for word in ("ended", "tool:x", "exited:1 · restarts", "nonsense", "")] == [
        "ended",
        "thinking",
        "exited",
        "unknown",
        "unknown",
    ]


@pytest.mark.parametrize(("end", "told"), [("ended", "ended"), ("exited:137", "exited")])
def test_who_is_over_is_not_away(end: str, told: str) -> None:
    """Killed by us or by somebody: so it stays, whether anybody looks or not, until it is started again."""
    words = ["idle", end, "stopped", "starting"]
    changes = [Change(NOON + 1000 * at, "a", status) for at, status in enumerate(words)]
    (time,) = build(source([], peers=["a"], changes=changes, now=NOON + 4_000)).times
    assert time.totals == {"idle": 1_000, told: 2_000, "starting": 1_000}


@QUICK
@given(st.lists(st.tuples(st.integers(0, 5_000), st.sampled_from(["idle", "thinking", "blocked:x"])), max_size=900))
def test_what_is_drawn_is_bounded_and_covers_the_whole_time(steps: list[tuple[int, str]]) -> None:
    """However often a status changes: few spans without gaps, and totals that add up."""
    changes, at = [Change(NOON, "a", "starting")], NOON
    for wait, status in steps:
        at += wait
        changes.append(Change(at, "a", status))
    (time,) = build(source([], peers=["a"], changes=changes, now=at + 1)).times
    assert len(time.spans) <= model.MAX_SPANS
    assert sum(time.totals.values()) == at + 1 - NOON
    assert (time.spans[0].begin, time.spans[-1].end) == (NOON, at + 1)
    assert all(one.end == other.begin for one, other in zip(time.spans, time.spans[1:], strict=False))


def test_tasks_are_read_whatever_the_broker_kept() -> None:
    """With a history its states over time, without one a single span; nonsense is left empty."""
    made = build(busy())
    parser, docs = made.tasks
    assert [one.what for one in parser.spans] == ["assigned", "started", "blocked", "done"]
    assert docs.spans == [Span(NOON, NOON + 200_000, "started")]
    odd = [{"id": 7, "percent": "many", "history": [1, {"at": None}], "created_at": "then"}]
    (task,) = build(source([], peers=["a"], tasks=odd)).tasks
    assert (task.id, task.percent, task.state) == ("7", 0, "assigned")


def test_a_team_that_did_nothing_has_a_report() -> None:
    """Empty lists, and no cuts."""
    made = build(source([], peers=["a"], is_running=False))
    assert (made.lines, made.waits, made.tasks, made.times, made.cuts, made.pages) == ([], [], [], [], [], [])
    assert made.begin <= made.end
