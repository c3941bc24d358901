"""The plan that a team runs by, kept by its daemon so that one peer can be started again, or another be added."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.errors import TeamError
from intercom_mux.host import files
from intercom_mux.team.plan import TeamPlan

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.team.state import TeamState


def keep(plan: TeamPlan) -> None:
    """Write the plan down, 0600 in the team's runtime directory; it goes with `down`.

    Raises:
        OSError: It cannot be written.
    """
    path = _file(plan.id)
    paths.private_dir(path.parent)
    files.write_whole(path, json.dumps(plan.to_json()))


def recorded(team: TeamState) -> TeamPlan:
    """Return the plan that the team runs by.

    Raises:
        TeamError: There is none that this version can read.
    """
    try:
        return TeamPlan.from_json(json.loads(_file(team.id).read_bytes()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TeamError(
            f"it is not known what team {team.name} was started from",
            code="E_NO_PLAN",
            hint="run `intercom-mux up` once more, then try again",
        ) from error


def _file(team_id: str) -> Path:
    return paths.team_runtime_dir(team_id) / "plan.json"
