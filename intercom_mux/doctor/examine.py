"""All checks side by side, told in the order in which one would look; a broken or slow one hides no other."""

from __future__ import annotations

import time
from threading import Thread
from typing import TYPE_CHECKING

from intercom_mux.doctor import broker, machine, places, project, teams
from intercom_mux.doctor.finding import Finding, of_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CHECKS: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
    ("multiplexer", machine.multiplexers),
    ("agent", machine.agents),
    ("extras", machine.extras),
    ("places", places.directories),
    ("socket", places.sockets),
    ("broker", broker.broker),
    ("journal", broker.journal),
    ("team", teams.teams),
    ("config", project.configuration),
    ("layout", project.layout),
)


LIMIT_S = 10.0
"""How long all checks together may take."""


def examine(limit_s: float = LIMIT_S) -> Iterator[Finding]:
    """Yield what every check finds within `limit_s`, and which did not end. Starts no broker, changes nothing."""
    deadline = time.monotonic() + limit_s
    looks = [_Look(name, check) for name, check in CHECKS]
    for look in looks:
        look.start()
    for look in looks:
        look.join(max(0.0, deadline - time.monotonic()))
        if look.is_alive():
            yield look.unfinished(limit_s)
        else:
            yield from look.found


class _Look(Thread):
    """One check on a thread of its own, which is left behind when its time is over."""

    def __init__(self, name: str, check: Callable[[], Iterable[Finding]]) -> None:
        super().__init__(name=name, daemon=True)
        self.found: list[Finding] = []
        self._check = check

    def run(self) -> None:
        try:
            self.found.extend(self._check())
        except Exception as error:
            # Whatever is broken is what the person wants to hear of.
            self.found.append(of_error(self.name, error))

    def unfinished(self, limit_s: float) -> Finding:
        return Finding(
            "error", self.name, f"nothing was heard of it within {limit_s:g} s", "intercom-mux doctor, again"
        )


def mend(finding: Finding) -> Finding:
    """Return what became of a finding that can be mended safely; one that cannot as it is."""
    if finding.mend is None:
        return finding
    try:
        return Finding("ok", finding.what, finding.mend())
    except OSError as error:
        return Finding("error", finding.what, f"{finding.text}; mending failed: {error}", finding.fix)
