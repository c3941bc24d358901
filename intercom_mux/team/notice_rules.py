"""`[notify]` of the user's configuration: how a person is called (docs/configuration.md)."""

from __future__ import annotations

import shutil
from typing import NamedTuple

from intercom_mux import config
from intercom_mux.errors import IntercomError

_APPLESCRIPT = "on run words\ndisplay notification (item 2 of words) with title (item 1 of words)\nend run"


class NoticeRules(NamedTuple):
    """What the user wants of notices; `desktop`: whether they are shown by the desktop as well."""

    desktop: bool = False


def load() -> NoticeRules:
    """Return the user's rules.

    Raises:
        IntercomError: The configuration is not valid (`E_CONFIG`).
    """
    table = config.table("notify", keys=NoticeRules._fields)
    for key, value in table.items():
        if not isinstance(value, bool):
            raise config.problem(f"notify.{key} must be true or false", key=f"notify.{key}")
    return NoticeRules(**table)


def load_or_default() -> NoticeRules:
    """Return the user's rules; the default ones while the configuration is not valid."""
    try:
        return load()
    except IntercomError:
        return NoticeRules()


def desktop_command(title: str, text: str) -> list[str]:
    """Return what shows a desktop notification here: by the first program on PATH that can; empty for none."""
    commands = {
        "notify-send": ["notify-send", "--app-name=intercom-mux", "--", title, text],
        "terminal-notifier": ["terminal-notifier", "-title", title, "-message", text],
        "osascript": ["osascript", "-e", _APPLESCRIPT, title, text],
    }
    return next((command for program, command in commands.items() if shutil.which(program)), [])
