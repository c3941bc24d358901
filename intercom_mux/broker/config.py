"""`config.toml` of the user: how durable, how long and how much the broker keeps (docs/configuration.md).

Strict: what is misspelt or of a wrong type stops the broker's start with the reason, never silently.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from intercom_mux import config
from intercom_mux.broker.core.model import MAILBOX_WAIT_MAX, Limits
from intercom_mux.errors import BrokerError

if TYPE_CHECKING:
    from intercom_mux.errors import IntercomError

DURABILITIES = ("normal", "full")

_UNITS = {
    "message_ttl": ("message_ttl_s", 1000),
    "session_memory": ("session_memory_s", 1000),
    "ask_timeout": ("ask_timeout_s", 1000),
    "ask_resume": ("ask_resume_s", 1000),
    "record_ttl": ("record_ttl_s", 1000),
    "register_within": ("register_within_s", 1000),
    "presence_interval": ("presence_interval_s", 1000),
    "takeover_window": ("takeover_window_s", 1000),
    "takeover_guard": ("takeover_guard_s", 1000),
    "mailbox_wait": ("mailbox_wait_s", 1000),
    "mailbox_bytes": ("mailbox_mb", 1_048_576),
}
LIMITS = {
    key: (limit.name, factor)
    for limit in dataclasses.fields(Limits)
    for key, factor in [_UNITS.get(limit.name, (limit.name, 1))]
}
"""Key in `[broker.limits]` → field of `Limits` and how many of its units one of the key's is."""


@dataclass(slots=True, frozen=True)
class Settings:
    """What `[broker]` says, defaults where it says nothing.

    `durability`: "normal" survives the death of the process, "full" of the machine. `idle_exit_s`: seconds without
    anybody registered before the broker ends, 0 = never. `history_days`, `history_mb`: how much of the past is kept.
    """

    durability: str = "normal"
    idle_exit_s: float = 60
    history_days: float = 7
    history_mb: float = 256
    limits: Limits = field(default_factory=Limits)


def load() -> Settings:
    """Return the settings of this user.

    Raises:
        BrokerError: The file cannot be read, is no TOML, or has an unknown key or a value of a wrong kind.
    """
    keys = [spec.name for spec in dataclasses.fields(Settings)]
    table = config.table("broker", keys=keys, error=BrokerError)
    limits = _limits(_table("limits", table, within="broker"))
    plain = [key for key in table if key not in {"limits", "durability"}]
    numbers = {key: _number(f"broker.{key}", table[key]) for key in plain}
    return Settings(durability=_durability(table), limits=limits, **numbers)


def _limits(table: dict[str, Any]) -> Limits:
    config.check_keys("broker.limits", table, LIMITS, error=BrokerError)
    values = {}
    for key, value in table.items():
        name, factor = LIMITS[key]
        number = _number(f"broker.limits.{key}", value, whole=factor == 1)
        values[name] = max(1, round(number * factor))
    limits = Limits(**values)
    if limits.mailbox_wait > MAILBOX_WAIT_MAX:
        key, most = "broker.limits.mailbox_wait_s", MAILBOX_WAIT_MAX // 1000
        raise _problem(f"{key} must be at most {most}, because clients give up after ten seconds", key=key)
    return limits


def _table(key: str, parent: dict[str, Any], *, within: str = "") -> dict[str, Any]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        name = f"{within}.{key}" if within else key
        raise _problem(f"{name} must be a table, [{name}]", key=name)
    return value


def _durability(table: dict[str, Any]) -> str:
    value = table.get("durability", DURABILITIES[0])
    if value not in DURABILITIES:
        guess = config.guess(value, DURABILITIES) if isinstance(value, str) else ""
        problem = f'broker.durability must be "normal" or "full", not {value!r}{guess}'
        raise _problem(problem, key="broker.durability")
    return str(value)


def _number(key: str, value: object, *, whole: bool = False) -> float:
    """Return a finite number: above 0, except that an idle time of 0 means never."""
    is_number = type(value) is int or (type(value) is float and not whole and math.isfinite(value))
    may_be_zero = key == "broker.idle_exit_s"
    if is_number and isinstance(value, (int, float)) and (value > 0 or (may_be_zero and value == 0)):
        return value
    kind = "whole number" if whole else "number"
    raise _problem(f"{key} must be a {kind} {'of at least' if may_be_zero else 'above'} 0, not {value!r}", key=key)


def _problem(what: str, **fields: str) -> IntercomError:
    return config.problem(what, error=BrokerError, **fields)
