"""Team states on disk, and the choice of the team that a command means."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux import paths
from intercom_mux.errors import TeamError
from intercom_mux.team.multiplexer import attach_argv
from intercom_mux.team.proc import Proc
from intercom_mux.team.state import (
    FORMAT,
    PeerState,
    TeamState,
    all_teams,
    label,
    load,
    remove,
    save,
    select_team,
    team_id,
)

pure = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
text = st.text(max_size=12)
times = st.floats(min_value=0, max_value=4e9)
pids = st.integers(min_value=1, max_value=2**22)
files = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12).map(
    lambda t: Path(f"/p/{t}")
)
procs = st.builds(Proc, pids, times, text)
peers = st.builds(
    PeerState,
    name=text,
    role=text,
    agent=text,
    cwd=files,
    session_id=text,
    token=text,
    surface=st.none() | text,
    pid=st.none() | pids,
    started=st.none() | times,
    spec_digest=text,
)
states = st.builds(
    TeamState,
    id=st.just("demo-00000000"),
    name=text,
    project=files,
    layout_path=files,
    mux=text,
    created_at=times,
    socket=st.none() | files,
    server=st.none() | procs,
    daemon=st.none() | procs,
    peers=st.dictionaries(text, peers, max_size=3),
    isolated=st.booleans(),
)


def team(name: str, project: Path) -> TeamState:
    """Save a team and return it."""
    project.mkdir(parents=True, exist_ok=True)
    real = Path(os.path.realpath(project))
    state = TeamState(team_id(name, project), name, real, real / f"{name}.yaml", "tmux", created_at=1.0)
    save(state)
    return state


def state_file(state: TeamState) -> Path:
    return paths.team_state_dir(state.id) / "state.json"


@pure
@given(states)
def test_a_saved_state_is_loaded_unchanged(state: TeamState) -> None:
    """Save and load are inverse for every state, order of peers and command lines included."""
    save(state)
    loaded = load(state.id)
    assert loaded == state
    assert loaded is not None
    assert list(loaded.peers) == list(state.peers)
    assert (loaded.server and loaded.server.command) == (state.server and state.server.command)


@pure
@given(states, st.data())
def test_a_cut_file_is_reported(state: TeamState, data: st.DataObject) -> None:
    """No beginning of a file loads as a state, and the error names the file."""
    save(state)
    whole = state_file(state).read_bytes()
    state_file(state).write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(TeamError, match=r"state\.json") as caught:
        load(state.id)
    assert caught.value.code == "E_TEAM_STATE"
    problems: list[TeamError] = []
    assert all_teams(problems.append) == []
    assert [problem.code for problem in problems] == ["E_TEAM_STATE"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": 3}, "team.name"),
        ({"created_at": "now"}, "team.created_at"),
        ({"isolated": 1}, "team.isolated"),
        ({"socket": 1}, "team.socket"),
        ({"server": {"pid": 1}}, "team.server"),
        ({"peers": {"a": {}}}, "team.peers.a"),
        ({"peers": None}, "team.peers"),
        ({"mood": "good"}, "mood"),
        ({"id": "other-00000000"}, "other-00000000"),
    ],
)
def test_a_wrong_value_is_reported_with_its_place(home: Path, change: dict[str, object], place: str) -> None:
    """Valid JSON that is no state of this team does not load."""
    state = team("demo", home / "repo")
    body = json.loads(state_file(state).read_text()) | change
    state_file(state).write_text(json.dumps(body))
    with pytest.raises(TeamError) as caught:
        load(state.id)
    assert place in caught.value.message


@pytest.mark.parametrize("body", ["[]", "null", "{}", "3", '"x"', "\x00"])
def test_other_json_is_no_state(home: Path, body: str) -> None:
    """A file of the right name with other content is reported, not guessed at."""
    state = team("demo", home / "repo")
    state_file(state).write_text(body)
    with pytest.raises(TeamError) as caught:
        load(state.id)
    assert caught.value.code == "E_TEAM_STATE"


@pytest.mark.parametrize("version", [FORMAT + 1, 0, "new", None])
def test_another_format_is_named(home: Path, version: object) -> None:
    """A file of another version is refused for that reason, whatever else it holds."""
    state = team("demo", home / "repo")
    state_file(state).write_text(json.dumps({"format": version, "everything": "else"}))
    with pytest.raises(TeamError, match=f"has format {version}") as caught:
        load(state.id)
    assert caught.value.code == "E_TEAM_FORMAT"
    assert caught.value.hint


def test_the_file_is_private_and_alone(home: Path) -> None:
    """Directory 0700, file 0600 because of the tokens, and no temporary file stays."""
    state = team("demo", home / "repo")
    directory = paths.team_state_dir(state.id)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert state_file(state).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in directory.iterdir()] == ["state.json"]


def test_a_reader_never_sees_a_half_written_state(home: Path) -> None:
    """While states of very different sizes are saved, every load gives one of them."""
    small = team("demo", home / "repo")
    many = {f"p{n}": PeerState(f"p{n}", "worker", "demo", home, "s", "t") for n in range(300)}
    large = replace(small, peers=many)
    done = threading.Event()

    def write() -> None:
        for _ in range(20):
            save(large)
            save(small)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        loaded = load(small.id)
        assert loaded is not None
        assert len(loaded.peers) in (0, 300)
    writer.join()


def test_a_removed_team_is_forgotten(home: Path) -> None:
    """The state is gone, the logs stay for whoever asks what happened, and a second removal is no error."""
    state = team("demo", home / "repo")
    (paths.team_state_dir(state.id) / "daemon.log").write_text("")
    remove(state.id)
    remove(state.id)
    assert load(state.id) is None
    assert all_teams() == []
    assert [path.name for path in paths.team_state_dir(state.id).iterdir()] == ["daemon.log"]


def test_id_is_short_and_follows_the_real_project(home: Path) -> None:
    """The same project by another path is the same team; another name or project is not."""
    (home / "repo").mkdir()
    (home / "link").symlink_to(home / "repo")
    here = team_id("demo", home / "repo")
    assert here.startswith("demo-")
    assert team_id("demo", home / "link") == here
    assert len({here, team_id("demo", home), team_id("demo2", home / "repo")}) == 3
    assert len(team_id("x" * 48, home)) == 24 + 1 + 8
    assert team_id("x" * 47, home) != team_id("x" * 48, home)


def test_a_peer_knows_its_program(home: Path) -> None:
    """The identity of the program is there once pid and start time are."""
    peer = PeerState("planner", "planner", "demo", home, "s", "t")
    assert peer.proc is None
    peer.pid, peer.started = 12, 3.5
    assert peer.proc == Proc(12, 3.5, "planner")


def test_watching_a_team_leads_to_its_board(home: Path) -> None:
    """Whose keys answer; a peer that is named comes first, and without a board there is no such place."""
    demo = team("demo", home / "repo")
    demo.socket = home / "tmux.sock"
    demo.peers["a"] = PeerState("a", "worker", "demo", home, "s", "t", surface="%0")
    assert "%0" not in attach_argv(demo)
    demo.peers["board"] = PeerState("board", "board", "command", home, "s", "t", surface="%1")
    assert attach_argv(demo)[-1] == "%1"
    assert attach_argv(demo, "%0")[-1] == "%0"


def test_no_team_at_all(home: Path) -> None:
    """Without a team the error says so and names the command that starts one."""
    with pytest.raises(TeamError, match="no team is running") as caught:
        select_team(None, None, home)
    assert caught.value.code == "E_NO_TEAM"
    assert "intercom-mux up" in (caught.value.hint or "")


def test_an_unreadable_only_team_is_not_called_absent(home: Path) -> None:
    """When the one state there is cannot be read, that is the error."""
    state_file(team("demo", home / "repo")).write_text("{")
    with pytest.raises(TeamError) as caught:
        select_team(None, None, home)
    assert caught.value.code == "E_TEAM_STATE"


def test_the_order_of_choice(home: Path) -> None:
    """`--team` beats the pane, the pane beats the directory, the deepest directory beats those above it."""
    outer, inner = team("outer", home / "repo"), team("inner", home / "repo/service")
    far = team("far", home / "elsewhere")
    deep = home / "repo/service/src"
    deep.mkdir()
    assert select_team("far", inner.id, deep) == far
    assert select_team(None, far.id, deep) == far
    assert select_team(None, None, deep) == inner
    assert select_team(None, None, home / "repo") == outer


def test_the_directory_is_compared_by_its_real_path(home: Path) -> None:
    """A symbolic link into the project is inside it; a directory with the same beginning is not."""
    inside, _ = team("inside", home / "repo"), team("other", home / "other")
    (home / "link").symlink_to(home / "repo")
    (home / "repo2").mkdir()
    assert select_team(None, None, home / "link") == inside
    with pytest.raises(TeamError, match="several"):
        select_team(None, None, home / "repo2")


def test_the_only_team_needs_no_naming(home: Path) -> None:
    """With one team running every directory means it."""
    only = team("demo", home / "repo")
    assert select_team(None, None, Path("/")) == only


def test_several_teams_are_listed(home: Path) -> None:
    """Outside every project the error lists the teams and names `--team`."""
    team("a", home / "one")
    team("b", home / "two")
    with pytest.raises(TeamError, match="several teams are running: a, b") as caught:
        select_team(None, None, home)
    assert "--team" in (caught.value.hint or "")
    assert caught.value.fields["teams"] == ["a", "b"]


def test_two_teams_of_one_project_are_ambiguous(home: Path) -> None:
    """Only those of the directory are listed when they are the ones to choose from."""
    team("a", home / "repo")
    team("b", home / "repo")
    team("c", home / "far")
    with pytest.raises(TeamError, match="several teams are running: a, b"):
        select_team(None, None, home / "repo")


def test_an_unknown_name_lists_what_runs(home: Path) -> None:
    """A wrong `--team`, and a pane whose team is gone, never fall back to another team, not even the only one."""
    team("demo", home / "repo")
    with pytest.raises(TeamError, match="no team called dmeo is running") as caught:
        select_team("dmeo", None, home / "repo")
    assert "demo" in (caught.value.hint or "")
    with pytest.raises(TeamError, match="that this pane belongs to"):
        select_team(None, "gone-00000000", home / "repo")


def test_namesakes_are_told_apart_by_directory(home: Path) -> None:
    """A name that two teams have needs `name@dir`, a path or an id, unless we stand in one of their projects."""
    one, two = team("demo", home / "one"), team("demo", home / "two")
    assert label(one, [one, two]) == "demo@one"
    assert label(one, [one]) == "demo"
    assert select_team("demo@two", None, home) == two
    assert select_team(f"demo@{home}/two", None, home) == two
    assert select_team(two.id, None, home / "one") == two
    assert select_team("demo", None, home / "one") == one
    with pytest.raises(TeamError, match="several teams called demo: demo@one, demo@two"):
        select_team("demo", None, home)


def test_namesakes_in_directories_of_one_name_are_told_apart_by_id(home: Path) -> None:
    """Where `name@dir` would still fit two teams, the id is shown and accepted."""
    one, two = team("demo", home / "x/repo"), team("demo", home / "y/repo")
    assert label(one, [one, two]) == one.id
    assert select_team(label(two, [one, two]), None, home) == two


def test_unreadable_teams_are_told_beside_readable_ones(home: Path) -> None:
    """The choice leaves them out and says so; meant by its id, an unreadable one is the error."""
    good, bad = team("good", home / "one"), team("bad", home / "two")
    state_file(bad).write_text("{")
    told: list[TeamError] = []
    assert select_team(None, None, home, told.append).id == good.id
    assert [error.fields["team"] for error in told] == [bad.id]
    with pytest.raises(TeamError) as caught:
        select_team(bad.id, None, home)
    assert caught.value.code == "E_TEAM_STATE"
