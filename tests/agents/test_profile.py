"""Profile files: what is accepted, what one makes of another, what is refused and where the fault is said to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from intercom_mux.agents.find import load_profiles
from intercom_mux.errors import LayoutError

if TYPE_CHECKING:
    from intercom_mux.agents.profile import Profile

BUNDLED = load_profiles([])


def read(home: Path, text: str, name: str = "mine", **others: str) -> Profile:
    """Return the profile `name` from a directory that holds it and `others`."""
    for stem, content in {name: text, **others}.items():
        (home / f"{stem}.yaml").write_text(content)
    return load_profiles([home])[name]


def test_every_profile_above_idle_has_its_dialogs() -> None:
    """A paste profile that `auto` may choose knows blocked screens, and they outrank idle."""
    for profile in (one for one in BUNDLED.values() if one.auto):
        states = [pattern.state for pattern in profile.status]
        assert "blocked" in states
        assert states.index("blocked") < states.index("idle")


def test_only_top_level_work_counts_for_claude() -> None:
    """Tools, ends and safe points of a sub-agent are none of the peer's."""
    hooks = BUNDLED["claude"].hooks
    assert hooks is not None
    assert "SubagentStop" not in hooks.events
    for name in ("PreToolUse", "PostToolUse", "Stop"):
        assert hooks.events[name].when == {"agent_id": None}


# -- one profile built on another ------------------------------------------------------------------------------------


def test_a_profile_extends_another(home: Path) -> None:
    """Mappings are merged, lists replaced, `args` appended, and a key without a value takes the inherited one away."""
    mine = read(
        home,
        "extends: codex\nargs: [--search, [--profile, '{model}']]\nenv: {A: b}\npaste: {settle_ms: 500}\n"
        "routes: [paste]\ninstall: ~\n",
    )
    codex = BUNDLED["codex"]
    assert [part.words for part in mine.argv[len(codex.argv) :]] == [("--search",), ("--profile", "{model}")]
    assert mine.argv[: len(codex.argv)] == codex.argv
    assert (mine.paste.settle_ms, mine.paste.pause_ms) == (500, codex.paste.pause_ms)
    assert (mine.routes, mine.install, mine.status) == (("paste",), None, codex.status)


def test_a_profile_of_the_same_name_builds_on_the_one_it_replaces(home: Path) -> None:
    """`extends` of its own name means the weaker place; a third may build on the result."""
    profile = read(home, "extends: claude\nargs: [--verbose]", "loud", claude="extends: claude\nenv: {A: '1'}")
    assert [one.name for one in profile.env][-1] == "A"
    assert profile.argv[-1].words == ("--verbose",)
    assert profile.path == home / "loud.yaml"


def test_args_of_every_step_are_appended(home: Path) -> None:
    """In a chain the arguments come in the order of the chain."""
    profile = read(home, "extends: b\nargs: [two]", "a", b="extends: shell\nargs: [one]")
    assert [part.words[0] for part in profile.argv] == ["{binary}", "one", "two"]


def test_a_circle_is_told_with_its_chain(home: Path) -> None:
    """Profiles that extend each other are refused, naming the way round."""
    with pytest.raises(LayoutError, match="extends: goes in a circle: a → b → a"):
        read(home, "extends: b", "a", b="extends: a")


def test_an_unknown_base_is_told(home: Path) -> None:
    """A misspelt base gets a guess; one that can only mean itself says so."""
    with pytest.raises(LayoutError, match=r'mine.yaml:1:1: extends: no profile is named "cluade" \(did you mean'):
        read(home, "extends: cluade")
    with pytest.raises(LayoutError, match='no profile is named "mine", but itself'):
        read(home, "extends: mine")


def test_a_fault_is_told_where_it_is_written(home: Path) -> None:
    """What was inherited is blamed on the file that wrote it."""
    with pytest.raises(LayoutError) as caught:
        read(home, "extends: base\ninstall: x", base="argv: []\nroutes: [inbox]\nready_timeout_s: soon\n")
    (problem,) = caught.value.fields["problems"]
    assert (Path(problem["path"]).name, problem["line"], problem["key"]) == ("base.yaml", 3, "ready_timeout_s")


# -- refusals --------------------------------------------------------------------------------------------------------

GOOD = "argv: []\nroutes: [inbox]\n"


class Refusal(NamedTuple):
    test_id: str
    text: str
    told: str
    """`line:column: key: problem` as it begins."""


REFUSALS = [
    Refusal("unknown-key", GOOD + "rout: x", '3:1: rout: unknown key (did you mean "routes"?)'),
    Refusal("no-route", "argv: []", "1:1: routes: is missing: name one or several of native, hook"),
    Refusal("near-route", "argv: []\nroutes: [past]", "2:1: routes: must be one of native, hook, http"),
    Refusal("not-a-mapping", "- a", "1:1: a profile is a mapping"),
    Refusal("empty", "", "1:1: a profile is a mapping"),
    Refusal("bad-yaml", "argv: [", "1:7: a value is expected here"),
    Refusal("twice", GOOD + "argv: []", '3:1: "argv" is written twice'),
    Refusal("wrong-type", "argv: x\nroutes: [inbox]", "1:1: argv: must be a list, not text"),
    Refusal(
        "bool-is-no-number", GOOD + "tool_timeout_s: true", "3:1: tool_timeout_s: must be a whole number, not true"
    ),
    Refusal("negative", GOOD + "paste: {settle_ms: -1}", "3:9: paste.settle_ms: must be from 0 to"),
    Refusal("placeholder", "argv: ['{nam}']\nroutes: [inbox]", "1:8: argv[0]: unknown placeholder {nam} (did you"),
    Refusal("optional-alone", "argv: ['{prompt}']\nroutes: [inbox]", "1:8: argv[0]: {prompt} may be absent"),
    Refusal("empty-group", "argv: [[]]\nroutes: [inbox]", "1:8: argv[0]: must be text, a list of texts, or {if"),
    Refusal("condition", "argv: [{if: mpc, words: [a]}]\nroutes: [inbox]", "1:8: argv[0]: if: must be one of mcp"),
    Refusal("file-path", GOOD + "files: {../x: a}", "3:9: files.../x: a file is named without a directory"),
    Refusal("file-number", GOOD + "files: {x: 3}", "3:9: files.x: must be text, {text: …} or {json: …}, not a whole"),
    Refusal("file-choice", GOOD + "files: {x: {json: {if: mcp}}}", "3:13: files.x.json: a choice is written {if: …"),
    Refusal("file-placeholder", GOOD + "files: {x: {json: [a, '{prot}']}}", "3:23: files.x.json[1]: unknown place"),
    Refusal(
        "env-number", GOOD + "env: {A: 1}", "3:7: env.A: must be text, {text: …} or {json: …}, not a whole number; qu"
    ),
    Refusal("binary-unused", GOOD + "binaries: [x]", "1:1: argv: binaries are listed but {binary}"),
    Refusal("binary-unlisted", "argv: ['{binary}']\nroutes: [inbox]", "1:1: argv: uses {binary} but lists no bin"),
    Refusal("bad-regex", GOOD + "status: [{state: idle, title: '('}]", "3:24: status[0].title: is not a regex"),
    Refusal("bad-state", GOOD + "status: [{state: idel, title: x}]", "3:11: status[0].state: must be one of blocked"),
    Refusal("no-evidence", GOOD + "status: [{state: idle}]", "3:10: status[0]: needs title, command or screen"),
    Refusal("nameless-block", GOOD + "status: [{state: blocked, title: x}]", "3:10: status[0].what: is needed"),
    Refusal("named-idle", GOOD + "status: [{state: idle, what: a, title: x}]", "3:24: status[0].what: means nothing"),
    Refusal(
        "idle-above-blocked",
        GOOD + "status: [{state: idle, title: x, priority: 950}, {state: blocked, what: a, title: y}]",
        "3:1: status: a blocked pattern must have a higher priority",
    ),
    Refusal("no-draft-group", GOOD + "composer: {pattern: x}", "3:12: composer.pattern: must be a regex with"),
    Refusal("hook-dialect", GOOD + "hooks: {output: cluade, events: {}}", "3:9: hooks.output: must be one of claude"),
    Refusal(
        "hook-tool",
        GOOD + "hooks: {output: claude, events: {Stop: {state: tool}}}",
        "3:34: hooks.events.Stop.what: is needed",
    ),
    Refusal("queue-message", GOOD + "queue: {argv: [x]}", "3:9: queue.argv: must have a place for {message}"),
    Refusal("paste-blind", "argv: []\nroutes: [paste]", "2:1: routes: paste needs an idle status pattern and a com"),
    Refusal("hook-without-hooks", "argv: []\nroutes: [hook, inbox]", "2:1: routes: hook needs hooks with an event"),
    Refusal("http-without-port", "argv: []\nroutes: [http]", "2:1: routes: http needs {port} in argv"),
    Refusal("queue-without-queue", "argv: []\nroutes: [queue]", "2:1: routes: queue needs queue"),
    Refusal("native-without-id", "argv: []\nroutes: [native]", "2:1: routes: native needs {session} in env"),
    Refusal("inbox-first", "argv: []\nroutes: [inbox, paste]", "2:1: routes: paste needs"),
    Refusal("route-twice", "argv: []\nroutes: [inbox, inbox]", "2:1: routes: names one twice"),
    Refusal(
        "secret-in-argv", "argv: ['--key={secret}']\nroutes: [inbox]", "1:1: argv: {secret} would stand in the pro"
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=[case.test_id for case in REFUSALS])
def test_faulty_profile_is_refused_with_its_place(home: Path, case: Refusal) -> None:
    """Every fault is reported with file, line, column and key."""
    with pytest.raises(LayoutError) as caught:
        read(home, case.text)
    assert caught.value.code == "E_PROFILE"
    assert f"mine.yaml:{case.told}" in caught.value.message


def test_all_faults_are_reported_at_once(home: Path) -> None:
    """One run shows every fault of a file."""
    with pytest.raises(LayoutError) as caught:
        read(home, "argv: ['{x}']\nroutes: [nowhere]\nextra: 1\n")
    assert [problem["line"] for problem in caught.value.fields["problems"]] == [1, 2, 3]
    assert caught.value.hint == "fix these lines, then: intercom-mux agents"


def test_unreadable_profile_is_named(home: Path) -> None:
    """A file that is no text is refused by name."""
    (home / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LayoutError, match=r"binary\.yaml:1:1: byte 0xff is not UTF-8 text"):
        load_profiles([home])["binary"]
