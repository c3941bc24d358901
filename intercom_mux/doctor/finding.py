"""One thing that a check has to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

State = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found.

    Attributes:
        what: The subject, a word or two.
        text: A sentence that names the thing.
        fix: The command, or the step, that mends it; "" when nothing is to be done.
        mend: Does that and says what it did; only where nothing can be lost by it. Raises `OSError`.
    """

    state: State
    what: str
    text: str
    fix: str = ""
    mend: Callable[[], str] | None = None


def of_error(what: str, error: Exception, state: State = "error") -> Finding:
    """Return what an error says, with its own hint as the fix."""
    return Finding(state, what, str(error) or type(error).__name__, str(getattr(error, "hint", None) or ""))
