"""Whether the journal is whole, without writing to it and whether or not a broker runs."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from intercom_mux.broker.journal import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 5.0
"""How long the check of a large journal may take; what was seen till then was whole."""


def problem(path: Path) -> str:
    """Return what is wrong with the journal at `path`, "" for nothing."""
    deadline = time.monotonic() + LIMIT_S
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)
    except sqlite3.Error as error:
        return str(error)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            return f"it was written by a newer intercom-mux (schema {version})"
        db.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        return "" if str(error) == "interrupted" else str(error)
    except sqlite3.Error as error:
        return str(error)
    finally:
        db.close()
    return "" if said == "ok" else str(said)
