"""Puts an ask to the person at the board, question by question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intercom_mux.supervise.answer import screens
from intercom_mux.watch.dialogs import Answer, Choice, Choices, Reading, Words

if TYPE_CHECKING:
    from textual.app import App

    from intercom_mux.supervise.answer import Pending, Screen, Value


async def answers(app: App[Any], pending: Pending) -> dict[str, Value] | None:
    """Return the answers by the screens' keys, without those that were skipped; None when the person left it.

    Those of an interview are shown once more before they count.
    """
    found: dict[str, Value] = {}
    for screen in screens(pending):
        value = await _asked(app, screen, is_alone=pending.interview is None)
        if value is None:
            return None
        if value:
            found[screen.key] = value
    if pending.interview is None or not found:
        return found
    told = "\n".join(f"{key}: {value if isinstance(value, str) else ', '.join(value)}" for key, value in found.items())
    title = f"your answers to {pending.sender}"
    return found if await app.push_screen_wait(Reading(title, told, "Enter sends · Esc leaves")) else None


async def _asked(app: App[Any], screen: Screen, *, is_alone: bool) -> Value | None:
    """Return the answer to one screen, empty when it is skipped, None when the person leaves."""
    if screen.kind == "info":
        return "" if await app.push_screen_wait(Reading(screen.title, screen.text)) else None
    if screen.kind == "single":
        place = await app.push_screen_wait(Choice(screen.title, screen.options, screen.text, skips=True))
        return None if place is None else screen.options[place] if place >= 0 else ""
    if screen.kind == "multi":
        places = await app.push_screen_wait(Choices(screen.title, screen.options, screen.text))
        return None if places is None else [screen.options[place] for place in places]
    about = f"{screen.text}\n\nThe path or URL of the picture:" if screen.kind == "image" else screen.text
    return await app.push_screen_wait((Words if is_alone else Answer)(screen.title, about))
