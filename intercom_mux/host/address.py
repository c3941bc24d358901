"""What an address is: the path of a Unix socket, or that of an endpoint file. Pure; `endpoint.py` speaks there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def place(directory: Path, name: str) -> Path:
    """Return where the service `name` of a private directory is reached on this system."""
    return directory / (f"{name}.port.json" if sys.platform == "win32" else f"{name}.sock")


def is_tcp(path: Path) -> bool:
    """Return whether an address is an endpoint file."""
    return path.suffix == ".json"
