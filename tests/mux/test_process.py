"""Seeing a process end."""

from __future__ import annotations

import os
import subprocess

from intercom_mux.mux.process import is_zombie, wait_for_end
from tests.support import wait_until


def test_a_zombie_has_ended() -> None:
    """A process that nobody collected counts as ended, as does one that is gone; a living one does not."""
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert not is_zombie(child.pid)
    assert not wait_for_end(child.pid, 0)
    child.kill()
    wait_until(lambda: is_zombie(child.pid), what="zombie")
    assert wait_for_end(child.pid, 0)
    child.communicate()
    assert not is_zombie(child.pid)
    assert wait_for_end(child.pid, 0)


def test_we_are_running() -> None:
    """Our own process has not ended."""
    assert not wait_for_end(os.getpid(), 0)
