"""The name a terminal has taken at a stock broker, which forgets it when a command ends: a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.errors import DeliveryError
from intercom_mux.host import files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAME_MAX_CHARS = 64


def of(session_id: str) -> str | None:
    """Return the name that was kept for a terminal's session, None if it took none."""
    try:
        return _file(session_id).read_text() or None
    except (OSError, ValueError):
        return None


def keep(session_id: str, name: str) -> None:
    """Remember the name for later commands of this terminal."""
    file = _file(session_id)
    paths.private_dir(paths.private_dir(paths.runtime_dir()) / file.parent.name)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(name)
    files.replace(temporary, file)


def check(name: str, taken: Iterable[str]) -> None:
    """Hold a new name to the rules of our own broker.

    Raises:
        DeliveryError: It cannot be one (`E_INVALID_NAME`), or another session bears it (`E_NAME_TAKEN`).
    """
    if not (0 < len(name) <= NAME_MAX_CHARS and name.isprintable() and "/" not in name):
        problem = f"a name is 1 to {NAME_MAX_CHARS} printable characters without a slash"
        raise DeliveryError(problem, code="E_INVALID_NAME")
    if name.casefold() in {other.casefold() for other in taken}:
        raise DeliveryError(f'another session is called "{name}"', code="E_NAME_TAKEN")


def _file(session_id: str) -> Path:
    return paths.runtime_dir() / "shells" / f"{session_id}.name"
