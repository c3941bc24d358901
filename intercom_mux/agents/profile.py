"""Agent profiles: data that says how to start, detect and address one agent program. Pure but for reading the files.

A profile is one YAML file; its name is the file's stem. The bundled ones lie in `profiles/`; a user's file of the same
name in `<config dir>/agents/` replaces the bundled one whole, so that a changed screen is mended without a release.
How the files are checked is in `profile_file`; what their patterns mean, in `detect`.

Rules that the data follows:

* An agent is exec'd; role and first prompt are arguments, and only per-launch flags are used. Nothing is written to the
  user's own configuration, and no trust or permission question is answered in advance: the one thing pre-allowed is
  our own messaging verbs.
* `agent: auto` considers only profiles marked `auto: true`, those whose idle and empty composer are told by positive,
  measured evidence.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux import paths
from intercom_mux.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

BUNDLED = Path(__file__).parent / "profiles"
AUTO = "auto"
AUTO_ORDER = ("claude", "codex", "pi", "gemini", "opencode", "aider")
"""Order in which `agent: auto` looks for an installed program."""
EMBEDDED = "demo"
"""The profile that needs nothing installed."""

ROUTES = ("paste", "inbox")
STATES = ("blocked", "starting", "tool", "thinking", "idle")
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
PLACEHOLDERS = ("python", "binary", "name", "role", "briefing", "prompt", "model", "cwd")
OPTIONAL_PLACEHOLDERS = ("prompt", "model")
"""Placeholders whose value may be absent; allowed only inside an optional group of argv."""
LINES = 30
"""How much of the end of a screen a pattern looks at, unless it says otherwise."""

_BRIEFING = (
    "You are {name}, the {role}, in a team of coding agents that talk through intercom-mux. A message from a teammate "
    'starts with a line "[intercom] from NAME". Answer an ask by running: intercom-mux reply --to ID "your answer". '
    'To ask a teammate: intercom-mux ask NAME "question". To see who is there: intercom-mux list.'
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Evidence on a surface; every part that is given must match.

    `screen` regexes are searched, with ^ and $ at line ends, in the last `lines` lines that follow no blank tail.
    """

    title: re.Pattern[str] | None = None
    command: re.Pattern[str] | None = None
    screen: tuple[re.Pattern[str], ...] = ()
    lines: int = LINES


@dataclass(frozen=True, slots=True)
class StatusPattern:
    """Evidence of a state; `what` names the tool or the dialog unless a group `what` of a regex captures it."""

    state: str
    evidence: Pattern
    what: str | None
    priority: int


@dataclass(frozen=True, slots=True)
class ComposerRules:
    """Where the agent's input line is: the last match of `pattern` on the screen, its text in the group `draft`.

    `placeholders` match in full the greyed text that an empty composer may show.
    """

    pattern: re.Pattern[str]
    placeholders: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True)
class PasteRules:
    """How a message is typed.

    Attributes:
        settle_ms: Wait between paste and Enter.
        verify_ms: Longest wait for a paste to show and for an Enter to take effect, each.
        pause_ms: Rest after a submission, while the screen may still look idle.
        body_limit: Longest body typed, in characters; beyond it the agent is told where to read. Only followed when
            `can_run_commands`.
        line_limit: The same, in lines of the body.
        marker: What the composer shows in place of a long paste.
        queued: What the screen shows when the agent keeps a message for after its turn.
    """

    settle_ms: int = 300
    verify_ms: int = 3000
    pause_ms: int = 0
    body_limit: int = 4000
    line_limit: int = 200
    can_run_commands: bool = False
    marker: re.Pattern[str] | None = None
    queued: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One agent program.

    Attributes:
        binaries: Candidates on PATH, first found wins; `$NAME` is that environment variable. Empty: none needed.
        argv: Template; a nested tuple is an optional group, dropped when a value that it needs is absent.
        route: "paste", or "inbox": nothing is ever typed, messages wait in the mailbox and the watcher is told.
        status: Highest priority first; blocked always stands above idle.
        ready: What makes the agent ready the first time; None: its first idle.
        ready_settle_ms: Wait after that before anything is typed.
        tool_timeout_s: Longest time one tool call of the agent may take; None: no limit of its own.
        quirks: What a maintainer must know, for people only.
    """

    name: str
    path: Path
    binaries: tuple[str, ...]
    argv: tuple[str | tuple[str, ...], ...]
    route: str
    env: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    status: tuple[StatusPattern, ...] = ()
    composer: ComposerRules | None = None
    paste: PasteRules = PasteRules()
    ready: Pattern | None = None
    ready_settle_ms: int = 0
    ready_timeout_s: float = 60
    tool_timeout_s: float | None = None
    auto: bool = False
    install: str | None = None
    quirks: tuple[str, ...] = ()

    def takes(self, placeholder: str) -> bool:
        """Return whether argv has a place for `placeholder`; a prompt without one must be delivered as a message."""
        words = (word for part in self.argv for word in ((part,) if isinstance(part, str) else part))
        return any(f"{{{placeholder}}}" in word for word in words)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The profile to use; `binary` is a path, None when none is needed; `notice` is for the user."""

    profile: Profile
    binary: str | None
    notice: str | None = None


class Profiles(Mapping[str, "Profile"]):
    """Profiles by name, each read when it is first asked for: a team needs few of them.

    Asking for one raises LayoutError when its file is not valid; it names the file, `problems` lists every fault.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._read: dict[str, Profile] = {}

    def __getitem__(self, name: str) -> Profile:
        if name not in self._read:
            from intercom_mux.agents.profile_file import read_profile

            self._read[name] = read_profile(self._files[name])
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def load_profiles(extra_dirs: Iterable[Path] | None = None) -> Profiles:
    """Find the bundled profiles and those of `extra_dirs`; later directories replace by name, missing ones are empty.

    Args:
        extra_dirs: None looks into the user's `<config dir>/agents`.
    """
    extra = [paths.config_dir() / "agents"] if extra_dirs is None else list(extra_dirs)
    return Profiles({path.stem: path for place in (BUNDLED, *extra) for path in sorted(place.glob("*.yaml"))})


def resolve(
    agent: str,
    which: Callable[[str], str | None] = shutil.which,
    *,
    profiles: Mapping[str, Profile] | None = None,
    order: Sequence[str] = AUTO_ORDER,
) -> Resolved:
    """Find the profile called `agent` and its program; `auto` takes the first installed of `order`, else the demo.

    Raises:
        LayoutError: No such profile, or its program is not installed.
    """
    known = load_profiles() if profiles is None else profiles
    if agent == AUTO:
        return _resolve_auto(which, known, order)
    profile = known.get(agent)
    if profile is None:
        import difflib

        near = difflib.get_close_matches(agent, [AUTO, *known], n=1)
        names = ", ".join(sorted(known))
        raise LayoutError(
            f"unknown agent {agent!r}; known: {AUTO}, {names}",
            hint=f"did you mean {near[0]!r}?" if near else "describe it in a profile, or use command: instead",
            code="E_AGENT_UNKNOWN",
            agent=agent,
        )
    if not profile.binaries:
        return Resolved(profile, None)
    binary = _find(profile, which)
    if binary is None:
        raise LayoutError(
            f"agent {agent!r} is not installed: no {' or '.join(profile.binaries)} on PATH",
            hint=f"install it with: {profile.install}" if profile.install else f"install {profile.binaries[0]}",
            code="E_AGENT_MISSING",
            agent=agent,
            binaries=list(profile.binaries),
        )
    return Resolved(profile, binary)


def render_argv(
    resolved: Resolved, *, name: str, role: str, cwd: Path, prompt: str | None = None, model: str | None = None
) -> tuple[str, ...]:
    """Return the command line to exec; optional groups without a value are left out."""
    values = {
        "python": sys.executable,
        "binary": resolved.binary or "",
        "name": name,
        "role": role,
        "briefing": _BRIEFING.format(name=name, role=role),
        "prompt": prompt or "",
        "model": model or "",
        "cwd": str(cwd),
    }
    argv: list[str] = []
    for part in resolved.profile.argv:
        words = (part,) if isinstance(part, str) else part
        if all(values[needed] for word in words for needed in PLACEHOLDER.findall(word)):
            argv += [PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in words]
    return tuple(argv)


def _resolve_auto(which: Callable[[str], str | None], known: Mapping[str, Profile], order: Sequence[str]) -> Resolved:
    looked_for: list[str] = []
    for profile in (known[name] for name in order if name in known):
        binary = _find(profile, which) if profile.auto else None
        if binary is not None:
            return Resolved(profile, binary)
        looked_for += profile.binaries if profile.auto else ()
    notice = f"no agent program found (looked for {', '.join(looked_for) or 'none'}); using the embedded demo agent"
    return Resolved(known[EMBEDDED], None, notice)


def _find(profile: Profile, which: Callable[[str], str | None]) -> str | None:
    for candidate in profile.binaries:
        program = os.environ.get(candidate[1:], "") if candidate.startswith("$") else candidate
        found = which(program) if program else None
        if found:
            return found
    return None
