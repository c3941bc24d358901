"""What is on record of a team's worktrees: `worktrees.json` in its state directory, written before each step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from intercom_mux import paths
from intercom_mux.errors import TeamError


@dataclass(frozen=True, slots=True)
class Record:
    """A worktree that was made, or is being made.

    Attributes:
        made_branch: Whether the branch is ours to remove.
        is_made: False from before git is called until it is done: till then nobody can have worked in it.
        is_set_up: Whether its setup command has succeeded.
        is_going: True from before git removes it: its files may be gone in part, and all that are gone are committed.
    """

    peer: str
    repository: str
    path: str
    branch: str
    base: str
    keep: str
    made_branch: bool = True
    is_made: bool = False
    is_set_up: bool = False
    is_going: bool = False


class Records(dict[str, Record]):
    """A team's worktrees by peer; `keep` and `forget` write the file."""

    def __init__(self, team_id: str) -> None:
        """Read the file, if there is one.

        Raises:
            TeamError: The record is damaged.
        """
        self.file = paths.team_state_dir(team_id) / "worktrees.json"
        try:
            rows = json.loads(self.file.read_text(encoding="utf-8"))
            super().__init__({row["peer"]: Record(**row) for row in rows})
        except FileNotFoundError:
            super().__init__()
        except (OSError, ValueError, TypeError, KeyError) as error:
            hint = "see `git worktree list` for what there is, then remove the file"
            raise TeamError(f"cannot read {self.file}: {error}", code="E_TEAM_STATE", hint=hint) from error

    def keep(self, record: Record) -> None:
        """Write down how a worktree is."""
        self[record.peer] = record
        self._save()

    def forget(self, peer: str) -> None:
        """Strike a worktree out."""
        self.pop(peer, None)
        self._save()

    def _save(self) -> None:
        if not self:
            self.file.unlink(missing_ok=True)
            return
        paths.private_dir(self.file.parent)
        temporary = self.file.with_suffix(".new")
        temporary.write_text(json.dumps([asdict(record) for record in self.values()], indent=1), encoding="utf-8")
        temporary.replace(self.file)
