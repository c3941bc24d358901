"""`[transcripts]` of the user's configuration: how much of what programs print is kept (docs/configuration.md)."""

from __future__ import annotations

import math
from typing import NamedTuple

from intercom_mux import config
from intercom_mux.errors import IntercomError


class Settings(NamedTuple):
    """`size_mb`: most of one peer's transcript, in MiB. `keep_days`: for so long what was printed is kept."""

    size_mb: float = 16
    keep_days: float = 14

    @property
    def limit(self) -> int:
        """Most bytes of one peer's transcript."""
        return round(self.size_mb * 1_048_576)


def load() -> Settings:
    """Return the user's settings.

    Raises:
        IntercomError: The configuration is not valid (`E_CONFIG`).
    """
    table = config.table("transcripts", keys=Settings._fields)
    for key, value in table.items():
        if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
            raise config.problem(f"transcripts.{key} must be a number above 0, not {value!r}", key=f"transcripts.{key}")
    return Settings(**table)


def load_or_default() -> Settings:
    """Return the user's settings; the default ones while the configuration is not valid."""
    try:
        return load()
    except IntercomError:
        return Settings()
