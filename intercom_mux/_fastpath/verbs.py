"""What each verb does once it is understood and connected."""

from __future__ import annotations

import os
import time

from intercom_mux._fastpath.line import now_ms
from intercom_mux.cli import text
from intercom_mux.wire import letter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from intercom_mux._fastpath.line import Line

    Json = dict[str, Any]

ASK_TIMEOUT_S = 600.0


def _message(body: str, message_id: str) -> Json:
    return {"id": message_id, "timestamp": now_ms(), "content": {"text": body}}


def _send(line: Line, call: Json) -> None:
    to, body = call["words"]
    message_id = os.urandom(16).hex()
    call["again"] = ["send", "--message-id", message_id, "--", to, body]
    line.post({"type": "send", "to": to, "message": _message(body, message_id)})
    text.emit(text.sent(line.answer("delivered", "messageId", message_id)))


def _reply(line: Line, call: Json) -> None:
    (body,) = call["words"]
    to = call.get("to", "")
    message_id = os.urandom(16).hex()
    to_option = ["--to", to] if to else []
    call["again"] = ["reply", "--message-id", message_id, *to_option, "--", body]
    text.emit(text.replied(line.request("reply", to=to, message=_message(body, message_id))))


def _pending(line: Line, _call: Json) -> None:
    text.emit(text.pending(line.request("pending"), columns=text.width()))


def _progress(line: Line, call: Json) -> None:
    (task,) = call["words"]
    fields = {key: value for key, value in call.items() if key not in ("words", "again")}
    if line.is_shell and line.team:
        fields["team"] = line.team
    text.emit(text.task(line.request("progress", task=task, **fields)))


def _inbox(line: Line, call: Json) -> None:
    """Show what waits, and mark it as read only once it has been printed."""
    if call["words"]:
        rows = [line.request("inbox", id=call["words"][0], peek=True)]
    else:
        rows = line.request("inbox", peek=True)["messages"]
    text.emit(text.letters(list(map(letter.facts, rows))))
    line.waiting = 0
    if call.get("peek"):
        return
    try:
        for row in rows:
            line.request("inbox", id=row["message"]["id"])
    except (OSError, ValueError) as error:
        from intercom_mux.errors import BrokerError

        raise BrokerError(text.NOT_MARKED) from error


def _ask(line: Line, call: Json) -> None:
    """Ask, wait, print the reply, and only then tell the broker that it has arrived."""
    to, body = call["words"]
    timeout_s = call.get("timeout", ASK_TIMEOUT_S)
    deadline = time.monotonic() + timeout_s
    wait_until = deadline - max(0.0, timeout_s - (line.ask_wait_s or timeout_s))
    ask_id = os.urandom(16).hex()
    message = _message(body, ask_id)
    message["expectsReply"] = True
    message["deadline"] = message["timestamp"] + int(timeout_s * 1000)
    try:
        line.post({"type": "send", "to": to, "message": message, "blocking": True, "group": os.urandom(16).hex()})
        if line.answer("delivered", "messageId", ask_id)["delivery"] == "queued":
            from intercom_mux.client.failures import AWAY

            text.note(f"note: {text.short(ask_id)} waits: {AWAY}")
        end, receipt = _end_of_ask(line, ask_id, wait_until)
    except KeyboardInterrupt:
        text.note(text.left_open(ask_id))
        raise
    except (OSError, ValueError):
        left = max(0.01, deadline - time.monotonic())
        call["again"] = ["ask", "--message-id", ask_id, "--timeout", f"{left:.2f}", "--", to, body]
        raise
    if end is not None and end["type"] == "message":
        content = end["message"]["content"]
        text.emit(text.reply(content["text"], content.get("attachments", [])))
        if end["message"].get("auto") is True:
            text.note(text.AUTO_REPLY)
        taken = {"messageId": end["message"]["id"], "status": "acknowledged", "timestamp": now_ms()}
        _post_if_possible(line, {"type": "message_receipt", "receipt": taken})
        return
    from intercom_mux.client import failures

    if end is not None and end["code"] != "E_ASK_TIMEOUT":
        raise failures.ended(to, end["reason"], ask_id)
    if end is None and time.monotonic() < deadline:
        raise failures.ticket(to, ask_id)
    _post_if_possible(line, {"type": "cancel_ask", "messageId": ask_id})
    raise failures.timed_out(to, timeout_s, ask_id, failures.heard(receipt) if receipt else None)


def _end_of_ask(line: Line, ask_id: str, wait_until: float) -> tuple[Json | None, Json | None]:
    """Return the frame that ends the ask and the last receipt for it.

    The end is the reply (`message`) or `ask_ended`; None when neither came in time.
    """
    receipt = None
    while time.monotonic() < wait_until:
        try:
            got = line.next(wait_until)
        except TimeoutError:
            break
        if got["type"] == "message" and got["message"].get("replyTo") == ask_id:
            return got, receipt
        if got["type"] == "mux_event" and got.get("event") == "ask_ended" and got.get("messageId") == ask_id:
            return got, receipt
        if got.get("event") == "ask_note" and got.get("messageId") == ask_id:
            text.note(text.turn_note(got["kind"], got["text"]))
        if got["type"] == "message_receipt" and got["receipt"]["messageId"] == ask_id:
            before, receipt = receipt and text.held(receipt), got["receipt"]
            if (why := text.held(receipt)) and why != before:
                text.note(why)
    return None, receipt


def _post_if_possible(line: Line, value: Json) -> None:
    """Write what changes nothing for the caller: a broker that is gone finds out by itself."""
    try:
        line.post(value)
    except OSError:
        pass


VERBS: dict[str, Callable[[Line, Json], None]] = {
    "send": _send,
    "ask": _ask,
    "reply": _reply,
    "pending": _pending,
    "inbox": _inbox,
    "progress": _progress,
}
