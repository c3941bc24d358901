"""The files in which a driver keeps what it knows of its surfaces: one private, numbered directory for each.

In it `launch.json` says what to start and `surface.json` where it stands; the launcher writes how it goes.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from intercom_mux.host.files import EXACT
from intercom_mux.paths import private_dir

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]


def make_directory(parent: Path) -> Path:
    """Make and return the directory of the next surface below `parent`."""
    number = 1 + max((int(path.name) for path in private_dir(parent).iterdir() if path.name.isdigit()), default=0)
    return private_dir(parent / str(number))


def directories(parent: Path) -> list[Path] | None:
    """Return the directories of the surfaces, in order; None where nothing was ever opened."""
    try:
        return sorted((path for path in parent.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    except FileNotFoundError:
        return None


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a new file as it stands, with these permissions from the start."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | EXACT, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)


def write_json(path: Path, value: Json) -> None:
    """Write a new file for us alone."""
    write(path, json.dumps(value, ensure_ascii=True))


def read(directory: Path) -> tuple[Json, Json] | None:
    """Return what to start and where it stands; None for a record that is only half written, or just removed."""
    try:
        spec = json.loads((directory / "launch.json").read_text(encoding="utf-8"))
        place = json.loads((directory / "surface.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return spec, place


def number(path: Path) -> int | None:
    """Return what the launcher wrote into one of its files; None as long as it has not."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
