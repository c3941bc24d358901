"""All checks, in the order in which one would look; each is guarded, so that a broken part hides no other."""

from __future__ import annotations

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


def examine() -> Iterator[Finding]:
    """Yield what every check finds. Starts no broker, changes nothing, and waits some seconds at most for anything."""
    for name, check in CHECKS:
        try:
            yield from check()
        except Exception as error:
            # Whatever is broken is what the person wants to hear of.
            yield of_error(name, error)


def mend(finding: Finding) -> Finding:
    """Return what became of a finding that can be mended safely; one that cannot as it is."""
    if finding.mend is None:
        return finding
    try:
        return Finding("ok", finding.what, finding.mend())
    except OSError as error:
        return Finding("error", finding.what, f"{finding.text}; mending failed: {error}", finding.fix)
