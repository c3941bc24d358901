"""Fixtures of the core's tests."""

from __future__ import annotations

import pytest

from tests.broker.core.bench import Bench


@pytest.fixture
def bench() -> Bench:
    """A broker core with an empty journal."""
    return Bench()
