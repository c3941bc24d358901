"""Profiles as data: what is accepted, what is refused, and which program an agent name means."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from intercom_mux.agents.profile import AUTO_ORDER, EMBEDDED, Profile, Resolved, load_profiles, render_argv, resolve
from intercom_mux.agents.profile_file import read_profile
from intercom_mux.errors import LayoutError

BUNDLED = load_profiles([])


def _which(*installed: str):  # type: ignore[no-untyped-def]  # a stand-in for shutil.which, typed by its use
    return lambda program: f"/usr/bin/{program}" if program in installed else None


def _argv(profile: Profile, **values: str) -> tuple[str, ...]:
    return render_argv(Resolved(profile, "/usr/bin/x"), name="bob", role="worker", cwd=Path("/src"), **values)


def test_bundled_profiles_are_the_documented_ones() -> None:
    """The package ships the embedded agent, plain programs and the measured agents."""
    expected = {"demo", "shell", "command", "claude", "codex", "gemini", "opencode", "aider", "pi"}
    assert set(BUNDLED) == expected
    assert set(AUTO_ORDER) <= expected


def test_every_profile_above_idle_has_its_dialogs() -> None:
    """A paste profile that `auto` may choose knows blocked screens, and they outrank idle."""
    for profile in (one for one in BUNDLED.values() if one.auto):
        states = [pattern.state for pattern in profile.status]
        assert "blocked" in states
        assert states.index("blocked") < states.index("idle")


def test_optional_groups_vanish_without_a_value() -> None:
    """`--model` and the prompt are passed only when they are given, the prompt last."""
    claude = BUNDLED["claude"]
    assert "--model" not in _argv(claude)
    full = _argv(claude, prompt="read the README", model="sonnet")
    assert full[full.index("--model") + 1] == "sonnet"
    assert full[-1] == "read the README"


def test_demo_runs_isolated_on_our_own_python() -> None:
    """The embedded agent is started by module with our interpreter and needs no binary."""
    expected = (sys.executable, "-I", "-m", "intercom_mux.agents.demo", "--name", "bob", "--role", "worker")
    assert _argv(BUNDLED["demo"]) == expected
    assert _argv(BUNDLED["demo"], prompt="hi")[-2:] == ("--prompt", "hi")


def test_values_are_never_expanded_twice() -> None:
    """A prompt that holds a placeholder is passed as it is."""
    assert _argv(BUNDLED["demo"], prompt="{model} {binary}")[-1] == "{model} {binary}"


def test_profile_says_whether_it_takes_a_prompt() -> None:
    """Where argv has no place for the first prompt, the team must deliver it as a message."""
    assert BUNDLED["codex"].takes("prompt")
    assert not BUNDLED["aider"].takes("prompt")


def test_user_profile_replaces_the_bundled_one(home: Path) -> None:
    """A file of the same name in the user's directory wins, without touching the others."""
    directory = home / "config" / "intercom-mux" / "agents"
    directory.mkdir(parents=True)
    (directory / "codex.yaml").write_text("argv: [my-codex]\nroute: inbox\n")
    profiles = load_profiles()
    assert profiles["codex"].argv == ("my-codex",)
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


class Refusal(NamedTuple):
    test_id: str
    text: str
    problem: str


REFUSALS = [
    Refusal("unknown-key", "argv: []\nroute: inbox\nrout: x", "rout: unknown key; did you mean route?"),
    Refusal("no-route", "argv: []", "route: must be one of paste, inbox"),
    Refusal("near-route", "argv: []\nroute: past", "route: must be one of paste, inbox; did you mean paste?"),
    Refusal("not-a-mapping", "- a", "must be a mapping"),
    Refusal("bad-yaml", "argv: [", "while parsing"),
    Refusal("wrong-type", "argv: x\nroute: inbox", "argv: must be list, not str"),
    Refusal(
        "bool-is-no-number", "argv: []\nroute: inbox\ntool_timeout_s: true", "tool_timeout_s: must be int, not bool"
    ),
    Refusal("negative", "argv: []\nroute: inbox\npaste: {settle_ms: -1}", "paste.settle_ms: must be between 0 and"),
    Refusal(
        "placeholder",
        "argv: ['{nam}']\nroute: inbox",
        "argv[0]: unknown placeholder {nam}; did you mean {name}?".replace("{name}?", "name?"),
    ),
    Refusal("optional-alone", "argv: ['{prompt}']\nroute: inbox", "argv[0]: {prompt} may be absent"),
    Refusal("empty-group", "argv: [[]]\nroute: inbox", "argv[0]: must be text or a list of texts"),
    Refusal("binary-unused", "argv: [x]\nbinaries: [x]\nroute: inbox", "argv: binaries are listed but {binary}"),
    Refusal("binary-unlisted", "argv: ['{binary}']\nroute: inbox", "argv: uses {binary} but lists no binaries"),
    Refusal("env-number", "argv: []\nroute: inbox\nenv: {A: 1}", "env: names and values must be text"),
    Refusal(
        "bad-regex", "argv: []\nroute: inbox\nstatus: [{state: idle, title: '('}]", "status[0].title: is not a regex"
    ),
    Refusal("bad-state", "argv: []\nroute: inbox\nstatus: [{state: idel, title: x}]", "did you mean idle?"),
    Refusal(
        "no-evidence", "argv: []\nroute: inbox\nstatus: [{state: idle}]", "status[0]: needs title, command or screen"
    ),
    Refusal(
        "nameless-block", "argv: []\nroute: inbox\nstatus: [{state: blocked, title: x}]", "status[0].what: is needed"
    ),
    Refusal(
        "named-idle",
        "argv: []\nroute: inbox\nstatus: [{state: idle, what: a, title: x}]",
        "what: means nothing for idle",
    ),
    Refusal(
        "idle-above-blocked",
        "argv: []\nroute: inbox\nstatus: [{state: idle, title: x, priority: 950}, {state: blocked, what: a, title: y}]",
        "a blocked pattern must have a higher priority",
    ),
    Refusal(
        "no-draft-group", "argv: []\nroute: inbox\ncomposer: {pattern: x}", "composer.pattern: must be a regex with"
    ),
    Refusal("paste-blind", "argv: []\nroute: paste", "route: paste needs an idle status pattern and a composer"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=[case.test_id for case in REFUSALS])
def test_faulty_profile_is_refused_with_its_place(home: Path, case: Refusal) -> None:
    """Every fault is reported with the file and the key it stands at."""
    file = home / "broken.yaml"
    file.write_text(case.text)
    with pytest.raises(LayoutError) as caught:
        read_profile(file)
    assert caught.value.code == "E_PROFILE"
    assert str(file) in caught.value.message
    assert case.problem in " | ".join(caught.value.fields["problems"])


def test_all_faults_are_reported_at_once(home: Path) -> None:
    """One run shows every fault of a file."""
    file = home / "broken.yaml"
    file.write_text("argv: ['{x}']\nroute: nowhere\nextra: 1\n")
    with pytest.raises(LayoutError) as caught:
        read_profile(file)
    assert len(caught.value.fields["problems"]) == 3


def test_unreadable_profile_is_named(home: Path) -> None:
    """A file that is no text is refused by name."""
    file = home / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LayoutError, match=str(file)):
        read_profile(file)
