"""`history` on real messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.cli.stage import Peer, run, shown_at
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_just_sent_is_there(home: Path, planner: Peer) -> None:
    """The journal lags behind a broker that has something to do; the command waits for it."""
    for number in range(3):
        assert run("send", "planner", f"number {number}").code == 0
        assert run("history", "--json").json[-1]["text"] == f"number {number}"


def test_history_shows_prunes_and_hides_tokens(home: Path, planner: Peer) -> None:
    """A line per message, one ask whole, JSON, filters; then nothing after a prune, and no token anywhere."""
    assert run("ask", "planner", "which\ntests?").out == "<which\ntests?>\n"
    assert run("history", "--ask", "none-such").code == 5
    wait_until(lambda: len(run("history", "--json").json) == 2, what="both messages in the journal")
    lines = run("history").out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:]{8}  \S+ → planner +ask +done +\w{8}  which tests\?", lines[0])
    assert "reply" in lines[1]
    question = run("history", "--peer", "planner", "--since", "1h", "--json").json[0]
    whole = run("history", "--ask", question["id"][:8]).out
    assert "which\ntests?" in whole
    assert "<which\ntests?>" in whole
    assert whole.endswith("\nanswered\n")
    assert run("history", "--since", "2999-01-01").out == "no messages\n"
    assert run("history", "--since", "soon").code == 2
    assert run("history", "--days", "1").code == 2
    assert planner.token not in run("history", "--json").out + whole
    assert run("history", "--prune", "--days", "0", "--json").json == {"removed": 2}
    assert run("history").out == "no messages\n"


def test_in_a_narrow_terminal_what_was_said_stands_below_who_said_it(home: Path, planner: Peer) -> None:
    """Names of two teams leave it no room beside them."""
    run("name", "somebody-at-a-terminal-of-no-team")
    assert run("send", "planner", "which tests?").code == 0
    narrow, wide = shown_at(80, "history"), shown_at(140, "history")
    facts = r"\d{4}-\d\d-\d\d [\d:]{8}  \w{8}  message  \w+ +somebody-at-a-terminal-of-no"
    assert re.match(facts, narrow[0])
    assert narrow[1:] == ["  which tests?"]
    assert [line.endswith("  which tests?") for line in wide] == [True]
    assert all(len(line) <= 80 for line in narrow)
