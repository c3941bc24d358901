"""How a hook call (`_hook.py`) limits its time and reaches the daemon on Windows: no alarm signal, no Unix sockets."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.host import endpoint

if TYPE_CHECKING:
    from socket import socket

CONNECT_S = 1.0
_LOOK_S = 0.02
_deadline = float("inf")


def set_alarm(seconds: float) -> None:
    """End this process quietly, with status 0, when `seconds` are over; 0 calls that off."""
    global _deadline
    is_first = _deadline == float("inf")
    _deadline = time.monotonic() + seconds if seconds else float("inf")
    if is_first and seconds:
        threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    while time.monotonic() < _deadline:
        time.sleep(_LOOK_S)
    os._exit(0)


def connect(identity_file: str) -> tuple[socket, bytes]:
    """Return a connection to the daemon beside an identity file, and the JSON pairs, each with its comma, it wants."""
    sock, keys = endpoint.dial(Path(identity_file).with_name("control.port.json"), CONNECT_S)
    sock.settimeout(None)
    return sock, b"".join(f"{json.dumps(key)}:{json.dumps(value)},".encode() for key, value in keys.items())
