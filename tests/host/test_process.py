"""What Windows tells of a process's parent, told here by a real process with an invented parent."""

from __future__ import annotations

import os

import psutil
import pytest

from intercom_mux.host.process import parent_unless_reused


class Child(psutil.Process):
    """This process, born when and by whom the test says."""

    born = 0.0
    parent_pid = 0

    def ppid(self) -> int:
        return self.parent_pid

    def create_time(self) -> float:
        return self.born


@pytest.mark.parametrize(
    ("parent", "born_after_s", "expected"),
    [("ours", 1, True), ("ours", 0, True), ("ours", -1, False), ("gone", 1, True)],
)
def test_a_parent_that_is_younger_is_somebody_else(parent: str, born_after_s: float, expected: bool) -> None:
    """Its pid was used again; one that is gone still names its orphans."""
    child = Child()
    child.parent_pid = os.getppid() if parent == "ours" else 2**22 + 1
    child.born = psutil.Process(os.getppid()).create_time() + born_after_s
    assert parent_unless_reused(child) == (child.parent_pid if expected else 0)
