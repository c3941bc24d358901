"""What can be checked of a surface before it is opened, whatever the multiplexer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from intercom_mux.errors import MultiplexerError
from intercom_mux.host.files import EXACT

if TYPE_CHECKING:
    from intercom_mux.mux.base import SurfaceSpec


def check_spec(spec: SurfaceSpec) -> None:
    """Refuse what a multiplexer would pass over in silence, and make the log file a private one.

    Raises:
        MultiplexerError: The directory is missing, or the log cannot be written.
    """
    check_directory(spec)
    if spec.log is None or spec.log.is_fifo():
        return
    try:
        fd = os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | EXACT, 0o600)
        os.chmod(spec.log, 0o600)
        os.close(fd)
    except OSError as error:
        raise MultiplexerError(
            f"{spec.name}: cannot write the log {spec.log}: {error.strerror}", peer=spec.name, log=str(spec.log)
        ) from error


def check_directory(spec: SurfaceSpec) -> None:
    """Refuse a directory that is not there.

    Raises:
        MultiplexerError: The directory is missing.
    """
    if not spec.cwd.is_dir():
        raise MultiplexerError(f"{spec.name}: no such directory: {spec.cwd}", peer=spec.name, cwd=str(spec.cwd))
