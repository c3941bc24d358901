"""The broker's TCP endpoint: its own address where there are no Unix sockets, else one more (`broker run --tcp`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.host import endpoint, files

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.host.endpoint import Listening


def endpoint_file() -> Path:
    """Return where clients read host, port and secret."""
    return paths.runtime_dir() / "broker.port.json"


def open_endpoint() -> Listening:
    """Listen on a free port of this machine with a new secret; the file tells of it on return.

    Raises:
        BrokerError: No port can be had, or the file cannot be written.
    """
    return endpoint.listen(endpoint_file())


def remove_file() -> None:
    """Make clients look elsewhere; a killed broker may have left the file."""
    files.remove(endpoint_file())
