"""How messages and asks fail, as errors with their next step. Pure; the fast path and the client say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intercom_mux.errors import AskTicket, AskTimeout, BrokerError, DeliveryError

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

_HINTS = {
    "E_ALREADY_WAITING": "use `ask --async`, or wait for it",
    "E_MUTUAL_ASK": "it waits for your answer: put your question into your reply",
    "E_TARGET_EXITED": "`intercom-mux up` starts it again",
    "E_NO_TASK": "`intercom-mux tasks` shows those that are there",
    "E_TASK_ENDED": "`intercom-mux progress ID --state started` takes it up again",
    "E_NO_PENDING_ASK": "`intercom-mux pending` shows what waits for you",
    "E_MAILBOX_FULL": "its receiver does not keep up: look at it with `intercom-mux list`, then try again",
}

_MEANT = 2

AWAY = "its receiver is not connected and gets it on its return"
"""Why a message waits that was accepted for somebody who is away."""


def refusal(frame: Json, to: str | None = None) -> DeliveryError:
    """Return the error that a `delivery_failed` frame stands for; `to` is the address that was written to."""
    return refused(frame["reason"], frame.get("code", "E_DELIVERY"), frame.get("names"), to)


def refused(reason: str, code: str, names: list[str] | None, to: str | None = None) -> DeliveryError:
    """Return the error for what the broker refused; `names` are those that exist, `to` whom it was for."""
    hint = None
    if code == "E_TARGET_NOT_FOUND" and to is not None:
        reason = f'{reason}: "{to}"'
    to = to or ""
    if code == "E_AMBIGUOUS_TARGET":
        in_teams = [name for name in names or () if name.casefold().endswith(f"/{to.casefold()}")]
        hint = f"say which: {', '.join(in_teams)}" if in_teams else "`intercom-mux list --json` tells their ids"
    elif names:
        import difflib

        of_role = [name for name in names if to and "/" not in to and name.startswith(f"{to}-")]
        close = difflib.get_close_matches(to, names, n=1)
        if of_role:
            hint = f"did you mean {' or '.join(of_role[:_MEANT])}, or `--role {to}`? "
        else:
            hint = f"did you mean {close[0]}? " if close else ""
        hint += f"known: {', '.join(names)}"
    elif code == "E_TARGET_NOT_FOUND":
        hint = "nobody else is connected: `intercom-mux up` starts a team"
    else:
        hint = _HINTS.get(code)
    return DeliveryError(reason, code=code, hint=hint, **({"names": names} if names is not None else {}))


def unknown_outcome(message_id: str) -> DeliveryError:
    """Return the error for a message that was written to a broker which never answered."""
    return DeliveryError(
        f"the broker was lost before it answered for message {message_id[:8]}",
        code="E_OUTCOME_UNKNOWN",
        hint="see `intercom-mux broker status`; the message may or may not have been accepted",
        message_id=message_id,
    )


def heard(receipt: Json) -> str:
    """Return in words what a receipt says of a message: why it waits, or how far it is."""
    status: str = receipt["status"]
    detail = receipt.get("detail")
    words = {"receiver_received": "received", "acknowledged": "taken up", "injected": "taken up"}
    if detail and status != "injected":
        return str(detail)
    return words.get(status, status.replace("_", " "))


def timed_out(target: str, timeout_s: float, ask_id: str, last: str | None = None) -> AskTimeout:
    """Return the error for an ask that found no reply in time and was withdrawn; `last` is what was `heard` of it."""
    return AskTimeout(
        f'no reply from "{target}" within {timeout_s:g} s; the ask is withdrawn'
        + (f"; last heard: {last}" if last else ""),
        hint="give it longer with --timeout, or use `ask --async` and `result`",
        ask_id=ask_id,
        **({"last": last} if last else {}),
    )


def ticket(target: str, ask_id: str) -> AskTicket:
    """Return the error for an ask that goes on without its caller."""
    return AskTicket(
        f'no reply from "{target}" yet; the ask goes on as ticket {ask_id[:8]}',
        hint=f"fetch the reply later: intercom-mux result {ask_id[:8]}",
        ask_id=ask_id,
    )


def needs_our_broker(what: str, path: Path) -> BrokerError:
    """Return the error for what the broker at `path`, one that is not ours, cannot do."""
    place = f" --pi {path.parent.parent}" if path.parent.name == "intercom" else ""
    return BrokerError(
        f"`{what}` needs our broker; another one serves {path}",
        code="E_STOCK_BROKER",
        hint=f"`intercom-mux broker replace{place}` puts ours in its place",
        path=str(path),
    )


def ended(target: str, reason: str, ask_id: str) -> DeliveryError:
    """Return the error for an ask that the broker ended without a reply."""
    return DeliveryError(f'the ask to "{target}" ended: {reason}', code="E_ASK_ENDED", ask_id=ask_id)
