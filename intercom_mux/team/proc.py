"""Who a process is. Pure data, apart from `processes`, so that reading a team's state does not import psutil."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Proc:
    """A process, told apart from a later one of the same pid by its start time.

    Attributes:
        started: Unix seconds.
        command: The command line, for showing only.
        group: Set by `snapshot` when every member of the process group is doomed, so that it may be signalled whole.
    """

    pid: int
    started: float
    command: str = field(compare=False)
    group: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.pid} ({self.command})"
