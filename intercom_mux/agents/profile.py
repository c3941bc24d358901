"""Agent profiles: data that says how to start, detect and address one agent program. Types only; docs/agents.md tells.

How the files are checked is in `profile_file`, where they are found in `find`, what becomes of them for one peer in
`launch`; what their patterns mean, in `detect`.

Rules that the data follows:

* An agent is exec'd; role and first prompt are arguments, and only per-launch flags, variables and files of the team's
  runtime directory are used. Nothing is written to the user's own configuration.
* The one thing pre-allowed is our own messaging verbs and tools; a trust question is answered in advance only where the
  layout says `trust: true`.
* `agent: auto` considers only profiles marked `auto: true`, those whose idle and empty composer are told by positive,
  measured evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ROUTES = ("native", "hook", "http", "queue", "paste", "inbox")
"""Ways to a message's reader: a client of its own, hook calls, its HTTP server, its message queue, typing, asking it
to read its inbox."""

STATES = ("blocked", "starting", "tool", "thinking", "idle")
TERMINALS = ("prompt",)
"""Modes of a terminal: a line editor of the program reads it (team/terminal.py)."""
HOOK_STATES = ("idle", "thinking", "tool", "blocked")
DIALECTS = ("claude", "gemini", "codex", "pi")
"""Programs whose hook answers we can write."""

PLACEHOLDER = re.compile(r"\{([a-z_]+)(?::(json|sh))?\}")
"""`{name}`, or its value as a JSON string or as one word of a shell's command line."""

LATE = ("port", "secret")
"""Placeholders that the team daemon fills in when the peer starts."""
OPTIONAL = ("prompt", "model", "supervisor", "supervisor_session", "scope")
"""Placeholders whose value may be absent; what needs one is then left out."""
PLACEHOLDERS = (
    *("python", "cli", "binary", "name", "role", "briefing", "cwd", "index", "session", "identity", "dir"),
    *("team", "team_id"),
    *OPTIONAL,
    *LATE,
)
CONDITIONS = ("mcp", "trust", *OPTIONAL)
"""What `if:` may ask for: that the MCP SDK is installed, that the layout trusts the peer, that a value is there."""
QUEUE_PLACEHOLDERS = ("binary", "thread", "message")
"""Placeholders of `queue.argv`."""

LINES = 30
"""How much of the end of a screen a pattern looks at, unless it says otherwise."""

Channel = Literal["cli", "mcp"]


class Pattern(NamedTuple):
    """Evidence on a surface; every part that is given must match.

    `screen` regexes are searched, with ^ and $ at line ends, in the last `lines` lines that follow no blank tail.
    `terminal` is one of `TERMINALS`, the mode that the terminal must be in.
    """

    title: re.Pattern[str] | None = None
    command: re.Pattern[str] | None = None
    screen: tuple[re.Pattern[str], ...] = ()
    lines: int = LINES
    terminal: str | None = None


class StatusPattern(NamedTuple):
    """Evidence of a state; `what` names the tool or the dialog unless a group `what` of a regex captures it."""

    state: str
    evidence: Pattern
    what: str | None
    priority: int


class ComposerRules(NamedTuple):
    """Where the agent's input line is: the last match of `pattern` on the screen, its text in the group `draft`.

    `placeholders` match in full the greyed text that an empty composer may show. `continuation` is a line end with what
    the agent puts before each further row.
    """

    pattern: re.Pattern[str]
    placeholders: tuple[re.Pattern[str], ...] = ()
    continuation: re.Pattern[str] | None = None


class PasteRules(NamedTuple):
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


class HookEvent(NamedTuple):
    """What one hook event of the agent proves, and what may be given to the agent there.

    Attributes:
        state: The agent's state from here on, one of `HOOK_STATES`; None: the event does not tell.
        what: The tool or the dialog: a key of the payload, or the words themselves when the payload has no such key.
        when: Values that keys of the payload must have, None: the key must be absent; else the event is none of ours.
        prompt: Key of the payload with the text that was submitted: proof of submission, by message id.
        answer: Key of the payload with the turn's last message; the event ends the turn.
        gives: How waiting messages go in: as "context" beside the event, or by a "block" that starts another round.
    """

    state: str | None = None
    what: str | None = None
    when: Mapping[str, str | None] = MappingProxyType({})
    prompt: str | None = None
    answer: str | None = None
    gives: Literal["context", "block"] | None = None


class HookRules(NamedTuple):
    """The agent's hook calls: in whose dialect they are answered, and what each event means, by its name.

    Unless `condition` holds (see `Words`) the agent cannot be handed messages by them; the route "hook" is left out.
    """

    output: str
    events: Mapping[str, HookEvent]
    condition: str | None = None


class QueueRules(NamedTuple):
    """A command that puts a message into the running agent's queue; `argv` takes `QUEUE_PLACEHOLDERS`."""

    argv: tuple[str, ...]


class VersionRules(NamedTuple):
    """How the program tells its version: what to run, and a regex whose first group, or whole match, is the version."""

    argv: tuple[str, ...] = ("{binary}", "--version")
    pattern: re.Pattern[str] = re.compile(r"\d+\.\d+[\w.+-]*")


class Words(NamedTuple):
    """Words of a command line that go together: left out unless `condition` holds and every placeholder has a value."""

    words: tuple[str, ...]
    condition: str | None = None


class Generated(NamedTuple):
    """A file, or an environment variable, made for one peer: text, or data that becomes JSON.

    In the data a mapping `{if: CONDITION, then: VALUE}` stands for VALUE, or for nothing.
    """

    name: str
    content: Any
    condition: str | None = None


_VERSION = VersionRules()
_PASTE = PasteRules()


@dataclass(frozen=True, slots=True)
class Profile:
    """One agent program.

    Attributes:
        path: The file it was read from; the last one, when one extends another.
        binaries: Candidates on PATH, first found wins; `$NAME` is that environment variable. Empty: none needed.
        routes: How messages reach it, best first.
        reply: How it answers without a dialog: by our command line, or by our MCP tools.
        reply_hint: Whether an ask says how to answer it; not a key of the file but the user's choice.
        inbound: Which messages may start a turn by themselves (team/inbound.py); likewise.
        env: Variables set for it; `unset` are removed.
        files: Written into the peer's private directory at its start.
        osc7501: Whether it writes its status to the terminal as OSC 7501.
        status: Highest priority first; blocked always stands above idle.
        ready: What makes the agent ready the first time; None: its first idle.
        ready_settle_ms: Wait after that before anything is typed.
        tool_timeout_s: Longest time one tool call of the agent may take; None: no limit of its own.
        trust: What `trust: true` does for it, for people; None: nothing can be done per launch.
        quirks: What a maintainer must know, for people only.
        data: The plain data that it was made of, whole: what it extends is in it.
    """

    name: str
    path: Path
    binaries: tuple[str, ...]
    argv: tuple[Words, ...]
    routes: tuple[str, ...]
    reply: Channel = "cli"
    reply_hint: bool = True
    inbound: str = "always"
    version: VersionRules = _VERSION
    env: tuple[Generated, ...] = ()
    unset: tuple[str, ...] = ()
    files: tuple[Generated, ...] = ()
    hooks: HookRules | None = None
    osc7501: bool = False
    queue: QueueRules | None = None
    status: tuple[StatusPattern, ...] = ()
    composer: ComposerRules | None = None
    paste: PasteRules = _PASTE
    ready: Pattern | None = None
    ready_settle_ms: int = 0
    ready_timeout_s: float = 60
    tool_timeout_s: float | None = None
    auto: bool = False
    install: str | None = None
    trust: str | None = None
    quirks: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def takes(self, placeholder: str) -> bool:
        """Return whether argv has a place for `placeholder`; a prompt without one must be delivered as a message."""
        return placeholder in self.placeholders()

    def placeholders(self) -> Iterator[str]:
        """Yield every placeholder of argv."""
        for part in self.argv:
            for word in part.words:
                yield from (match[1] for match in PLACEHOLDER.finditer(word))

    @property
    def status_sources(self) -> tuple[str, ...]:
        """How its status is told, best first: native, hooks, http, osc7501, title, command, terminal, screen."""
        evidence = [pattern.evidence for pattern in self.status]
        sources = {
            "native": "native" in self.routes,
            "hooks": self.hooks is not None,
            "http": "http" in self.routes,
            "osc7501": self.osc7501,
            "title": any(one.title for one in evidence),
            "command": any(one.command for one in evidence),
            "terminal": any(one.terminal for one in evidence),
            "screen": any(one.screen for one in evidence),
        }
        return tuple(name for name, is_there in sources.items() if is_there)


class Resolved(NamedTuple):
    """The profile to use; `binary` is a path, None when none is needed; `notice` is for the user."""

    profile: Profile
    binary: str | None
    notice: str | None = None
