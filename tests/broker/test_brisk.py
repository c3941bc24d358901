"""When the broker looks again instead of going to sleep."""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING

import pytest

from intercom_mux.broker.brisk import LOOK_S, BriskWait

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORT, LONG = LOOK_S / 2, LOOK_S * 2
TICK = LOOK_S / 10
KEY = selectors.SelectorKey(0, 0, 0, None)


class Traffic(selectors.BaseSelector):
    """A selector for which something comes so long after each wait begins; a clock that every look moves on."""

    def __init__(self, *gaps: float) -> None:
        self.gaps = list(gaps)
        self.now = 0.0
        self.comes_at = 0.0
        self.timeouts: list[float | None] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.timeouts.append(timeout)
        self.now += TICK if timeout == 0 else max(0.0, self.comes_at - self.now)
        return [(KEY, selectors.EVENT_READ)] if self.now >= self.comes_at else []

    def waits(self, wait: BriskWait) -> list[int]:
        """Return how many looks each wait began with, and that it ended with what came."""
        looks = []
        for gap in self.gaps:
            self.comes_at, self.timeouts = self.now + gap, []
            assert wait.select(60.0)
            looks.append(self.timeouts.count(0))
        return looks

    def register(self, *_: object) -> selectors.SelectorKey:
        raise NotImplementedError

    unregister = modify = register  # type: ignore[assignment]

    def get_map(self) -> Mapping[object, selectors.SelectorKey]:  # type: ignore[override]
        return {}


def looks(*gaps: float, processors: int = 2) -> list[int]:
    """Return with how many looks each wait began when frames follow each other after these gaps."""
    traffic = Traffic(*gaps)
    return traffic.waits(BriskWait(traffic, lambda: traffic.now, processors))


def test_a_frame_by_itself_costs_no_look() -> None:
    """However often one comes, if only it does not come at once."""
    assert looks(LONG, LONG, LONG) == [0, 0, 0]


def test_an_exchange_is_looked_for() -> None:
    """From its second frame on, and in vain once at its end."""
    assert looks(LONG, SHORT, SHORT, SHORT, LONG, LONG) == [0, 0, 5, 5, 10, 0]


def test_looks_in_vain_do_not_follow_each_other() -> None:
    """Where the other side gets no processor while we look, every second wait sleeps from the start."""
    traffic = looks(SHORT, LONG, SHORT, LONG)
    assert [bool(count) for count in traffic] == [False, True, False, True]


@pytest.mark.parametrize("processors", [1, 0])
def test_one_processor_is_left_to_others(processors: int) -> None:
    assert looks(SHORT, SHORT, SHORT, processors=processors) == [0, 0, 0]


def test_nobody_is_looked_for_beyond_the_time_out() -> None:
    """A timer that is due comes first."""
    traffic = Traffic()
    wait = BriskWait(traffic, lambda: traffic.now, 2)
    assert wait.select(60.0)
    traffic.comes_at, traffic.timeouts = traffic.now + LONG, []
    wait.select(0.0)
    assert traffic.timeouts == [0.0]
