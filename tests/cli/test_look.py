"""`list`, `pending`, `inbox`, `name`, `progress`, `tasks` against a real broker."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path
from typing import Any

import pytest

from intercom_mux import paths
from intercom_mux.cli import text
from intercom_mux.client import identity as identities
from intercom_mux.errors import DeliveryError
from intercom_mux.team.state import PeerState, TeamState, save
from tests.cli.stage import TEAM, Both, Peer, run, shown_at, start, without_ages
from tests.support import wait_until

Json = dict[str, Any]


def test_list_shows_everybody_and_marks_you(both: Both, crew: dict[str, Peer]) -> None:
    """From outside a team its peers bear the team's name; the caller is marked."""
    both.click("name", "me")
    head, *rows = [line.split() for line in both.click("list").out.splitlines()]
    assert head == ["NAME", "ROLE", "TEAM", "STATUS", "FOR", "MODEL", "CWD"]
    since = rows[0].pop(4)
    assert since.endswith("s")
    assert rows[0] == ["crew/planner", "planner", "crew", "idle", "m-1", "/srv/planner"]
    assert rows[-1][:3] == ["me", "(you)", "-"]


def test_list_in_a_pane_has_bare_names_and_tasks(
    both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The own team is bare, its tasks stand below, and --json is the array of sessions."""
    crew["planner"].enter_pane(monkeypatch)
    both.click("progress", "parser", "--percent", "40", "--title", "Write it")
    lines = both.click("list").out.splitlines()
    assert lines[1].startswith("planner (you)  planner  crew")
    assert lines[-1] == "parser  40%  started  planner  Write it"
    rows = both.click("list", "--json").json
    assert [(row["name"], row["role"], row["self"]) for row in rows[:2]] == [
        ("planner", "planner", True),
        ("worker-1", "worker", False),
    ]


def test_list_has_those_of_one_team_together(
    both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order they came in: the caller's own team first, and those of none last."""
    other = {"id": "alpha-1", "name": "alpha", "dir": "/srv/alpha"}
    crew["planner"].enter_pane(monkeypatch)
    with Peer("loner"), Peer("scout", team=other), Peer("late", team=TEAM):
        names = [row.split()[0] for row in both.click("list").out.splitlines()[1:]]
    assert names == ["planner", "worker-1", "worker-2", "late", "alpha/scout", "loner"]


def test_list_has_a_team_as_its_layout_has_it(both: Both, crew: dict[str, Peer]) -> None:
    """Though after a broker's or daemon's end the peers come back in any order; who is no peer of it comes last."""
    peers = {
        name: PeerState(name, name, "demo", Path("/"), f"session-{name}", "token")
        for name in ("worker-2", "planner", "worker-1")
    }
    save(TeamState("crew-1", "crew", Path("/srv/crew"), Path("/crew.yaml"), "tmux", created_at=0, peers=peers))
    with Peer("late", team=TEAM):
        names = [row.split()[0] for row in both.click("list").out.splitlines()[1:]]
        in_json = [row["name"] for row in both.click("list", "--json").json]
    assert names[:4] == in_json[:4] == ["worker-2", "planner", "worker-1", "late"]


def test_a_narrow_terminal_has_the_status_before_all_else(
    both: Both, crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model, team and role make room, in this order."""
    both.click("name", "me")
    for columns, head in (
        (80, ["NAME", "ROLE", "TEAM", "STATUS", "FOR", "MODEL", "CWD"]),
        (66, ["NAME", "ROLE", "TEAM", "STATUS", "FOR", "CWD"]),
        (45, ["NAME", "STATUS", "FOR", "CWD"]),
    ):
        monkeypatch.setattr(text, "width", lambda columns=columns: columns)
        lines = both.click("list").out.splitlines()
        assert lines[0].split() == head
        assert max(map(len, lines)) <= columns


def test_a_result_is_not_announced_as_waiting(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own reply has been read with it; what else waits is told as ever."""
    told: list[int] = []
    monkeypatch.setattr(text, "note_waiting", told.append)
    with Peer("worker") as worker:
        both.click("name", "me")
        ticket = both.click("ask", "--async", "worker", "how?").out.strip()
        wait_until(worker.texts, what="the ask")
        worker.reply(worker.of_type("message")[0]["message"], "so")
        assert both.click("wait", "worker", "--until", "reply", "--timeout", "20s").code == 0
        assert both.click("result", ticket).out == "so\n"
        worker.write(
            {"type": "send", "to": "me", "message": {"id": "e" * 32, "timestamp": 1, "content": {"text": "x"}}}
        )
        wait_until(lambda: worker.of_type("delivered"), what="the message")
        assert both.click("result", ticket).code == 0
    assert told == [0, 0, 0, 1]


def test_list_of_a_directory_leaves_the_others_out(
    both: Both, planner: Peer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--cwd keeps who works here; a path below home is shortened."""
    (home / "here").mkdir()
    monkeypatch.chdir(home / "here")
    _, *rows = both.click("list", "--cwd").out.splitlines()
    assert len(rows) == 1
    assert rows[0].endswith("~/here")


def test_a_terminal_gets_lines_that_fit(planner: Peer, home: Path) -> None:
    """On a narrow terminal rows are cut, in a pipe they never are."""
    shown = shown_at(30, "list")
    assert all(len(line) <= 30 for line in shown)
    assert "…" in "".join(shown)
    assert "…" not in run("list").out


def test_agents_are_whole_in_a_narrow_terminal(home: Path) -> None:
    """Each program stands below its agent there."""
    wide, narrow = shown_at(200, "agents"), shown_at(80, "agents")
    table = narrow[: narrow.index("")]
    assert all(len(line) <= 80 and "…" not in line for line in table)
    rows = [f"{head}  {program.strip()}".split() for head, program in zip(table[1::2], table[2::2], strict=True)]
    assert rows == [line.split() for line in wide[1 : wide.index("")]]


def test_pending_shows_asks_both_ways(both: Both, planner: Peer) -> None:
    """Mine with their state, those to me; --json has all facts."""
    planner.answer = None
    both.click("ask", "--async", "planner", "why\nso?")
    ask = {"id": "1" * 32, "timestamp": 1, "expectsReply": True, "content": {"text": "?"}}
    with Peer("asker") as asker:
        asker.write({"type": "send", "to": identities.of_shell().session_id, "message": ask})
        wait_until(lambda: asker.of_type("delivered"), what="the ask")
        slow, fast = without_ages(both.click("pending")), without_ages(both.fast("pending"))
        assert slow == fast
        assert "  11111111  asker  AGE" in slow.out
        assert "delivered, ticket  why so?" in slow.out
        value = both.click("pending", "--json").json
        assert (value["to_me"][0]["with"], value["from_me"][0]["with"]) == ("asker", "planner")


def test_an_ask_in_the_inbox_says_how_to_answer(both: Both, planner: Peer) -> None:
    """Reading it makes it the active one, so that a bare reply answers it."""
    both.click("name", "me")
    ask = {"id": "1" * 32, "timestamp": 1, "expectsReply": True, "content": {"text": "what now?"}}
    planner.write({"type": "send", "to": identities.of_shell().session_id, "message": ask})
    wait_until(lambda: planner.of_type("delivered"), what="the ask")
    shown = both.click("inbox").out
    assert shown.startswith("[11111111] ask from planner, ")
    assert shown.endswith('what now?\n(answer: intercom-mux reply --to 11111111 "…")\n')
    assert both.click("reply", "this").code == 0


def test_a_long_message_begins_with_how_it_ends(both: Both, planner: Peer) -> None:
    """Who gets a command's output cut sees that, and how to read the rest; the end comes behind how to answer."""
    both.click("name", "me")
    ask = {"id": "2" * 32, "timestamp": 1, "expectsReply": True, "content": {"text": "x" * 1_001}}
    planner.write({"type": "send", "to": identities.of_shell().session_id, "message": ask})
    wait_until(lambda: planner.of_type("delivered"), what="the ask")
    shown = both.fast("inbox", "2222").out
    _, how, body, answer, end = shown.splitlines()
    assert (
        how == '(ends in "(end of 22222222)"; if that is missing: intercom-mux inbox 22222222 > FILE, then read FILE)'
    )
    assert (body, answer[:8], end) == ("x" * 1_001, "(answer:", "(end of 22222222)")


def test_inbox_as_json_is_an_array(both: Both, home: Path) -> None:
    """Empty too; one that is not there is refused."""
    assert both.click("inbox", "--json").json == []
    with pytest.raises(DeliveryError, match="No message"):
        both.click("inbox", "feed")


def test_inbox_waits_for_the_next_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits already is shown at once, what comes later when it comes; each once. Else the exit code is 11."""
    with Peer("planner", team=TEAM) as planner, Peer("worker", team=TEAM) as worker:
        worker.enter_pane(monkeypatch)
        late = run("inbox", "--wait", "0.3", "--json")
        assert (late.code, late.json["error"]["code"]) == (11, "E_WAIT_TIMEOUT")
        with start("inbox", "--wait", "20s", "--json") as waiting:
            message = {"id": "1" * 32, "timestamp": 1, "content": {"text": "come"}}
            planner.write({"type": "send", "to": "worker", "message": message})
            out, err = waiting.communicate(timeout=20)
        assert ([row["text"] for row in json.loads(out)], err) == (["come"], "")
        assert run("inbox", "--wait", "0.1").code == 11
        assert run("inbox", "feed", "--wait", "1s").code == 2


def test_a_name_is_kept_by_the_terminal(both: Both, planner: Peer) -> None:
    """Taken once it stays; a name in use is refused, a pane's name is fixed."""
    assert both.click("name", "me").out == "me\n"
    assert both.click("name").out == "me\n"
    assert both.click("name", "--json").json == {"name": "me", "id": identities.of_shell().session_id}
    with pytest.raises(DeliveryError, match="taken"):
        both.click("name", "planner")


def test_a_peer_keeps_the_name_of_its_layout(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pane `name` shows, and does not change."""
    with Peer("worker", team=TEAM) as worker:
        worker.enter_pane(monkeypatch)
        assert both.click("name").out == "worker\n"
        with pytest.raises(DeliveryError, match="layout"):
            both.click("name", "other")


def test_tasks_keep_what_is_not_given(both: Both, planner: Peer) -> None:
    """A later call changes only what it names; 100 percent is done."""
    both.click("progress", "t", "--title", "Write it", "--percent", "10")
    both.click("progress", "t", "--note", "half way")
    assert both.fast("progress", "t", "--percent", "100").out.split("  ")[1:3] == ["100%", "done"]
    (task,) = both.click("tasks", "--json").json
    assert (task["title"], task["note"], task["state"]) == ("Write it", "half way", "done")
    assert "Write it · half way" in both.click("tasks").out


@pytest.mark.parametrize("options", [["--percent", "101"], ["--percent", "x"], ["--state", "DONE"]], ids=" ".join)
def test_a_wrong_progress_is_a_usage_error(options: list[str], home: Path) -> None:
    """Nothing is written then."""
    assert run("progress", "t", *options).code == 2
    assert not paths.broker_file().exists()


def test_a_human_hears_of_waiting_messages(planner: Peer, home: Path) -> None:
    """On a terminal's stderr, after any other verb, until they are read."""
    run("name", "me")
    message = {"id": "m1", "timestamp": 1, "content": {"text": "news"}}
    planner.write({"type": "send", "to": "me", "message": message})
    wait_until(lambda: planner.of_type("delivered"), what="delivery")
    told = {}
    for verb in ("pending", "tasks", "inbox", "list"):
        terminal, end = pty.openpty()
        process = start(verb, stderr=end)
        os.close(end)
        process.communicate(timeout=20)
        try:
            told[verb] = os.read(terminal, 4096).decode()
        except OSError:
            told[verb] = ""
        os.close(terminal)
    line = "1 message is waiting: intercom-mux inbox\r\n"
    assert told == {"pending": line, "tasks": line, "inbox": "", "list": ""}


def test_a_pane_whose_team_is_gone_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity file is missing: exit 5 with the way out."""
    monkeypatch.setenv(paths.IDENTITY_VARIABLE, str(home / "gone"))
    result = run("pending", "--json")
    assert result.code == 5
    assert json.loads(result.out)["error"]["code"] == "E_IDENTITY"


def test_pending_tells_why_an_ask_of_mine_is_held(both: Both, planner: Peer) -> None:
    """What the receiver's last receipt said stands behind the state; one without a detail does not wipe it out."""

    def hold(peer: Peer, message: Json) -> None:
        peer.confirm(message, "queued", "blocked:permission")
        peer.confirm(message, "receiver_received")

    planner.answer = hold
    both.click("ask", "planner", "why?", "--async")
    wait_until(lambda: "received (blocked:permission), ticket" in both.click("pending").out, what="the reason")
    assert without_ages(both.fast("pending")) == without_ages(both.click("pending"))
