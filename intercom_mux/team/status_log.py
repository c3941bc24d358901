"""What each peer's status was and when, on disk, for those who ask later how the time went.

One JSON object per line and change: `at` (Unix milliseconds), `peer`, `status`. Bounded to two files of
`MAX_BYTES` each, `status.jsonl` and the older `status.1.jsonl`. They stay after `down`, until `history --prune`.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from intercom_mux import paths
from intercom_mux.team import task_log
from intercom_mux.team.state import all_teams

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_048_576
"""A team of 40 changes its statuses some 15,000 times before the first of them is forgotten."""

MAX_STATUS_CHARS = 120
STOPPED = "stopped"
"""Nobody looks at the peer any more: its daemon ends, or it is started again."""
ENDED = "ended"
"""The peer is none of the team any more: it was killed, or its start was taken back."""

log = logging.getLogger("intercom_mux.team")


class Change(NamedTuple):
    """From `at` (Unix milliseconds) on the peer had `status`."""

    at: int
    peer: str
    status: str


def note(team_id: str, peer: str, status: str) -> None:
    """Append that the peer has `status` from now on; a disk that refuses is told in the log and holds up nothing."""
    file = _file(team_id)
    line = json.dumps({"at": time.time_ns() // 1_000_000, "peer": peer, "status": status[:MAX_STATUS_CHARS]})
    try:
        with paths.private_dir(file.parent).joinpath(file.name).open("a", encoding="ascii") as stream:
            stream.write(f"{line}\n")
            size = stream.tell()
        if size >= MAX_BYTES:
            file.replace(_older(file))
    except OSError as error:
        log.warning("the status of %s could not be recorded: %s", peer, error)


def read(team_id: str, since: int = 0) -> list[Change]:
    """Return the changes recorded since `since`, oldest first, with what stood then; damaged lines are left out."""
    file = _file(team_id)
    changes = [change for path in (_older(file), file) for change in _changes(path)]
    before = {change.peer: change for change in changes if change.at < since}
    stood = [Change(since, change.peer, change.status) for change in before.values()]
    return [*stood, *(change for change in changes if change.at >= since)]


def prune(days: float) -> int:
    """Remove the records of teams that are down and last changed more than `days` ago; return how many teams' went."""
    running = {team.id for team in all_teams()}
    oldest = time.time() - days * 86_400
    files = (
        *paths.team_state_dir("*").parent.glob("*/status.jsonl"),
        *paths.team_state_dir("*").parent.glob("*/tasks.json"),
    )
    gone = {file.parent for file in files if file.parent.name not in running and file.stat().st_mtime <= oldest}
    for directory in gone:
        file = _file(directory.name)
        for path in (file, _older(file), task_log.file_of(directory.name)):
            path.unlink(missing_ok=True)
    return len(gone)


def _file(team_id: str) -> Path:
    return paths.team_state_dir(team_id) / "status.jsonl"


def _older(file: Path) -> Path:
    return file.with_name("status.1.jsonl")


def _changes(path: Path) -> list[Change]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [change for line in lines if (change := _change(line)) is not None]


def _change(line: str) -> Change | None:
    try:
        match json.loads(line):
            case {"at": int(at), "peer": str(peer), "status": str(status)}:
                return Change(at, peer, status)
    except ValueError:
        pass
    return None
