"""How each real agent looks, as data: titles and screens written after the measured marks of each.

A screen is a template of rows: `{talk}` are the messages taken so far, `{composer}` the composer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RULE = "─" * 60


@dataclass(frozen=True, slots=True)
class Skin:
    """One agent's look and manners.

    Attributes:
        titles: State → title; a state that is missing leaves the title as it was.
        screen: The screen with a composer; `{busy}` is `busy` while a turn runs.
        dialog: The screen while a permission is asked for.
        first, more: What stands before the first and the other rows of the composer.
        approves: The keys that approve in the dialog.
        marker: What the composer shows for a long paste; None shows its first line and a count.
        limit: From how many characters on a paste is long.
        events: Moment, in the words of claude → the agent's hook event and what its payload says besides.
        newline_s: How long after a paste Enter is a newline.
        quiet_s: How long a turn runs before the screen shows it.
        osc7501: Whether it tells its state as OSC 7501.
        queue: What it shows over the prompts that it queues, and joins, while it looks ready and is not.
        edits_line: Whether its terminal is in the mode of a line editor, and in the ordinary one while it works.
    """

    screen: str
    titles: dict[str, str] = field(default_factory=dict)
    dialog: str = ""
    busy: str = ""
    first: str = ""
    more: str = ""
    placeholder: str = ""
    approves: str = "\r"
    marker: str | None = None
    limit: int = 1000
    events: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    newline_s: float = 0.0
    quiet_s: float = 0.0
    osc7501: bool = False
    queue: str = ""
    edits_line: bool = False


def _same(*events: str) -> dict[str, tuple[str, dict[str, str]]]:
    return {event: (event, {}) for event in events}


_CLAUDE = Skin(
    titles=dict.fromkeys(("idle", "thinking", "blocked"), "✳ Claude Code"),
    screen=f"╭─ Claude Code ─╮\n\n{{talk}}\n\n{RULE}\n{{composer}}\n{RULE}\n  ? for shortcuts{{busy}}",
    busy=" · esc to interrupt",
    dialog=f"{{talk}}\n● Bash(rm -rf build)\n{RULE}\n Bash command\n\n   rm -rf build\n\n Do you want to proceed?\n"
    " ❯ 1. Yes\n   2. Yes, and don't ask again\n   3. No\n\n Esc to cancel · Tab to amend",
    first="❯\u00a0",
    more="  ",
    approves="\r123",
    marker="[Pasted text #1 +{lines} lines]",
    events=_same("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PermissionRequest", "Stop"),
    quiet_s=0.3,
)

_CODEX = Skin(
    titles={"idle": "src", "thinking": "⠹ src", "blocked": "[ ! ] Action Required | src"},
    screen="{talk}\n\n{busy}\n\n{composer}\n\n  ? for shortcuts",
    busy="• Working (12s • esc to interrupt)",
    dialog="{talk}\n\n• Running touch x\n\n  Would you like to run the following command?\n\n  $ touch /tmp/x\n\n"
    "› 1. Yes, proceed (y)\n  2. Yes, and don't ask again (p)\n  3. No (esc)\n\n"
    "  Press enter to confirm or esc to cancel",
    first="› ",
    more="  ",
    placeholder="Ask Codex to do anything",
    approves="\r12yp",
    marker="[Pasted Content {chars} chars]",
    events=_same("UserPromptSubmit", "PreToolUse", "PostToolUse", "PermissionRequest", "Stop"),
    osc7501=True,
)

_GEMINI = Skin(
    titles={
        "idle": "◇  Ready (src)        ",
        "thinking": "✦  Working… (src)     ",
        "blocked": "✋  Action Required (src)",
    },
    screen="{talk}\n\n{busy}{queue}\n{composer}\n\n ~/src   no sandbox",
    busy="⠏ Thinking (esc to cancel, 3s)",
    dialog="{talk}\n│ ?  Shell touch x\n│ Allow execution of [touch]?\n│\n│ ● 1. Allow once\n│   2. Allow always\n"
    "│   3. No",
    first=" >   ",
    more="     ",
    placeholder="Type your message or @path/to/file",
    approves="\r12",
    marker="[Pasted Text: {lines} lines]",
    events={
        "UserPromptSubmit": ("BeforeAgent", {}),
        "PreToolUse": ("BeforeTool", {}),
        "PostToolUse": ("AfterTool", {}),
        "PermissionRequest": ("Notification", {"notification_type": "ToolPermission"}),
        "Stop": ("AfterAgent", {}),
    },
    newline_s=0.05,
    queue="  Queued (press ↑ to edit):",
)

_OPENCODE = Skin(
    titles=dict.fromkeys(("idle", "thinking", "blocked"), "OC | retries"),
    screen="{talk}\n\n  ┃\n{composer}\n  ┃\n  ┃  Build  some-model\n  ╹▀▀▀▀▀▀\n{busy}   tab agents  ctrl+p commands",
    busy=" ⬝⬝■  esc interrupt",
    dialog="{talk}\n  △ Permission required\n\n   Allow once   Allow always   Reject",
    first="  ┃  ",
    more="  ┃  ",
    placeholder='Ask anything… "Fix it"',
    marker="[Pasted ~{lines} lines]",
)

_PI = Skin(
    titles=dict.fromkeys(("idle", "thinking"), "π - src"),
    screen=f"pi v0.87.1\n\n{{talk}}\n{{busy}}\n{RULE}\n{{composer}}\n{RULE}\n~/src\n0.0%/1.0M (auto)   some-model",
    busy="⠋ Working...",
)

SKINS = {
    "claude": _CLAUDE,
    "codex": _CODEX,
    "gemini": _GEMINI,
    "opencode": _OPENCODE,
    "pi": _PI,
    "atomic": _PI,
    "demo": Skin(
        titles={"starting": "demo · starting", "idle": "demo · idle", "thinking": "demo · thinking"},
        screen="demo agent\n{talk}\n\n{composer}",
        first="› ",
        more="  ",
    ),
    "aider": Skin(
        screen=f"Aider v0.86.2\nRepo-map: using 1024 tokens\n{{talk}}\n{{busy}}\n{RULE}\n{{composer}}",
        dialog="{talk}\nAdd a.py to the chat? (Y)es/(N)o/(D)on't ask again [Yes]:",
        first="> ",
        more="> ",
        approves="\ry",
        edits_line=True,
    ),
    "shell": Skin(screen="{talk}\n{composer}", first="$ "),
    "command": Skin(screen="listening\n{composer}"),
}
"""Every bundled profile has one."""
