"""Isolation for every test, and the proof that it leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from tests.support import TEST_MARKER, is_marked, marked_processes, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCRUBBED = ("TMUX", "TMUX_PANE", "CMUX_WORKSPACE_ID", "CMUX_SURFACE_ID", "CMUX_SOCKET_PATH", "PI_CODING_AGENT_DIR")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what runs in its background, and all that tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def homes() -> str:
    """Where each test's HOME is made; a room may have its own."""
    return "/tmp"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, homes: str) -> Iterator[Path]:
    """A new short HOME with its own state directory; after the test no process and no socket of it may be left.

    The broker of this state directory, a daemon by design, is stopped here first.
    """
    root = Path(tempfile.mkdtemp(prefix="imt-", dir=homes))
    monkeypatch.setenv(TEST_MARKER, str(root))
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("XDG_STATE_HOME", str(root / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(root / "config"))
    monkeypatch.setenv("PI_SUBAGENTS_TEMP_ROOT", str(root / "subagents"))
    monkeypatch.delenv(paths.IDENTITY_VARIABLE, raising=False)
    for name in _SCRUBBED:
        monkeypatch.delenv(name, raising=False)
    runtime = paths.runtime_dir()
    try:
        yield root
        _stop_broker(str(root))
        left = _left_over(str(root))
        sockets = sorted(str(path) for path in runtime.rglob("*.sock")) if runtime.exists() else []
        assert not left, f"processes left behind: {left}"
        assert not sockets, f"sockets left behind: {sockets}"
    finally:
        for pid in marked_processes(str(root)):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(runtime, ignore_errors=True)


def _stop_broker(value: str) -> None:
    """End this test's broker, if one runs, by the pid it recorded; its journal may take a while to be written."""
    import json

    try:
        pid = int(json.loads(paths.broker_file().read_text())["pid"])
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError, KeyError):
        return
    wait_until(lambda: not is_marked(pid, value), what="broker end")


def _left_over(value: str) -> dict[int, str]:
    """Return what still lives after a short grace: a process may be on its way out."""
    try:
        wait_until(lambda: not marked_processes(value), timeout_s=2)
    except AssertionError:
        return marked_processes(value)
    return {}
