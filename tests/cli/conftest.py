"""Fixtures of the command line's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.stage import TEAM, Both, Peer, echo

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def planner() -> Iterator[Peer]:
    """A connected peer in no team that answers every ask with its text in brackets."""
    with Peer("planner", role="planner") as peer:
        peer.answer = echo
        yield peer


@pytest.fixture
def crew() -> Iterator[dict[str, Peer]]:
    """A team of a planner and two workers; the workers answer every ask."""
    with (
        Peer("planner", role="planner", team=TEAM) as planner,
        Peer("worker-1", role="worker", team=TEAM) as one,
        Peer("worker-2", role="worker", team=TEAM) as two,
    ):
        one.answer = two.answer = echo
        yield {peer.name: peer for peer in (planner, one, two)}


@pytest.fixture
def both(capsys: pytest.CaptureFixture[str]) -> Both:
    """Run calls by the fast path and by click."""
    return Both(capsys)
