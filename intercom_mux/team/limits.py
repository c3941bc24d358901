"""How a peer gets its resource hints: by words before its own, which exec one another, so that its pid stays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intercom_mux.layout.model import Resources

_LIMIT_DATA = 'ulimit -d "$1" || exit 126; shift; exec "$@"'
"""A constant script for any POSIX sh: a hundredth of what another Python would cost, and it takes no text of ours."""


def limited(argv: tuple[str, ...], resources: Resources) -> tuple[str, ...]:
    """Return the words that exec `argv` under `resources`; without any, `argv` itself.

    `memory_mb` is RLIMIT_DATA, not RLIMIT_AS: agents reserve far more addresses than they use. macOS does not
    enforce it, and Windows knows neither program: there they count for nothing.
    """
    if sys.platform == "win32":
        return argv
    if resources.memory_mb is not None:
        argv = ("sh", "-c", _LIMIT_DATA, "sh", str(resources.memory_mb * 1024), *argv)
    if resources.nice is not None:
        argv = ("nice", "-n", str(resources.nice), "--", *argv)
    return argv
