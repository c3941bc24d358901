"""What an agent is doing and what stands in its composer, told from one look at its surface. Pure.

Rules: a dead program is `exited`; of the patterns that match, the one of highest priority wins, and profiles are
refused unless blocked stands above idle; without a match the status is `unknown`, which is never shown as idle.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from intercom_mux.agents.profile import Pattern, Profile

_NOT_TEXT = re.compile(r"[\s\u2500-\u259f]+")
"""Blanks, line ends and the frames that agents draw around their composer."""


class Seen(Protocol):
    """The part of `mux.base.SurfaceState` that detection needs."""

    @property
    def title(self) -> str: ...
    @property
    def command(self) -> str: ...
    @property
    def terminal(self) -> str: ...
    @property
    def is_dead(self) -> bool: ...
    @property
    def exit_status(self) -> int | None: ...


class Status(NamedTuple):
    """One of `starting`, `idle`, `thinking`, `tool:<name>`, `blocked:<what>`, `exited:<code>`, `unknown`."""

    text: str

    @property
    def state(self) -> str:
        """The part before the colon."""
        return self.text.partition(":")[0]


UNKNOWN = Status("unknown")
STARTING = Status("starting")


class Composer(NamedTuple):
    """The agent's input line; `text` is the draft as painted, empty unless `kind` is "draft"."""

    kind: Literal["empty", "draft", "absent"]
    text: str = ""


def detect(profile: Profile, state: Seen, screen: str, *, was_ready: bool = True) -> Status:
    """Return the status of a surface that shows `screen`.

    Args:
        was_ready: False until `is_ready` has been true once for this program; unknown is then `starting`.
    """
    if state.is_dead:
        return Status(f"exited:{'?' if state.exit_status is None else state.exit_status}")
    status = _first_match(profile, state, screen)
    if not was_ready and status == UNKNOWN and not is_ready(profile, state, screen):
        return STARTING
    return status


def is_ready(profile: Profile, state: Seen, screen: str) -> bool:
    """Return whether the program shows that it has finished starting."""
    if state.is_dead:
        return False
    if profile.ready is None:
        return _first_match(profile, state, screen).text == "idle"
    return _match(profile.ready, state, screen) is not None


def composer(profile: Profile, screen: str) -> Composer:
    """Return what stands in the composer: the last place on the screen that looks like one."""
    rules = profile.composer
    if rules is None:
        return Composer("absent")
    found = list(rules.pattern.finditer(screen.rstrip()))
    if not found:
        return Composer("absent")
    draft = found[-1]["draft"] or ""
    if rules.continuation is not None:
        draft = rules.continuation.sub("\n", draft)
    if not squash(draft) or any(placeholder.fullmatch(one_line(draft)) for placeholder in rules.placeholders):
        return Composer("empty")
    return Composer("draft", draft)


def squash(text: str) -> str:
    """Return `text` without blanks, line ends and frames, so that it compares equal however it was wrapped."""
    return _NOT_TEXT.sub("", text)


def one_line(text: str) -> str:
    """Return `text` on one line, without frames, words separated by one blank."""
    return _NOT_TEXT.sub(" ", text).strip()


def _first_match(profile: Profile, state: Seen, screen: str) -> Status:
    for pattern in profile.status:
        captured = _match(pattern.evidence, state, screen)
        if captured is not None:
            what = captured.get("what") or pattern.what
            return Status(f"{pattern.state}:{what}" if what else pattern.state)
    return UNKNOWN


def _match(pattern: Pattern, state: Seen, screen: str) -> dict[str, str | None] | None:
    """Return the named groups of all parts when every part matches, else None."""
    if pattern.terminal is not None and pattern.terminal != state.terminal:
        return None
    tail = "\n".join(screen.rstrip().split("\n")[-pattern.lines :])
    parts = [(pattern.title, state.title), (pattern.command, state.command), *((one, tail) for one in pattern.screen)]
    captured: dict[str, str | None] = {}
    for regex, text in parts:
        if regex is None:
            continue
        match = regex.search(text)
        if match is None:
            return None
        captured.update(match.groupdict())
    return captured
