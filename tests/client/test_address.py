"""Health, and the rule of which broker a shell talks to."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.client import address
from intercom_mux.errors import BrokerError
from tests.broker.live import start

if TYPE_CHECKING:
    from pathlib import Path


def test_health_tells_a_broker_from_silence(home: Path) -> None:
    """None for nobody, for a dead socket and for what does not answer; ours says whose it is."""
    assert address.health(home / "none.sock") is None
    silent = home / "silent.s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(silent))
        assert address.health(silent) is None
        listener.listen()
        assert address.health(silent, 0.1) is None
    answer = address.health(start())
    assert answer is not None
    assert address.is_ours(answer)


def test_a_shell_is_at_its_own_broker(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running or not, unless one is named; ours by another path is still ours, and never started from there."""
    own = address.Broker(paths.broker_socket())
    assert address.chosen() == own
    path = start()
    assert address.chosen() == own
    monkeypatch.setenv(address.VARIABLE, f" {path} ")
    assert address.chosen() == address.Broker(path, is_explicit=True)
    os.kill(json.loads(paths.broker_file().read_text())["pid"], signal.SIGSTOP)
    try:
        with pytest.raises(BrokerError, match="no broker answers on"):
            address.chosen()
    finally:
        os.kill(json.loads(paths.broker_file().read_text())["pid"], signal.SIGCONT)
