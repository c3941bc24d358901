"""The rate at which frames are read, with a clock that the test moves."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from intercom_mux.broker import throttle
from intercom_mux.broker.link import Link
from intercom_mux.broker.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """Seconds that pass when told to; stands in for `time`, because rates cannot be tested by waiting."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that the throttle sees."""
    moved = Clock()
    monkeypatch.setattr(throttle, "time", moved)
    return moved


@pytest.fixture
def link() -> Iterator[Link]:
    """A connection."""
    ours, theirs = socket.socketpair()
    yield Link(1, ours)
    ours.close()
    theirs.close()


def test_a_burst_is_free_and_the_rest_at_the_rate(clock: Clock, link: Link) -> None:
    """Ten at once, then one every half second; what was read beyond that is waited for."""
    limit = Throttle(burst=10, per_second=2)
    assert not limit.spend(link, 10)
    assert limit.spend(link, 3)
    assert (link.is_throttled, link.wanted_mask, limit.timeout(60)) == (True, 0, 1.5)
    clock.now += 1.4
    assert limit.rested() == []
    clock.now += 0.11
    assert limit.rested() == [link]
    assert (link.is_throttled, limit.rested(), limit.timeout(60)) == (False, [], 60)
    assert limit.spend(link, 1)


def test_who_was_silent_may_burst_again_but_no_more_than_once(clock: Clock, link: Link) -> None:
    """A day of silence saves up one burst."""
    limit = Throttle(burst=10, per_second=2)
    limit.spend(link, 10)
    clock.now += 86_400
    assert not limit.spend(link, 10)
    assert limit.spend(link, 1)


def test_a_closed_connection_is_forgotten(clock: Clock, link: Link) -> None:
    """Nothing comes back for it."""
    limit = Throttle(burst=1, per_second=1)
    assert limit.spend(link, 5)
    limit.forget(link)
    clock.now += 100
    assert limit.rested() == []
