"""What the rig must know of each agent: its isolated configuration, how it is made to ask for a permission, and what
its present profile can do. Everything is below the test's own HOME."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.real.model_server import Shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent program.

    Attributes:
        configure: Writes its configuration below HOME for a model at a URL and a project; returns the environment
            that the layout gives it.
        dialog: Makes the tool call, or the suggestion, of a command that it asks about; None when it never asks.
        approve: tmux keys that answer the dialog with its first choice, yes.
        tells_tools: Whether its profile can tell a running tool from thinking.
        draft_holds: Whether a person's draft holds messages; opencode's server takes them beside it.
        offers_tools: False when its requests to the model name no tools.
        runs_commands: False when it runs none of ours before a person says Yes.
        answers_by_turn: Whether its profile can tell a turn's last words, so that they answer an ask.
        distrusts_tmp: Whether it takes no settings from below a directory that others may write to.
        settings: Further settings of its peer in the layout, for which `variant` names it in the tests.
    """

    name: str
    configure: Callable[[Path, Path, str], dict[str, str]]
    dialog: Callable[[str], Shell] | None = Shell
    approve: tuple[str, ...] = ("Enter",)
    tells_tools: bool = False
    draft_holds: bool = True
    offers_tools: bool = True
    runs_commands: bool = True
    answers_by_turn: bool = False
    distrusts_tmp: bool = False
    settings: Json = field(default_factory=dict)
    variant: str = ""

    @property
    def id(self) -> str:
        """Its name in the tests."""
        return self.variant or self.name


def _write(file: Path, content: str | Json) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))


def _claude(home: Path, project: Path, url: str) -> dict[str, str]:
    key = "scripted-model-key-00000000"
    seed = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "customApiKeyResponses": {"approved": [key[-20:]]},
        "projects": {str(project): {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}},
    }
    _write(home / "claude" / ".claude.json", seed)
    return {
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": key,
        "CLAUDE_CODE_TMPDIR": str(home / "tmp"),
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
    }


def _codex(home: Path, project: Path, url: str) -> dict[str, str]:
    config = f"""
model = "scripted"
model_provider = "scripted"
check_for_update_on_startup = false
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "SCRIPTED_KEY"
requires_openai_auth = false
supports_websockets = false
[analytics]
enabled = false
[projects."{project}"]
trust_level = "trusted"
"""
    _write(home / "codex" / "config.toml", config)
    return {"CODEX_HOME": str(home / "codex"), "SCRIPTED_KEY": "x"}


def _gemini(home: Path, project: Path, url: str) -> dict[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "model": {"name": "gemini-2.5-flash"},
    }
    _write(home / ".gemini" / "settings.json", settings)
    return {"GEMINI_API_KEY": "x", "GOOGLE_GEMINI_BASE_URL": url}


def _opencode(home: Path, project: Path, url: str) -> dict[str, str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "scripted",
        "options": {"baseURL": f"{url}/v1", "apiKey": "x"},
        "models": {"scripted": {"name": "scripted", "tool_call": True, "limit": {"context": 128000, "output": 4096}}},
    }
    settings = {
        "provider": {"scripted": provider},
        "model": "scripted/scripted",
        "small_model": "scripted/scripted",
        "autoupdate": False,
        "share": "disabled",
        # By default it asks about nothing in the project.
        "permission": {"bash": {"*": "allow", "touch *": "ask"}},
    }
    _write(home / "config" / "opencode" / "opencode.json", settings)
    return {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }


def _pi(home: Path, project: Path, url: str) -> dict[str, str]:
    model = {"id": "scripted", "name": "scripted", "contextWindow": 128000, "maxTokens": 4096}
    provider = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "x", "models": [model]}
    _write(home / "pi" / "models.json", {"providers": {"scripted": provider}})
    _write(home / "pi" / "settings.json", {"defaultProvider": "scripted", "defaultModel": "scripted"})
    return {
        "PI_CODING_AGENT_DIR": str(home / "pi"),
        "PI_OFFLINE": "1",
        "PI_SKIP_VERSION_CHECK": "1",
        "PI_TELEMETRY": "0",
    }


def _aider(home: Path, project: Path, url: str) -> dict[str, str]:
    return {
        "AIDER_MODEL": "openai/scripted",
        # In its format "whole" a suggested command is not offered to run.
        "AIDER_EDIT_FORMAT": "diff",
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": "x",
        "AIDER_SHOW_MODEL_WARNINGS": "false",
        "AIDER_SHOW_RELEASE_NOTES": "false",
        "AIDER_ANALYTICS": "false",
        "AIDER_GIT": "false",
        "AIDER_GITIGNORE": "false",
        "AIDER_MAP_TOKENS": "0",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def _escalated(command: str) -> Shell:
    return Shell(command, is_escalated=True)


AGENTS = (
    Agent("claude", _claude, tells_tools=True, answers_by_turn=True),
    Agent("codex", _codex, dialog=_escalated, tells_tools=True, answers_by_turn=True),
    Agent(
        "codex",
        _codex,
        dialog=_escalated,
        tells_tools=True,
        answers_by_turn=True,
        settings={"trust": True},
        variant="trusted-codex",
    ),
    Agent("gemini", _gemini, tells_tools=True, answers_by_turn=True, distrusts_tmp=True),
    Agent("opencode", _opencode, tells_tools=True, draft_holds=False, answers_by_turn=True),
    Agent("pi", _pi, dialog=None, tells_tools=True, answers_by_turn=True),
    Agent("aider", _aider, offers_tools=False, runs_commands=False),
)
