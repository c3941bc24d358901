"""When a peer is started again: pure."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.layout.model import Restart
from intercom_mux.team.restarts import LONGEST_WAIT_S, WINDOW_S, RestartClock, wait_s

pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def test_the_waits_double_up_to_a_minute() -> None:
    """1, 2, 4 and so on; a number of any size is a minute."""
    policy = Restart("always", max_retries=1000)
    assert [wait_s(policy, count) for count in (0, 1, 2, 5, 6, 900)] == [1, 2, 4, 32, 60, 60]


def test_it_says_what_comes_and_gives_up() -> None:
    """The words count the coming restart, and end with the limit."""
    clock = RestartClock(Restart("on-failure", max_retries=1, backoff_s=4))
    clock.ended(1, 0)
    assert clock.words(0) == "restarting in 4s (1/1)"
    assert clock.words(3.5) == "restarting in 1s (1/1)"
    assert clock.is_due(4)
    clock.begun(4)
    assert clock.words(4) == ""
    clock.ended(1, 5)
    assert clock.words(5) == "gave up after 1 restart"
    assert not clock.is_due(10_000)


def test_a_status_that_does_not_come_counts_as_a_failure() -> None:
    """It is waited for briefly, as the multiplexer may learn it late."""
    clock = RestartClock(Restart("on-failure"))
    clock.ended(None, 0)
    assert clock.words(0) == ""
    clock.ended(0, 0.5)
    assert clock.words(0.5) == ""
    clock = RestartClock(Restart("on-failure"))
    clock.ended(None, 0)
    clock.ended(None, 1)
    assert clock.words(1) == "restarting in 1s (1/5)"


@pure
@given(
    st.sampled_from(["no", "on-failure", "always"]),
    st.integers(0, 4),
    st.integers(0, 100),
    st.lists(st.tuples(st.sampled_from([0, 1, None]), st.floats(0, 200)), max_size=60),
)
def test_never_more_than_the_limit_in_any_window(
    policy: str, limit: int, backoff: int, ends: list[tuple[int | None, float]]
) -> None:
    """Whatever programs do, restarts in ten minutes stay within the limit, and no wait is longer than a minute."""
    clock = RestartClock(Restart(policy, limit, backoff))
    now, begun = 0.0, []
    for status, lived in ends:
        clock.lives()
        now += lived
        clock.ended(status, now)
        clock.ended(status, now + 1)
        now += LONGEST_WAIT_S + 2
        if clock.is_due(now):
            clock.begun(now)
            begun.append((now, status))
    for when, status in begun:
        assert policy == "always" or (policy == "on-failure" and status != 0)
        # A restart begins up to a wait after it was counted.
        assert sum(when <= other < when + WINDOW_S - LONGEST_WAIT_S - 2 for other, _ in begun) <= max(limit, 0)
