"""More sessions than a shell's usual limit of open files, all connected to one broker and all talking."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING

import pytest

from tests.broker.live import Line, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 1_100


@pytest.fixture
def open_files() -> Iterator[None]:
    """As many open files as this test needs, with room to spare."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = COUNT + 500
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"this machine allows {hard} open files, not {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_sessions_talk(home: Path, open_files: None) -> None:
    """Each writes to the next and hears from the one before; a v1 session sees them all and reaches the last."""
    path = start()
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(Line(path)).peer(f"worker-{number}") for number in range(COUNT)]
        for number, line in enumerate(lines):
            line.send(f"worker-{(number + 1) % COUNT}", f"from {number}", f"m{number}")
        for number, line in enumerate(lines):
            seen = {frame["type"]: frame for frame in (line.until("message", "delivered") for _ in range(2))}
            assert seen["message"]["message"]["content"]["text"] == f"from {(number - 1) % COUNT}"
            assert seen["delivered"]["messageId"] == f"m{number}"
        stranger = stack.enter_context(Line(path)).register("pi-1", "stranger")
        assert len(stranger.post(type="list", requestId="1").until("sessions")["sessions"]) == COUNT + 1
        stranger.send(f"blue-worker-{COUNT - 1}", "hello", "s").until("delivered")
        assert lines[-1].until("message")["from"]["name"] == "stranger"
