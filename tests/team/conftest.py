"""Teams that are taken down after the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.team.stage import Stage, end_all_teams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stage(home: Path) -> Iterator[Stage]:
    """One team, not up yet; it and all others of the test are taken down afterwards."""
    yield Stage(home)
    end_all_teams()
