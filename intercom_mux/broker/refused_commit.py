"""What the clients hear when the journal refuses a commit: a disk that is full must not look like success."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from intercom_mux.broker.core.model import Close
from intercom_mux.wire.frames import Splitter, encode

if TYPE_CHECKING:
    from intercom_mux.broker.core.model import Effects
    from intercom_mux.errors import BrokerError


def answers(effects: Effects, error: BrokerError) -> list[tuple[int, bytes]]:
    """Return (connection, frame) for every sender whose message is in the commit: `E_JOURNAL` instead of `delivered`.

    All other output tells of what did not happen and must not be written.
    """
    refused = {record[2] for record in effects.records if record[0] == "message"}
    told = []
    for item in effects.output:
        if isinstance(item, Close):
            continue
        for payload in Splitter().feed(item[1]):
            answer = _answer(json.loads(payload), refused, error)
            if answer is not None:
                told.append((item[0], encode(answer)))
    return told


def _answer(frame: dict[str, Any], refused: set[str], error: BrokerError) -> dict[str, Any] | None:
    if frame["type"] == "delivered" and frame["messageId"] in refused:
        return _failed(frame["messageId"], error)
    if frame["type"] == "mux_result" and (frame.get("value") or {}).get("messageId") in refused:
        problem = {"code": error.code, "message": str(error)}
        return {"type": "mux_result", "requestId": frame["requestId"], "ok": False, "error": problem}
    return None


def _failed(message_id: str, error: BrokerError) -> dict[str, Any]:
    return {
        "type": "delivery_failed",
        "messageId": message_id,
        "reason": f"Message could not be stored: {error}",
        "delivery": "failed",
        "retryable": False,
        "outcomeKnown": True,
        "code": error.code,
    }
