"""The connected sessions as callers see them. Pure."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def facts(row: Json, me: str) -> Json:
    """Return what a row of `list` tells; `me` is the id of the session that asked."""
    own = row.get("mux", {})
    return {
        "id": row["id"],
        "name": row.get("name"),
        "role": own.get("role"),
        "team": own.get("team"),
        "team_id": own.get("teamId"),
        "kind": own.get("kind", "agent"),
        "status": row.get("status"),
        "status_since": own.get("statusSince"),
        "cwd": row["cwd"],
        "model": row["model"],
        "pid": row["pid"],
        "self": row["id"] == me,
    }
