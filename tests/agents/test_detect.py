"""Status and composer of each agent, told from screens written after the measured marks of each program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.detect import Composer, Status, composer, detect, is_ready, one_line, squash
from intercom_mux.agents.find import load_profiles

PROFILES = load_profiles([])
RULE = "─" * 60


@dataclass(frozen=True)
class Surface:
    title: str = ""
    command: str = ""
    terminal: str = ""
    is_dead: bool = False
    exit_status: int | None = None


class Case(NamedTuple):
    agent: str
    what: str
    status: str
    composer: str
    screen: str
    title: str = ""
    command: str = ""
    terminal: str = ""


def claude(body: str, draft: str = "", footer: str = "  ? for shortcuts") -> str:
    return f"╭─ Claude Code ─╮\n\n{body}\n\n{RULE}\n❯\u00a0{draft}\n{RULE}\n{footer}\n\n\n"


CLAUDE_DIALOG = (
    f"❯ delete it\n\n● Bash(rm -rf build)\n{RULE}\n Bash command\n\n   rm -rf build\n\n Do you want to proceed?\n"
    " ❯ 1. Yes\n   2. Yes, and don't ask again\n   3. No\n\n Esc to cancel · Tab to amend\n"
)
CODEX_DIALOG = (
    "› an earlier message\n  of two lines\n\n• Running touch x\n\n"
    "  Would you like to run the following command?\n\n  $ touch /tmp/x\n\n"
    "› 1. Yes, proceed (y)\n  2. Yes, and don't ask again (p)\n  3. No (esc)\n\n"
    "  Press enter to confirm or esc to cancel\n"
)
CODEX_EMPTY = "› Ask Codex to do anything\n\n  ? for shortcuts\n"
CODEX_WORKS = f"• Working (12s • esc to interrupt)\n\n{CODEX_EMPTY}"
GEMINI_DIALOG = "│ ?  Shell touch x\n│ Allow execution of [touch]?\n│\n│ ● 1. Allow once\n│   2. Allow always\n"
OPENCODE_EMPTY = "  ┃\n  ┃\n  ┃\n  ┃  Build  some-model\n  ╹▀▀▀▀▀▀\n   tab agents  ctrl+p commands\n"
PI_FOOTER = "~/src\n0.0%/1.0M (auto)                some-model\n"

CASES = [
    Case("claude", "idle", "idle", "empty", claude("✻ Cogitated for 4s · done 4:03 AM"), "✳ Claude Code"),
    Case("claude", "idle-suggestion", "idle", "empty", claude("", 'Try "fix lint errors"'), "✳ Claude Code"),
    Case("claude", "draft", "idle", "draft", claude("", "half a thou"), "✳ Claude Code"),
    Case("claude", "draft-of-lines", "idle", "draft", claude("", "one\n  two\n\n  three"), "✳ Claude Code"),
    Case(
        "claude",
        "busy",
        "thinking",
        "empty",
        claude("✳ Pondering… (3s · 12 tokens)", footer="  esc to interrupt"),
        "✳ Claude Code",
    ),
    Case(
        "claude",
        "busy-queued",
        "thinking",
        "empty",
        claude("", "Press up to edit queued messages", "  esc to interrupt"),
    ),
    Case("claude", "busy-title", "thinking", "empty", claude("working"), "⠂ Fix the retry"),
    Case(
        "claude",
        "retrying",
        "thinking",
        "empty",
        claude("Connection refused … retrying in 9s · attempt 5/10", footer="  esc to interrupt"),
    ),
    Case("claude", "permission", "blocked:permission", "absent", CLAUDE_DIALOG, "✳ Claude Code"),
    Case(
        "claude",
        "trust",
        "blocked:trust",
        "absent",
        " Folder\n\n ❯ 1. Yes, I trust this folder\n   2. No\n\n Enter to confirm · Esc to exit\n",
    ),
    Case(
        "claude",
        "auto-mode",
        "blocked:mode",
        "absent",
        "Auto mode can't check actions in this session\n\n Enter to stay in auto mode\n",
    ),
    Case(
        "claude",
        "other-dialog",
        "blocked:dialog",
        "absent",
        " Select a theme\n ❯ 2. Dark\n   3. Light\n\n Enter to confirm\n",
    ),
    Case(
        "claude",
        "rule-in-answer",
        "idle",
        "empty",
        claude(f"{RULE}\n❯ an earlier message\n● an answer"),
        "✳ Claude Code",
    ),
    Case("claude", "startup", "unknown", "absent", "\n\n"),
    Case("codex", "idle", "idle", "empty", CODEX_EMPTY, "src"),
    Case("codex", "idle-after-talk", "idle", "empty", f"› an earlier message\n\n• done\n\n{CODEX_EMPTY}", "src"),
    Case("codex", "bare", "idle", "empty", "›\n\n  ? for shortcuts\n", "src"),
    Case("codex", "draft", "idle", "draft", "› half a thou\n  ght\n\n  ? for shortcuts\n", "src"),
    Case(
        "codex",
        "draft-of-lines",
        "idle",
        "draft",
        "› one\n  two\n\n    three\n\n  a model · /src\n  ? for shortcuts\n",
        "src",
    ),
    Case(
        "codex", "footer-at-the-right", "idle", "draft", "› half\n\n  a model · /src\n          ← for agents\n", "src"
    ),
    Case(
        "codex",
        "unknown-dialog",
        "idle",
        "absent",
        "› an earlier message\n\n• an answer\n\nPick one\n  a\n  b\n",
        "src",
    ),
    Case("codex", "busy", "thinking", "empty", f"• Working (12s • esc to interrupt)\n\n{CODEX_EMPTY}", "⠹ src"),
    Case("codex", "streaming", "thinking", "empty", f"• The retry is in\n\n{CODEX_EMPTY}", "⠧ src"),
    Case("codex", "command", "tool:Bash", "empty", f"• Running make test\n  │ lint\n\n{CODEX_WORKS}", "⠧ src"),
    Case(
        "codex",
        "mcp",
        "tool:intercom.intercom_ask",
        "empty",
        f"◦ Calling intercom.intercom_ask\n{CODEX_WORKS}",
        "⠧ src",
    ),
    Case("codex", "after-a-command", "thinking", "empty", f"• Ran make test\n  └ ok\n\n{CODEX_WORKS}", "⠧ src"),
    Case("codex", "words-of-an-answer", "thinking", "empty", f"• Running out of ideas\n\n{CODEX_EMPTY}", "⠧ src"),
    Case("codex", "permission", "blocked:permission", "absent", CODEX_DIALOG, "⠧ src"),
    Case("codex", "permission-title", "blocked:permission", "empty", CODEX_EMPTY, "[ ! ] Action Required | src"),
    Case(
        "codex", "hooks", "blocked:hooks", "absent", "Hooks need review\n\n› 1. Review hooks\n  2. Trust all\n", "src"
    ),
    Case(
        "codex",
        "trust",
        "blocked:trust",
        "absent",
        "Folder access\nTrust this folder?\n› 1. Trust and continue\n",
        "src",
    ),
    Case("codex", "menu", "blocked:dialog", "absent", "Update available\n› 1. Update now\n  2. Skip\n", "src"),
    Case("codex", "startup", "unknown", "absent", "", ""),
    Case(
        "gemini",
        "idle",
        "idle",
        "empty",
        "\n >   Type your message or @path/to/file\n\n ~/src\n",
        "◇  Ready (src)     ",
    ),
    Case("gemini", "idle-yolo", "idle", "empty", "\n *   Type your message or @path/to/file\n", "◇  Ready (src)"),
    Case("gemini", "draft", "idle", "draft", " >   half a thou\n     ght\n\n ~/src\n", "◇  Ready (src)"),
    Case(
        "gemini",
        "busy",
        "thinking",
        "empty",
        "⠏ Thinking (esc to cancel, 3s)\n >   Type your message or @path/to/file\n",
        "✦  Working… (src)",
    ),
    Case("gemini", "permission", "blocked:permission", "absent", GEMINI_DIALOG, "✋  Action Required (src)"),
    Case("gemini", "permission-late-title", "blocked:permission", "absent", GEMINI_DIALOG, "◇  Ready (src)"),
    Case("gemini", "startup", "unknown", "absent", "", "host"),
    Case("opencode", "idle", "idle", "empty", OPENCODE_EMPTY, "OC | retries"),
    Case(
        "opencode",
        "first",
        "idle",
        "empty",
        OPENCODE_EMPTY.replace("┃\n  ┃\n  ┃\n", '┃\n  ┃  Ask anything… "Fix it"\n  ┃\n'),
        "OpenCode",
    ),
    Case(
        "opencode", "draft", "idle", "draft", OPENCODE_EMPTY.replace("┃\n  ┃\n  ┃\n", "┃\n  ┃  half\n  ┃\n"), "OpenCode"
    ),
    Case("opencode", "busy", "thinking", "empty", f"{OPENCODE_EMPTY} ⬝⬝■  esc interrupt\n", "OC | retries"),
    Case(
        "opencode",
        "permission",
        "blocked:permission",
        "absent",
        "  △ Permission required\n\n   Allow once   Allow always   Reject\n",
        "OC | x",
    ),
    Case("opencode", "startup", "unknown", "absent", "", "host"),
    *(
        Case("aider", what, "idle", composer, screen, "host", "python3", "prompt")
        for what, composer, screen in (
            ("idle", "empty", "Aider v0.86.2\nRepo-map: using 1024 tokens\n>\n"),
            ("idle-mode", "empty", "Aider v0.86.2\narchitect>\n"),
            ("idle-files", "empty", f"{RULE}\na.py b.py\n>\n"),
            ("idle-again", "empty", f"{RULE}\n>\n{RULE}\n>\n"),
            ("draft", "draft", f"{RULE}\n> half\n"),
            ("draft-ending-empty", "draft", f"{RULE}\n> half\n>\n"),
        )
    ),
    Case("aider", "multi", "thinking", "absent", f"Aider v0.86.2\n{RULE}\nask multi>\n", "host", "python3", "prompt"),
    Case("aider", "completions", "thinking", "absent", f"{RULE}\n> /a\n  /add  /ask\n", "host", "python3", "prompt"),
    Case("aider", "looks-idle", "thinking", "empty", f"{RULE}\n>\n", "host", "python3"),
    Case("aider", "busy", "thinking", "absent", "> fix it\n\nThe retry\n", "host", "python3"),
    Case("aider", "answered", "thinking", "absent", "Run? (Y)es/(N)o [Yes]: y\nRunning make\n", "host", "python3"),
    *(
        Case("aider", what, "blocked:permission", "absent", f"> fix it\n{question}\n", "host", "python3")
        for what, question in {
            "confirm": "Add a.py to the chat? (Y)es/(N)o/(D)on't ask again [Yes]:",
            "confirm-group": "Run shell commands? (Y)es/(N)o/(S)kip all/(D)on't ask again [Yes]:",
            "confirm-wrapped": "Run shell command? (Y)es/(N)o/(D)on't ask ag\nain [Yes]:",
            "confirm-half-answered": "Run shell command? (Y)es/(N)o/(D)on't ask again [Yes]: n",
            "confirm-again": "(Y)es/(N)o [Yes]: x\nPlease answer with one of: yes, no\nRun? (Y)es/(N)o [Yes]:",
        }.items()
    ),
    Case("aider", "startup", "unknown", "absent", "", "host", "python3"),
    Case("pi", "idle", "idle", "empty", f"pi v0.87.1\n\n{RULE}\n\n{RULE}\n{PI_FOOTER}", "π - src"),
    Case("pi", "draft", "idle", "draft", f"pi v0.87.1\n\n{RULE}\nhalf\n{RULE}\n{PI_FOOTER}", "π - src"),
    Case("pi", "busy", "thinking", "empty", f"⠋ Working...\n{RULE}\n\n{RULE}\n{PI_FOOTER}", "π - src"),
    Case("pi", "startup", "unknown", "absent", "", "host"),
    Case("demo", "idle", "idle", "empty", "demo agent\n\n›\n", "demo · idle"),
    Case("demo", "draft", "idle", "draft", "demo agent\n\n› half\n", "demo · idle"),
    Case("demo", "busy", "thinking", "empty", "› earlier\n\n›\n", "demo · thinking"),
    Case("demo", "tool", "tool:search", "empty", "searching\n›\n", "demo · tool:search"),
    Case("demo", "startup", "starting", "absent", "", "demo · starting"),
    Case("demo", "foreign-title", "unknown", "empty", "›\n", "host"),
    Case("shell", "idle", "idle", "absent", "$\n", "host", "bash"),
    Case("shell", "login", "idle", "absent", "$\n", "host", "-zsh"),
    Case("shell", "busy", "tool:make", "absent", "$ make\n", "host", "make"),
    Case("command", "running", "unknown", "absent", "listening\n", "host", "python3"),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.agent}-{case.what}" for case in CASES])
def test_screen_is_read(case: Case) -> None:
    """Each known screen gives its status and what stands in its composer."""
    profile = PROFILES[case.agent]
    assert detect(profile, Surface(case.title, case.command, case.terminal), case.screen).text == case.status
    assert composer(profile, case.screen).kind == case.composer


@pytest.mark.parametrize("agent", sorted(PROFILES))
def test_dead_program_is_exited(agent: str) -> None:
    """Whatever the last screen shows, a dead program is exited, with its code when that is known."""
    for case in (one for one in CASES if one.agent == agent):
        dead = Surface(case.title, case.command, is_dead=True, exit_status=137)
        assert detect(PROFILES[agent], dead, case.screen).text == "exited:137"
        assert not is_ready(PROFILES[agent], dead, case.screen)
    assert detect(PROFILES[agent], Surface(is_dead=True), "").text == "exited:?"


@pytest.mark.parametrize("agent", ["claude", "codex", "gemini", "opencode", "aider", "pi", "demo"])
def test_unknown_before_the_first_ready_is_starting(agent: str) -> None:
    """An unknown screen of an agent that was never ready is starting; an idle one makes it ready."""
    profile = PROFILES[agent]
    assert detect(profile, Surface("host"), "", was_ready=False).text == "starting"
    idle = next(case for case in CASES if case.agent == agent and case.what.startswith(("idle", "first")))
    assert is_ready(profile, Surface(idle.title, terminal=idle.terminal), idle.screen)
    assert not is_ready(profile, Surface("host"), "")


def test_dialog_beats_starting() -> None:
    """A dialog at start-up is shown as blocked, not as starting."""
    assert detect(PROFILES["claude"], Surface(), CLAUDE_DIALOG, was_ready=False).text == "blocked:permission"


def test_draft_is_given_as_painted() -> None:
    """The text of a draft is returned; wrapped or framed, it squashes to the same."""
    assert composer(PROFILES["demo"], "› half a thought\n") == Composer("draft", "half a thought")
    assert squash("│ half a │\n│ thought │") == squash("half a thought")
    assert one_line("│ half a │\n│ thought │") == "half a thought"


def test_state_is_the_part_before_the_colon() -> None:
    """`tool:search` is of state tool."""
    assert Status("tool:search").state == "tool"


_LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from([line for case in CASES for line in case.screen.split("\n")]),
    ),
    max_size=40,
)
_TITLES = st.one_of(st.text(max_size=20), st.sampled_from([case.title for case in CASES]))
_QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)


@_QUICK
@given(st.sampled_from(sorted(PROFILES)), _TITLES, st.text(max_size=10), _LINES)
def test_any_screen_is_read_without_error(agent: str, title: str, command: str, lines: list[str]) -> None:
    """Arbitrary screens give one of the known states, and a draft only with text."""
    screen = "\n".join(lines)
    status = detect(PROFILES[agent], Surface(title, command), screen)
    assert status.state in ("starting", "idle", "thinking", "tool", "blocked", "unknown")
    found = composer(PROFILES[agent], screen)
    assert (found.kind == "draft") == bool(squash(found.text))


_DIALOGS = [case for case in CASES if case.status.startswith("blocked:") and case.what != "permission-title"]


@_QUICK
@given(st.sampled_from(_DIALOGS), _TITLES, _LINES, st.integers(0, 5))
def test_a_dialog_on_the_screen_is_never_idle(case: Case, title: str, above: list[str], blanks: int) -> None:
    """Whatever the title says and whatever stands above, an open dialog is blocked."""
    screen = "\n".join([*above, case.screen]) + "\n" * blanks
    assert detect(PROFILES[case.agent], Surface(title), screen).state == "blocked"
