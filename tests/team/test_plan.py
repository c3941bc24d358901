"""Planning: every fault before anything starts, and data that says exactly what will run."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux import paths
from intercom_mux.agents.find import load_profiles
from intercom_mux.agents.profile import Words
from intercom_mux.errors import LayoutError
from intercom_mux.layout.model import NAME_PATTERN
from intercom_mux.team.peer_files import complete, keep_profiles, team_profiles
from intercom_mux.team.plan import PeerPlan, TeamPlan
from intercom_mux.team.planner import make_plan
from intercom_mux.team.state import session_id
from tests.team.stage import CAT, Stage

BRIEFED = {"demo": {"extends": "demo", "args": ["{briefing}"]}}

pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def planned(home: Path, peers: dict[str, Any], *, agent: str | None = None, **more: Any) -> TeamPlan:
    stage = Stage(home, f"team-{len(list(home.iterdir()))}")
    stage.write(peers, **more)
    return make_plan(stage.load(), agent=agent)


# -- preflight -----------------------------------------------------------------------------------------------------


def test_every_fault_is_told_at_once_with_its_place(home: Path) -> None:
    """A missing directory, a missing program and an agent that is not installed make one error."""
    stage = Stage(home)
    stage.layout.write_text(
        "version: 1\n"
        "name: team\n"
        "peers:\n"
        "  lost: {command: [cat], cwd: no/where}\n"
        "  gone: {command: [no-such-program, --fast]}\n"
        "  local: {command: [./tool.sh]}\n"
        "  absent: {agent: aider}\n"
        "  fine: {command: [cat]}\n"
    )
    with pytest.raises(LayoutError) as caught:
        make_plan(stage.load())
    found = {problem["key"]: problem for problem in caught.value.fields["problems"]}
    assert [(key, found[key]["line"]) for key in found] == [
        ("peers.lost", 4),
        ("peers.gone", 5),
        ("peers.local", 6),
        ("peers.absent", 7),
    ]
    assert str(stage.project / "no/where") in found["peers.lost"]["problem"]
    assert "no-such-program" in found["peers.gone"]["problem"]
    assert "./tool.sh" in found["peers.local"]["problem"]
    assert "no aider on PATH" in found["peers.absent"]["problem"]
    for problem in found.values():
        assert f"layout.yaml:{problem['line']}:{problem['column']}: {problem['key']}" in caught.value.message
    assert not paths.state_dir().exists()


def test_a_command_is_looked_up_where_it_will_run(home: Path) -> None:
    """A relative program is one of the peer's directory, and a PATH of the peer's own is the one that counts."""
    tools = home / "tools"
    tools.mkdir()
    tool = tools / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    planned(
        home, {"a": {"command": ["./tool"], "cwd": str(tools)}, "b": {"command": ["tool"], "env": {"PATH": str(tools)}}}
    )
    tool.chmod(0o644)
    with pytest.raises(LayoutError, match=r"2 problems"):
        planned(
            home,
            {"a": {"command": ["./tool"], "cwd": str(tools)}, "b": {"command": ["tool"], "env": {"PATH": str(tools)}}},
        )


# -- what is decided -----------------------------------------------------------------------------------------------


def test_the_plan_says_exactly_what_runs(home: Path) -> None:
    """Commands stay as they are, agents become command lines, directories are absolute, the socket is private."""
    reference = home / "reference"
    reference.mkdir()
    plan = planned(
        home,
        {
            "plain": {"command": ["sh", "-c", "echo $HOME"], "role": "builder", "env": {"COLOUR": "blue"}},
            "scout": {"agent": "demo", "reference": str(reference), "prompt": "Know it."},
        },
        arrange="tiled",
        supervisor="scout",
        scope="isolated",
    )
    plain, scout = plan.peers
    assert (plain.argv, plain.role, plain.profile) == (("sh", "-c", "echo $HOME"), "builder", "command")
    assert plain.env["COLOUR"] == "blue"
    assert scout.argv[:4] == (sys.executable, "-I", "-m", "intercom_mux.agents.demo")
    assert scout.argv[-2:] == ("--prompt", "Know it.")
    assert (scout.cwd, scout.is_reference, scout.model) == (str(reference), True, "demo")
    assert (plan.arrange, plan.supervisor, plan.is_isolated, plan.mux) == ("tiled", "scout", True, "tmux")
    assert Path(plan.socket) == paths.team_runtime_dir(plan.id) / "tmux.sock"
    assert plan.notices == ()


def test_one_agent_can_stand_in_for_all(home: Path) -> None:
    """`--agent` replaces the agent of every peer that is one, also one that is not installed; commands stay."""
    plan = planned(home, {"a": {"agent": "aider"}, "b": {"agent": "auto"}, "c": CAT}, agent="demo")
    assert [peer.profile for peer in plan.peers] == ["demo", "demo", "command"]


def test_the_user_is_told_what_was_decided_for_him(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Falling back to the demo agent is said once, and a prompt that nobody can take is said per peer."""
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    plan = planned(home, {"a": {"agent": "auto"}, "b": {"agent": "auto"}, "c": {**CAT, "prompt": "Hello"}})
    fallback, prompt = plan.notices
    assert "using the embedded demo agent" in fallback
    assert prompt == "c: command takes no prompt; it is left out"


@pytest.mark.parametrize("is_found", [True, False])
def test_peers_find_our_command(home: Path, monkeypatch: pytest.MonkeyPatch, is_found: bool) -> None:
    """A PATH that has `intercom-mux` is left alone; otherwise our own directory comes last in it."""
    tools = home / "tools"
    tools.mkdir()
    if is_found:
        (tools / "intercom-mux").write_text("#!/bin/sh\n")
        (tools / "intercom-mux").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    (peer,) = planned(home, {"a": CAT}).peers
    ours = str(Path(sys.executable).parent)
    assert peer.env["PATH"].split(os.pathsep) == [str(tools), "/usr/bin", "/bin", *([] if is_found else [ours])]


def test_a_layouts_own_agents_are_planned_and_carried(home: Path) -> None:
    """A profile of the layout builds on one that exists; what it is made of goes to the daemon with the plan."""
    own = {"mine": {"extends": "demo", "args": ["--loud"], "env": {"LEVEL": "{role}"}}}
    plan = planned(home, {"a": {"agent": "mine", "role": "scout"}}, agents=own)
    (peer,) = plan.peers
    assert (peer.profile, peer.argv[-1], peer.env["LEVEL"], peer.routes) == ("mine", "--loud", "scout", ("paste",))
    assert plan.agents == own
    keep_profiles(plan.id, plan.profiles)
    kept = team_profiles(plan.id)["mine"]
    assert kept.argv[-1].words == ("--loud",)
    assert kept.argv == (*load_profiles()["demo"].argv, Words(("--loud",)))


@pytest.mark.parametrize("agent", load_profiles())
def test_the_daemon_has_the_same_profile_without_yaml(home: Path, agent: str) -> None:
    """What the plan carries of a profile makes the same one again."""
    profile = load_profiles()[agent]
    keep_profiles("t-1", json.loads(json.dumps({agent: profile.data})))
    assert replace(team_profiles("t-1")[agent], path=profile.path) == profile


def test_what_trust_cannot_do_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an agent has no way to be told of trust for one start, the user hears that the question will come."""
    for name in ("aider", "gemini", "mine"):
        (home / name).symlink_to("/bin/cat")
    monkeypatch.setenv("PATH", f"{home}:/usr/bin:/bin")
    own = {"mine": {"binaries": ["mine"], "argv": ["{binary}"], "routes": ["inbox"]}}
    plan = planned(home, {name: {"agent": name, "trust": True} for name in ("aider", "gemini", "mine")}, agents=own)
    told = [notice for notice in plan.notices if "trust" in notice]
    assert told == ["mine: mine cannot be told for one start only to trust a directory: answer its question once"]
    assert "--skip-trust" in plan.peers[1].argv


def test_a_new_peer_is_no_drift_of_the_others(home: Path) -> None:
    """An agent's briefing names its peers, but that one came does not count as a change of it."""
    alone, joined = (
        planned(home, {"a": {"agent": "demo", "cwd": str(home)}, **more}, agents=BRIEFED).peers[0]
        for more in ({}, {"b": CAT})
    )
    assert alone.digest == joined.digest


# -- drift and identity --------------------------------------------------------------------------------------------

BASE = {"command": ["cat"], "role": "worker", "env": {"A": "1"}}


def digest(home: Path, peer: dict[str, Any], **more: Any) -> str:
    return planned(home, {"a": peer}, **more).peers[0].digest


@pytest.mark.parametrize(
    "change",
    [
        {"command": ["cat", "-u"]},
        {"role": "scout"},
        {"env": {"A": "2"}},
        {"env": {"A": "1", "B": ""}},
        {"env": {"A": "1", "PATH": "/bin:/usr/bin"}},
        {"cwd": "/"},
    ],
)
def test_a_peer_started_from_something_else_has_another_digest(home: Path, change: dict[str, Any]) -> None:
    """Command, role, environment and directory count."""
    same_project = {**BASE, "cwd": str(home)}
    assert digest(home, same_project) != digest(home, {**same_project, **change})


def test_a_new_prompt_is_drift_of_an_agent_only(home: Path) -> None:
    """A prompt counts where it is given to the program."""
    agent = {"agent": "demo", "cwd": str(home)}
    command = {**CAT, "cwd": str(home)}
    assert digest(home, {**agent, "prompt": "a"}) != digest(home, {**agent, "prompt": "b"})
    assert digest(home, {**command, "prompt": "a"}) == digest(home, {**command, "prompt": "b"})


def test_what_a_peer_is_not_started_from_leaves_its_digest(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arrangement, other peers, the order of variables and the caller's own PATH do not count."""
    peer = {**BASE, "cwd": str(home), "env": {"A": "1", "B": "2"}}
    expected = digest(home, peer)
    assert digest(home, {**peer, "env": {"B": "2", "A": "1"}}, arrange="rows") == expected
    assert planned(home, {"other": CAT, "a": peer}).peers[1].digest == expected
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/opt")
    assert digest(home, peer) == expected


def test_sessions_keep_their_ids(home: Path) -> None:
    """A peer's session id is the same at every `up`, and another one in another team or under another name."""
    stage, other = Stage(home, "one"), Stage(home, "two")
    for team in (stage, other):
        team.write({"a": CAT, "b": CAT})
    first, again, elsewhere = stage.plan(), stage.plan(), other.plan()
    assert [peer.session_id for peer in first.peers] == [peer.session_id for peer in again.peers]
    ids = {peer.session_id for plan in (first, elsewhere) for peer in plan.peers}
    assert len(ids) == 4
    assert first == again


@pure
@given(st.from_regex(NAME_PATTERN, fullmatch=True), st.from_regex(NAME_PATTERN, fullmatch=True))
def test_peers_of_one_team_differ_from_the_first_characters_on(one: str, other: str) -> None:
    """The beginnings of two session ids, which users type, differ when the names do."""
    first, second = session_id("team-1", one), session_id("team-1", other)
    assert first.endswith(f"-{one}")
    assert (first[:8] == second[:8]) == (one == other)


# -- what the daemon writes ----------------------------------------------------------------------------------------


def test_a_peers_files_are_private_and_complete(home: Path) -> None:
    """Files lie 0600 in a 0700 directory, with port and password filled in, and are written anew at every start."""
    server = {
        "argv": ["{python}", "-m", "http.server", "{port}"],
        "env": {"PASSWORD": "{secret}"},
        "files": {"settings.json": {"json": {"port": "{port}", "password": "{secret}", "home": "{dir}"}}},
        "routes": ["inbox"],
    }
    plan = planned(home, {"a": {"agent": "server"}}, agents={"server": server})
    (peer,) = plan.peers
    first, second = complete(peer, plan.id), complete(peer, plan.id)
    directory = paths.peer_dir(plan.id, "a")
    file = directory / "settings.json"
    assert (directory.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    content = json.loads(file.read_text())
    assert content == {"port": str(second.port), "password": second.secret, "home": str(directory)}
    assert (second.argv[-1], second.env["PASSWORD"]) == (str(second.port), second.secret)
    assert len(second.secret) >= 32
    assert first.secret != second.secret
    assert "\0" not in json.dumps([second.argv, second.env])


# -- as JSON -------------------------------------------------------------------------------------------------------

text = st.text(max_size=20)
texts = st.lists(text, max_size=4).map(tuple)
peers = st.builds(
    PeerPlan,
    name=text,
    role=text,
    profile=text,
    argv=texts,
    cwd=text,
    session_id=text,
    env=st.dictionaries(text, text, max_size=3),
    unset=texts,
    model=text,
    digest=text,
    is_reference=st.booleans(),
    files=st.dictionaries(text, text, max_size=3),
    routes=texts,
    reply=text,
)
plans = st.builds(
    TeamPlan,
    id=text,
    name=text,
    project=text,
    layout_path=text,
    mux=text,
    arrange=text,
    socket=text,
    peers=st.lists(peers, max_size=3).map(tuple),
    supervisor=st.none() | text,
    is_isolated=st.booleans(),
    notices=texts,
)


@pure
@given(plans)
def test_a_plan_comes_back_from_json(plan: TeamPlan) -> None:
    """What the daemon gets is what was planned."""
    assert TeamPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_board_is_the_last_peer(home: Path) -> None:
    """It has a name of its own, which nobody else may take."""
    plan = planned(home, {"a": {"agent": "demo"}}, board=True)
    assert [(peer.name, peer.argv[1:]) for peer in plan.peers][1:] == [("board", ("-I", "-m", "intercom_mux", "watch"))]
    with pytest.raises(LayoutError, match=r"the name \"board\" is taken on line"):
        planned(home, {"board": CAT}, board=True)


def test_a_board_needs_textual(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra nothing is planned, and the message says how to install it, at the key's place."""
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(LayoutError, match=r"\d+:\d+: board: .*pip install 'intercom-mux\[watch\]'"):
        planned(home, {"a": CAT}, board=True)
