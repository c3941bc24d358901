"""Waiting and process helpers that every test room shares."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

SCALE = float(os.environ.get("INTERCOM_MUX_TEST_SCALE", "1"))
"""Factor on every time limit of the suite, for slow machines."""

TEST_MARKER = "INTERCOM_MUX_TEST"
"""Every process of a test inherits this variable, so that none can be left behind unseen."""


def wait_until(observe: Callable[[], T], *, timeout_s: float = 10, what: str = "condition") -> T:
    """Poll `observe` until it returns something true and return that; fail showing the last thing seen."""
    deadline = time.monotonic() + timeout_s * SCALE
    while True:
        seen = observe()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} not met in {timeout_s * SCALE:g} s; last seen: {seen!r}")
        time.sleep(0.01)


def marked_processes(value: str) -> dict[int, str]:
    """Return pid → command line of every live process that carries `TEST_MARKER=value`, ourselves excepted."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and is_marked(int(entry.name), value):
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    return found


def is_marked(pid: int, value: str) -> bool:
    """Whether a process lives and carries `TEST_MARKER=value`; one that has ended has no environment any more."""
    try:
        return f"{TEST_MARKER}={value}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
