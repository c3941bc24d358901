"""What is known of a command of the layout when it is run, or kept for `down`. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.layout.model import Command


@dataclass(frozen=True, slots=True)
class CommandPlan:
    """One command, ready to exec in `cwd`; `on_failure` is "abort" or "warn"."""

    argv: list[str]
    cwd: str
    timeout_s: float
    on_failure: str

    @classmethod
    def of(cls, command: Command, cwd: Path) -> CommandPlan:
        """Return what `command` means; `cwd` is for one that names no directory."""
        return cls(list(command.argv), str(command.cwd or cwd), float(command.timeout_s), command.on_failure)
