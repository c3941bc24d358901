"""The tasks of a team that has gone down, on disk: the broker forgets them with the team.

`tasks.json` in the team's state directory, a list as `tasks` tells it. It stays until `history --prune`.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.errors import BrokerError
from intercom_mux.host import files

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

MAX_TASKS = 500

log = logging.getLogger("intercom_mux.team")


def keep(team_id: str) -> None:
    """Write down the tasks that the journal has of the team; of those kept before, the last ones stay too.

    A journal that cannot be read, or a disk that refuses, is told in the log and holds up nothing.
    """
    try:
        if tasks := known(team_id):
            _write(team_id, tasks)
    except (BrokerError, OSError) as error:
        log.warning("the tasks of %s could not be kept: %s", team_id, error)


def _write(team_id: str, tasks: list[Json]) -> None:
    file = file_of(team_id)
    fresh = paths.private_dir(file.parent) / "tasks.new"
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(tasks[-MAX_TASKS:]))
    files.replace(fresh, file)


def known(team_id: str) -> list[Json]:
    """Return the tasks kept and those that the journal has, each once, as it is now.

    Raises:
        BrokerError: The journal cannot be read.
    """
    from intercom_mux.broker import history  # the daemon, which only writes, needs no journal

    tasks = [*kept(team_id), *history.tasks(team_id)]
    return list({(task.get("id"), task.get("created_at")): task for task in tasks}.values())


def kept(team_id: str) -> list[Json]:
    """Return the tasks kept, oldest first; none when there is no such file, or it is damaged."""
    try:
        value = json.loads(file_of(team_id).read_text())
    except (OSError, ValueError):
        return []
    return [task for task in value if isinstance(task, dict)] if isinstance(value, list) else []


def file_of(team_id: str) -> Path:
    """Return the path of the file, whether it is there or not."""
    return paths.team_state_dir(team_id) / "tasks.json"
