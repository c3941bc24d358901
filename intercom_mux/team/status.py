"""What a peer is doing, from all that is known: its screen, and what the agent itself reports. Pure.

The end of the program is beyond doubt, and a dialog on the screen is believed at once. Then what the agent reported
last (a hook, OSC 7501, its server) stands above its screen, which shows less and later; only the name of a tool that
runs is taken from the screen where the report says no more than thinking. A report that the screen denies
without a break for `STALE_S` has missed its end, as after an interrupt, which no hook tells: then the screen is right.
A screen that nobody understands denies nothing, nor does one that looks idle but shows no composer, for a dialog may
stand there; and a reported dialog is given up only after `BLOCKED_STALE_S`. Unknown is never shown as idle.
"""

from __future__ import annotations

from typing import NamedTuple

STALE_S = 1.5
"""How long a screen must have said something else before a report is not believed any more."""
BLOCKED_STALE_S = 5.0
"""The same for a screen that looks idle after a report of a dialog."""

_KINDS = {"idle": "idle", "thinking": "busy", "tool": "busy", "blocked": "blocked"}


class Dated(NamedTuple):
    """A status, `thinking` or `tool:Bash` for example, and since when it is so, in seconds of any one clock.

    `is_sure` is False for a screen that looks idle without a composer. `tool` is the status before a reported dialog,
    if it was a tool's: what a person approves goes on without another report.
    """

    text: str
    since: float
    is_sure: bool = True
    tool: str | None = None

    @property
    def kind(self) -> str | None:
        """`idle`, `busy` or `blocked`; None for what tells nothing of that."""
        return _KINDS.get(self.text.partition(":")[0]) if self.is_sure else None


def merge(screen: Dated, report: Dated | None, now: float) -> str:
    """Return the status to show; `screen` is what detection made of the surface."""
    if report is None:
        return screen.text
    if is_believed(report, screen, now):
        is_finer = report.text == "thinking" and screen.text.startswith("tool:")
        return screen.text if is_finer else report.text
    return report.tool if report.tool and screen.kind == "busy" else screen.text


def succeed(before: Dated | None, text: str, now: float, *, names_tools: bool = True) -> Dated:
    """Return a new report; a dialog keeps in mind which tool it is about.

    `names_tools` is False for a source that knows no tools: its `thinking` may be the tool that was reported before.
    """
    tool = None
    if before is not None:
        tool = before.text if before.text.startswith("tool:") else before.tool
    if text == "thinking" and tool and not names_tools:
        return Dated(tool, now)
    return Dated(text, now, tool=tool if text.startswith("blocked") else None)


def is_believed(report: Dated, screen: Dated, now: float) -> bool:
    """Return whether a report stands above what the screen says."""
    if screen.kind == "blocked" or screen.text.startswith(("exited", "starting")):
        return False
    is_denied = screen.kind not in (None, report.kind)
    patience = BLOCKED_STALE_S if (report.kind, screen.kind) == ("blocked", "idle") else STALE_S
    return not is_denied or now - max(screen.since, report.since) < patience


def follow(before: Dated, text: str, now: float, *, is_sure: bool = True) -> Dated:
    """Return what is seen now, dated from when it began to be so."""
    return before if (before.text, before.is_sure) == (text, is_sure) else Dated(text, now, is_sure)
