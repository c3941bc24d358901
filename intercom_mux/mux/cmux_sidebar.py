"""What goes to cmux's sidebar: lines of its first protocol, each completed by a workspace. The second has none."""

from __future__ import annotations

from collections.abc import Callable

from intercom_mux.mux.base import typeable

Line = Callable[[str], str]


def status(key: str, text: str) -> Line:
    """Set the status `key`, or clear it when the text is empty."""
    value = _one_line(text)
    return lambda tab: f'set_status {key} "{value}" --tab={tab}' if value else f"clear_status {key} --tab={tab}"


def progress(fraction: float | None, label: str) -> Line:
    """Set the progress bar, 0 to 1, or clear it for None."""
    if fraction is None:
        return lambda tab: f"clear_progress --tab={tab}"
    return lambda tab: f'set_progress {fraction:.2f} --label="{_one_line(label)}" --tab={tab}'


def note(level: str, text: str) -> Line:
    """Add to the log, as ours."""
    return lambda tab: f'log --level={level} --source=intercom-mux --tab={tab} -- "{_one_line(text)}"'


def _one_line(text: str) -> str:
    return " ".join(typeable(text).replace('"', "'").replace("\\", "/").split())
