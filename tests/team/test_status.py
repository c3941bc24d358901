"""Status from all that is known, as a table."""

from __future__ import annotations

import itertools

import pytest

from intercom_mux.team.status import BLOCKED_STALE_S, STALE_S, Dated, follow, merge, succeed

LONG = STALE_S + 1

CASES = [
    # screen, report, how long the screen has denied the report, what is shown
    ("idle", None, 0, "idle"),
    ("unknown", None, LONG, "unknown"),
    ("exited:0", "thinking", 0, "exited:0"),
    ("exited:137", "idle", LONG, "exited:137"),
    ("starting", "idle", LONG, "starting"),
    ("blocked:permission", "thinking", 0, "blocked:permission"),
    ("blocked:trust", "idle", 0, "blocked:trust"),
    ("blocked:dialog", "blocked:permission", 0, "blocked:dialog"),
    ("idle", "thinking", 0, "thinking"),
    ("idle", "thinking", STALE_S - 0.1, "thinking"),
    ("idle", "thinking", LONG, "idle"),
    ("idle", "tool:Bash", LONG, "idle"),
    ("idle", "blocked:permission", 0, "blocked:permission"),
    ("idle", "blocked:permission", LONG, "blocked:permission"),
    ("idle", "blocked:permission", BLOCKED_STALE_S + 1, "idle"),
    ("thinking", "tool:Bash", LONG, "tool:Bash"),
    ("tool:Bash", "thinking", 0, "tool:Bash"),
    ("tool:Bash", "thinking", LONG, "tool:Bash"),
    ("tool:Bash", "tool:Read", LONG, "tool:Read"),
    ("tool:Bash", "idle", 0, "idle"),
    ("thinking", "idle", 0, "idle"),
    ("thinking", "idle", LONG, "thinking"),
    ("thinking", "blocked:permission", 0, "blocked:permission"),
    ("thinking", "blocked:permission", LONG, "thinking"),
    ("unknown", "thinking", LONG, "thinking"),
    ("unknown", "blocked:permission", LONG, "blocked:permission"),
    ("unknown", "idle", LONG, "idle"),
]


@pytest.mark.parametrize(("screen", "report", "denied_s", "shown"), CASES)
def test_what_is_shown(screen: str, report: str | None, denied_s: float, shown: str) -> None:
    """Screen and report make one status; age decides where they differ."""
    told = Dated(report, 100.0) if report else None
    assert merge(Dated(screen, 100.0), told, 100.0 + denied_s) == shown


def test_a_fresh_report_is_believed_over_an_old_screen() -> None:
    """A screen that has been idle for long does not deny a prompt submitted just now."""
    assert merge(Dated("idle", 0.0), Dated("thinking", 100.0), 100.1) == "thinking"


def test_an_idle_look_without_a_composer_denies_nothing() -> None:
    """A dialog that no pattern knows may stand where the composer was, and a title may lie meanwhile."""
    seen = Dated("idle", 0.0, is_sure=False)
    for report in ("thinking", "tool:Bash", "blocked:permission"):
        assert merge(seen, Dated(report, 0.0), 1000.0) == report
    assert merge(seen, None, 1000.0) == "idle"


def test_unknown_is_never_made_idle() -> None:
    """Without a report of idle nothing but an idle screen shows as idle."""
    screens = ["unknown", "starting", "thinking", "blocked:x", "exited:0"]
    for screen, report in itertools.product(screens, [None, "thinking", "tool:x", "blocked:y"]):
        assert merge(Dated(screen, 0), Dated(report, 0) if report else None, LONG) != "idle"


def test_a_state_is_dated_from_its_beginning() -> None:
    """Looks that find the same keep the date."""
    first = follow(Dated("starting", 0), "idle", 1)
    assert follow(first, "idle", 5) == Dated("idle", 1)
    assert follow(first, "thinking", 5) == Dated("thinking", 5)
    assert follow(first, "idle", 5, is_sure=False) == Dated("idle", 5, is_sure=False)


def test_an_approved_tool_is_shown_while_it_runs() -> None:
    """A dialog that the screen shows to be over leaves its tool running, until the agent looks idle."""
    tool = Dated("tool:Bash", 0)
    dialog = succeed(succeed(tool, "blocked:permission", 1), "blocked:permission", 2)
    assert merge(Dated("thinking", 3), dialog, 3 + LONG) == "tool:Bash"
    assert merge(Dated("idle", 3), dialog, 3 + BLOCKED_STALE_S) == "idle"
    assert succeed(dialog, "thinking", 4).tool is None
