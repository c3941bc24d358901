"""What a profile becomes for one peer."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.agents import launch as launching
from intercom_mux.agents.find import load_profiles
from intercom_mux.agents.late import fill, needs, shown
from intercom_mux.agents.launch import Facts, Launch, launch, reply_channel

if TYPE_CHECKING:
    from pathlib import Path

BUNDLED = load_profiles([])
NASTY = 'it\'s "q" \\ {model} ${HOME} ü\n/next'


def started(name: str, **values: Any) -> Launch:
    facts: dict[str, Any] = {"name": "bob", "role": "worker", "cwd": "/src", "binary": "/usr/bin/x", "briefing": "You."}
    facts |= {"team": "shop", "team_id": "shop-1", "index": "2", "session": "12345678-bob"}
    facts |= {"identity": "/run/bob.identity", "dir": "/run/bob.d"}
    return launch(BUNDLED[name], Facts(**(facts | values)))


def of_codex(argv: tuple[str, ...]) -> dict[str, Any]:
    """Return what the `-c` options of a codex command line set, read as codex reads them: as TOML."""
    return tomllib.loads("\n".join(value for flag, value in pairwise(argv) if flag == "-c"))


@pytest.fixture(autouse=True)
def sdk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The MCP SDK counts as installed unless a test says otherwise."""
    monkeypatch.setattr(launching, "has_mcp", lambda: getattr(request, "param", True))


def test_optional_groups_vanish_without_a_value() -> None:
    """`--model` and the prompt are passed only when they are given, the prompt last."""
    assert "--model" not in started("claude").argv
    full = started("claude", prompt="read the README", model="sonnet").argv
    assert full[full.index("--model") + 1] == "sonnet"
    assert full[-1] == "read the README"


def test_demo_runs_isolated_on_our_own_python() -> None:
    """The embedded agent is started by module with our interpreter and needs no binary."""
    expected = (sys.executable, "-I", "-m", "intercom_mux.agents.demo", "--name", "bob", "--role", "worker")
    assert started("demo").argv == expected
    assert started("demo", prompt="hi").argv[-2:] == ("--prompt", "hi")


def test_values_are_never_expanded_twice() -> None:
    """A prompt that holds a placeholder is passed as it is."""
    assert started("demo", prompt="{model} {port}").argv[-1] == "{model} {port}"


def test_claude_is_wired_by_files_of_its_launch() -> None:
    """Its hooks call us by their event, its tools are always loaded, and only our messaging is pre-allowed."""
    claude = started("claude")
    hooks = json.loads(claude.files["settings.json"])["hooks"]
    assert set(hooks) == set(BUNDLED["claude"].hooks.events)  # type: ignore[union-attr]  # it has hooks
    for event, entries in hooks.items():
        assert entries[0]["hooks"][0]["command"] == f"{launching.our_command()} hook claude {event}"
    server = json.loads(claude.files["mcp.json"])["mcpServers"]["intercom"]
    assert (server["args"], server["alwaysLoad"]) == (["mcp"], True)
    assert server["env"] == {"INTERCOM_MUX_IDENTITY": "/run/bob.identity"}
    allowed = ",".join(word for word in claude.argv if word.startswith("--allowedTools="))
    assert "mcp__intercom" in allowed
    assert not [verb for verb in ("up", "down", "spawn", "kill", "restart") if f"intercom-mux {verb}:" in allowed]


def test_claude_is_told_of_trust_for_its_start_alone() -> None:
    """A variable of its start answers the question about the directory, only when the layout trusts it."""
    asks = started("claude")
    trusted = started("claude", trust=True)
    assert trusted.env == asks.env | {"CLAUDE_CODE_SANDBOXED": "1"}
    assert (trusted.argv, trusted.files) == (asks.argv, asks.files)


def test_codex_is_wired_by_its_command_line() -> None:
    """Its turn ends call us, our tools need no dialog and get the identity; hooks and trust only when it is trusted."""
    options = of_codex(started("codex", briefing=NASTY).argv)
    assert options["notify"][1:] == ["hook", "codex", "notify"]
    assert options["developer_instructions"] == NASTY
    server = options["mcp_servers"]["intercom"]
    assert server["env"] == {"INTERCOM_MUX_IDENTITY": "/run/bob.identity"}
    assert server["default_tools_approval_mode"] == "approve"
    assert not {"hooks", "projects"} & options.keys()
    assert started("codex").routes == ("queue", "paste")
    trusted = started("codex", trust=True, cwd='/a "b"')
    options = of_codex(trusted.argv)
    assert options["projects"] == {'/a "b"': {"trust_level": "trusted"}}
    assert set(options["hooks"]) == set(BUNDLED["codex"].hooks.events) - {"notify"}  # type: ignore[union-attr]
    assert (trusted.routes[0], "--dangerously-bypass-hook-trust" in trusted.argv) == ("hook", True)


def test_gemini_gets_a_settings_file_of_its_own() -> None:
    """Hooks and our server stand in a file that one variable names; the user's settings stay untouched."""
    gemini = started("gemini")
    settings = json.loads(gemini.files["settings.json"])
    assert gemini.env["GEMINI_CLI_SYSTEM_SETTINGS_PATH"] == "/run/bob.d/settings.json"
    assert set(settings["hooks"]) == set(BUNDLED["gemini"].hooks.events)  # type: ignore[union-attr]  # it has hooks
    assert settings["mcpServers"]["intercom"]["trust"] is True
    assert ("--skip-trust" in gemini.argv, "--skip-trust" in started("gemini", trust=True).argv) == (False, True)


def test_pi_gets_an_extension_that_calls_our_hooks() -> None:
    """It is named on the command line of this start alone, and tells every event that the profile reads."""
    pi = started("pi")
    script = pi.files["intercom-mux.js"]
    assert pi.argv[pi.argv.index("--extension") + 1] == "/run/bob.d/intercom-mux.js"
    assert f'spawn({json.dumps(launching.our_command())}, ["hook", "pi", event]' in script
    assert set(re.findall(r'tell\("(\w+)"', script)) == set(BUNDLED["pi"].hooks.events)  # type: ignore[union-attr]


@pytest.mark.parametrize("sdk", [False], indirect=True)
@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "opencode"])
def test_without_the_sdk_no_server_is_named(name: str) -> None:
    """An installation without MCP wires none, and tells the agent to answer by the command line."""
    peer = started(name)
    assert "mcp" not in " ".join([*peer.argv, *peer.env.values(), *peer.files.values()]).lower()
    assert reply_channel(BUNDLED[name]) == "cli"


def test_opencodes_port_and_password_come_when_it_starts() -> None:
    """Both are left open in the plan, the password in the environment alone, and filled in by the daemon."""
    peer = started("opencode", prompt="{port}")
    assert (needs(peer, "port"), needs(peer, "secret"), needs(started("claude"), "port")) == (True, True, False)
    late = {"port": "4199", "secret": "hush"}
    argv = [fill(word, late) for word in peer.argv]
    assert argv[argv.index("--port") + 1] == "4199"
    assert "hush" not in argv
    assert fill(peer.env["OPENCODE_SERVER_PASSWORD"], late) == "hush"
    assert argv[-1].endswith("{port}"), "what a user wrote is no placeholder"
    assert shown(peer.argv[peer.argv.index("--port") + 1]) == "{port}"


def test_pi_and_atomic_take_their_place_in_the_team() -> None:
    """They get their reserved id, and the supervisor's variables only where there is one; strangers' are removed."""
    alone = started("pi")
    assert alone.env == {"PI_INTERCOM_STABLE_ID": "12345678-bob"}
    assert "PI_SUBAGENT_ORCHESTRATOR_TARGET" in alone.unset
    led = started("atomic", supervisor="planner", supervisor_session="87654321-planner", scope="shop-1")
    assert led.env["PI_SUBAGENT_ORCHESTRATOR_TARGET"] == led.env["ATOMIC_SUBAGENT_ORCHESTRATOR_TARGET"] == "planner"
    assert led.env["PI_INTERCOM_SCOPE_ID"] == "shop-1"
    assert led.env["PI_SUBAGENT_CHILD_INDEX"] == "2"
    assert led.env["PI_SUBAGENT_RUN_ID"] == led.env["ATOMIC_SUBAGENT_RUN_ID"] == "shop-1"
    assert {"PI_SUBAGENT_CHILD", "PI_SUBAGENT_SUPERVISOR_CHANNEL_DIR"} <= set(led.unset)
    assert "ATOMIC_SUBAGENT_RUN_ID" in started("atomic").unset
    assert not set(led.unset) & set(led.env)


def test_profile_says_whether_it_takes_a_prompt() -> None:
    """Where argv has no place for the first prompt, the team must deliver it as a message."""
    assert BUNDLED["codex"].takes("prompt")
    assert not BUNDLED["aider"].takes("prompt")


def test_our_command_is_quoted_where_a_shell_reads_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path with blanks stays one word in a hook's command, and one value in JSON and TOML."""
    monkeypatch.setattr(launching, "our_command", lambda: "/my tools/intercom-mux")
    hooks = json.loads(started("claude").files["settings.json"])["hooks"]
    assert hooks["Stop"][0]["hooks"][0]["command"] == "'/my tools/intercom-mux' hook claude Stop"
    assert of_codex(started("codex").argv)["notify"][0] == "/my tools/intercom-mux"
