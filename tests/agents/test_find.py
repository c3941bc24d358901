"""From an agent's name to its profile and program."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from intercom_mux import config
from intercom_mux.agents.find import AUTO_ORDER, EMBEDDED, auto_order, load_profiles, origin, resolve
from intercom_mux.errors import IntercomError, LayoutError

if TYPE_CHECKING:
    from pathlib import Path

BUNDLED = load_profiles([])


def _which(*installed: str):  # type: ignore[no-untyped-def]  # a stand-in for shutil.which, typed by its use
    return lambda program: f"/usr/bin/{program}" if program in installed else None


def _user(home: Path, name: str, text: str) -> None:
    directory = home / "config" / "intercom-mux" / "agents"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.yaml").write_text(text)


def test_bundled_profiles_are_the_documented_ones() -> None:
    """The package ships the embedded agent, plain programs and the agents people use."""
    expected = {"demo", "shell", "command", "claude", "codex", "gemini", "opencode", "aider", "pi", "atomic"}
    assert set(BUNDLED) == expected
    assert set(AUTO_ORDER) <= expected


def test_user_profile_replaces_the_bundled_one(home: Path) -> None:
    """A file of the same name in the user's directory wins whole, without touching the others."""
    _user(home, "codex", "argv: [my-codex]\nroutes: [inbox]\n")
    profiles = load_profiles()
    assert profiles["codex"].argv[0].words == ("my-codex",)
    assert [origin(profiles[name]) for name in ("codex", "claude")] == ["user", "bundled"]
    assert profiles["claude"].argv == BUNDLED["claude"].argv


def test_auto_takes_the_first_installed_in_order() -> None:
    """`auto` follows the order given, and only profiles marked for it take part."""
    assert resolve("auto", _which("codex", "claude")).profile.name == "claude"
    assert resolve("auto", _which("codex", "claude"), order=("codex", "claude")).profile.name == "codex"
    assert resolve("auto", _which("aider", "pi")).profile.name == EMBEDDED


def test_auto_falls_back_to_the_demo_with_a_notice() -> None:
    """On a fresh machine the embedded agent runs, and the user is told what was looked for."""
    resolved = resolve("auto", _which())
    assert (resolved.profile.name, resolved.binary) == ("demo", None)
    assert resolved.notice == "no agent program found (looked for claude, codex); using the embedded demo agent"


def test_the_order_of_auto_is_configurable(home: Path) -> None:
    """`[agents] order` names the programs that auto looks for; without it the order is ours."""
    assert auto_order() == AUTO_ORDER
    config.config_file().parent.mkdir(parents=True)
    config.config_file().write_text('[agents]\norder = ["codex", "claude"]\n')
    assert auto_order() == ("codex", "claude")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[agents]\norder = 'codex'\n", "agents.order must be a list of names"),
        ("[agents]\nordr = []\n", "unknown key agents.ordr; did you mean order?"),
        ("[agent]\n", "unknown key agent; did you mean agents?"),
    ],
)
def test_a_faulty_order_is_told(home: Path, content: str, told: str) -> None:
    """What is misspelt in the configuration is refused with the key and a guess."""
    config.config_file().parent.mkdir(parents=True)
    config.config_file().write_text(content)
    with pytest.raises(IntercomError) as caught:
        auto_order()
    assert (caught.value.code, told in caught.value.message) == ("E_CONFIG", True)


def test_installed_agent_resolves_to_its_binary() -> None:
    """A named agent gives the path of its program and no notice."""
    resolved = resolve("gemini", _which("gemini"))
    assert (resolved.binary, resolved.notice) == ("/usr/bin/gemini", None)


def test_shell_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """`shell` is $SHELL when that exists, else a standard one."""
    monkeypatch.setenv("SHELL", shutil.which("sh") or "")
    assert resolve("shell").binary == shutil.which("sh")
    monkeypatch.setenv("SHELL", "/nowhere/fish")
    assert resolve("shell", _which("sh")).binary == "/usr/bin/sh"
    monkeypatch.delenv("SHELL")
    assert resolve("shell", _which("bash")).binary == "/usr/bin/bash"


def test_unknown_agent_suggests_the_nearest() -> None:
    """A misspelt agent is refused with the names that exist and a guess."""
    with pytest.raises(LayoutError, match="unknown agent 'cluade'") as caught:
        resolve("cluade")
    assert caught.value.hint == "did you mean 'claude'?"


def test_missing_program_says_how_to_install() -> None:
    """A known agent that is not installed names the program and the install command."""
    with pytest.raises(LayoutError, match="no codex on PATH") as caught:
        resolve("codex", _which())
    assert caught.value.hint == "install it with: npm install -g @openai/codex"
