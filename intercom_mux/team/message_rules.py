"""`[messages]` of the user's configuration: how messages are given to agents (docs/configuration.md)."""

from __future__ import annotations

from typing import NamedTuple

from intercom_mux import config
from intercom_mux.errors import IntercomError

INBOUND = ("always", "replies", "never")


class MessageRules(NamedTuple):
    """What the user wants of messages.

    Attributes:
        reply_hint: Whether an ask that reaches an agent says how to answer it.
        inbound: Which messages may begin a turn of an agent by themselves; others wait for its next one.
        confirm_send: Whether `send` from an interactive terminal asks first.
    """

    reply_hint: bool = True
    inbound: str = INBOUND[0]
    confirm_send: bool = False


def load() -> MessageRules:
    """Return the user's rules.

    Raises:
        IntercomError: The configuration is not valid (`E_CONFIG`).
    """
    table = config.table("messages", keys=MessageRules._fields)
    for key, value in table.items():
        name = f"messages.{key}"
        if key == "inbound":
            if value not in INBOUND:
                guess = config.guess(value, INBOUND) if isinstance(value, str) else ""
                words = " or ".join(f'"{word}"' for word in INBOUND)
                raise config.problem(f"{name} must be {words}, not {value!r}{guess}", key=name)
        elif not isinstance(value, bool):
            raise config.problem(f"{name} must be true or false", key=name)
    return MessageRules(**table)


def load_or_default() -> MessageRules:
    """Return the user's rules; those of a running team are the default ones while the configuration is not valid."""
    try:
        return load()
    except IntercomError:
        return MessageRules()
