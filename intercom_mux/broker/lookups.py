"""Requests that the journal answers, or that only the running process can: what the core orders by `Lookup`."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from intercom_mux import __version__
from intercom_mux.errors import BrokerError
from intercom_mux.wire.frames import encode

if TYPE_CHECKING:
    from intercom_mux.broker.core.model import Lookup
    from intercom_mux.broker.journal import Journal

Json = dict[str, Any]


class Lookups:
    """Answers from one journal, by the broker that was started when this was made."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._started_at = time.time()

    def answer(self, lookup: Lookup, now: int) -> bytes:
        """Return the frame that answers `lookup`; a journal that fails is an answer too."""
        what = "message" if lookup.kind == "message" else "ask"
        error = {"code": "E_NOT_FOUND", "message": f'No {what} "{lookup.argument[:64]}" of this session'}
        try:
            value = self._find(lookup, now)
        except BrokerError as failure:
            value, error = None, {"code": failure.code, "message": str(failure)}
        answer: Json = {"type": "mux_result", "requestId": lookup.request_id, "ok": value is not None}
        return encode(answer | ({"value": value} if value is not None else {"error": error}))

    def _find(self, lookup: Lookup, now: int) -> Json | None:
        if lookup.kind == "status":
            return self._status(lookup)
        if lookup.kind == "prune":
            removed, after = self._journal.prune(now, **json.loads(lookup.argument))
            return {"removed": removed, "after": after}
        return self._journal.look_up(lookup)

    def _status(self, lookup: Lookup) -> Json:
        return {
            **json.loads(lookup.argument),
            "pid": os.getpid(),
            "version": __version__,
            "uptime_s": round(time.time() - self._started_at, 1),
            "journal_bytes": self._journal.size_bytes(),
            "journal": str(self._journal.path),
            "durability": self._journal.durability,
        }
