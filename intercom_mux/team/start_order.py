"""The order in which a team's peers start: pure rules over what they depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intercom_mux.layout.model import Dependency


class Progress(NamedTuple):
    """How far one peer is: "waiting", "started", "ready", "exited-ok" or "failed", the last with its reason."""

    state: str
    reason: str = ""


_REACHED = {
    "started": ("started", "ready", "exited-ok"),
    "ready": ("ready",),
    "exited-ok": ("exited-ok",),
}
_OVER = {"ready": ("exited-ok",)}
"""Condition → states after which it can never come."""


def verdict(depends_on: Iterable[Dependency], progress: Mapping[str, Progress]) -> str | None:
    """Return "" when a peer may start, None while it has to wait, and else why it never will. Pure.

    A dependency that `progress` does not name is nobody's to wait for: it is no part of the team.
    """
    answer: str | None = ""
    for dependency in depends_on:
        seen = progress.get(dependency.peer)
        if seen is None or seen.state in _REACHED[dependency.condition]:
            continue
        if seen.state == "failed":
            return f"{dependency.peer}, which it depends on, {seen.reason}"
        if seen.state in _OVER.get(dependency.condition, ()):
            return f"{dependency.peer}, which it depends on, has ended before it was ready"
        answer = None
    return answer


def waves(depends_on: Mapping[str, Sequence[Dependency]]) -> list[list[str]]:
    """Return the names in the order in which they can start, those that may start together in one list. Pure.

    Of a cycle, which a layout cannot have, and what hangs on one nothing is returned.
    """
    left = {name: {d.peer for d in needs if d.peer in depends_on} for name, needs in depends_on.items()}
    found: list[list[str]] = []
    while free := [name for name, needs in left.items() if not needs]:
        found.append(free)
        left = {name: needs.difference(free) for name, needs in left.items() if name not in free}
    return found
