"""The TCP endpoint for systems without Unix sockets: this machine only, and nobody without its secret.

The secret stands in a 0600 file for this user alone, and takes the place of the uid that a Unix socket reports.
Its shape is that of pi-intercom (docs/protocol.md, "TCP").
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from typing import TYPE_CHECKING, NamedTuple

from intercom_mux import paths
from intercom_mux.errors import BrokerError

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"


class Endpoint(NamedTuple):
    """A listening socket, and what a client must name as `stateId` to be heard."""

    listener: socket.socket
    secret: str


def endpoint_file() -> Path:
    """Return where clients read host, port and secret."""
    return paths.runtime_dir() / "broker.port.json"


def open_endpoint() -> Endpoint:
    """Listen on a free port of this machine with a new secret; the file tells of it on return.

    Raises:
        BrokerError: No port can be had, or the file cannot be written.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind((HOST, 0))
        listener.listen(512)
        secret = str(uuid.uuid4())
        _write({"transport": "tcp", "host": HOST, "port": listener.getsockname()[1], "stateId": secret})
    except OSError as error:
        listener.close()
        raise BrokerError(f"cannot listen on {HOST}: {error.strerror or error}") from error
    return Endpoint(listener, secret)


def remove_file() -> None:
    """Make clients look elsewhere; a killed broker may have left the file."""
    endpoint_file().unlink(missing_ok=True)


def _write(value: dict[str, object]) -> None:
    file = endpoint_file()
    temporary = file.with_name(f"broker.port.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(json.dumps(value) + "\n")
    temporary.replace(file)
