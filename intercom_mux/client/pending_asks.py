"""The open asks of a stock broker, from the records it keeps beside its socket: one file an ask, in `pending-asks/`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Json = dict[str, Any]


class Records(NamedTuple):
    """Open asks, oldest first, in the shape of our broker's `pending`, and `with_id`, the id of the other side."""

    to_me: list[Json]
    from_me: list[Json]


def of(runtime: Path, session_id: str, now: int) -> Records:
    """Return the open asks of a session; `runtime` is the broker's directory, `now` in Unix milliseconds.

    A file that is not such a record, or disappears meanwhile, is passed over.
    """
    records = [record for file in (runtime / "pending-asks").glob("*.json") if (record := _read(file)) is not None]
    records = sorted((one for one in records if one["expiresAt"] > now), key=lambda one: float(one["createdAt"]))
    return Records(
        [_row(record, "asker", now) for record in records if record["target"]["sessionId"] == session_id],
        [_row(record, "target", now) for record in records if record["asker"]["sessionId"] == session_id],
    )


def to_answer(asks: Sequence[Json], to: str) -> Json:
    """Return the ask that a reply is for: the one whose id or start of it is `to`, or whose asker; else the only one.

    Raises:
        DeliveryError: There is none (`E_NO_PENDING_ASK`), or several fit (`E_AMBIGUOUS_ASK`); `names` lists them.
    """
    fitting = [ask for ask in asks if not to or ask["id"].startswith(to) or to.casefold() == ask["with"].casefold()]
    exact = [ask for ask in fitting if ask["id"] == to]
    fitting = exact or fitting
    if len(fitting) == 1:
        return fitting[0]
    names = [f"{ask['id'][:8]} from {ask['with']}" for ask in fitting or asks]
    if fitting:
        hint = f"pick one with --to: {', '.join(names)}"
        raise DeliveryError("several asks wait for a reply", code="E_AMBIGUOUS_ASK", hint=hint, names=names)
    what = f'no ask "{to}" waits for your reply' if to else "no ask waits for your reply"
    raise DeliveryError(what, code="E_NO_PENDING_ASK", hint="see `intercom-mux pending`", names=names)


def _read(file: Path) -> Json | None:
    try:
        record: Json = json.loads(file.read_bytes())
        _row(record, "asker", 0), _row(record, "target", 0), float(record["expiresAt"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return record


def _row(record: Json, other: str, now: int) -> Json:
    end = record[other]
    return {
        "id": str(record["messageId"]),
        "with": str(end.get("name") or end["sessionId"]),
        "with_id": str(end["sessionId"]),
        "text": str(record["question"]),
        "age_s": (now - record["createdAt"]) / 1000,
        "left_s": (record["expiresAt"] - now) / 1000,
        "is_blocking": True,
        "is_active": False,
        "state": "sent",
    }
