"""`report` on real messages."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.stage import TEAM, Peer, command, echo, run
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def planner() -> Iterator[Peer]:
    """A peer of a team, which answers."""
    with Peer("planner", team=TEAM, answer=echo) as peer:
        yield peer


def test_report_writes_each_format(home: Path, planner: Peer, tmp_path: Path) -> None:
    """By FILE's ending or --format, to stdout without a file; a page is private, holds no token, and tells the ask."""
    assert run("ask", f"{TEAM['name']}/planner", "which <b>tests</b>?").code == 0
    wait_until(lambda: len(run("history", "--json").json) == 2, what="both messages in the journal")
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    assert f"{page}: team" in run("report", "-o", str(page)).out
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert page.read_text().startswith("<!doctype html>")
    assert "which &lt;b&gt;tests&lt;/b&gt;?" in page.read_text()
    assert planner.token not in page.read_text()
    run("report", "-o", str(data))
    made = json.loads(data.read_text())
    assert [entry["kind"] for entry in made["conversation"]] == ["ask", "reply"]
    assert made["waits"][0]["answered"] == 1
    assert run("report", "--format", "md").out.startswith("# ")
    assert run("report", "--since", "2999-01-01", "--json").json["totals"] == {"messages": 0}


def test_report_says_what_it_cannot_do(home: Path, planner: Peer, tmp_path: Path) -> None:
    """An unknown team, a directory that is not there, a time that is none."""
    assert "known: " in run("report", "no-such-team").err
    refused = run("report", "-o", str(tmp_path / "none" / "report.html"))
    assert (refused.code, "cannot write" in refused.err) == (1, True)
    assert run("report", "--since", "soon").code == 2


@pytest.mark.parametrize(("arguments", "begins"), [((), b"# "), (("--format", "html"), b"<!doctype html>")])
def test_a_terminal_gets_what_a_person_can_read(planner: Peer, arguments: tuple[str, ...], begins: bytes) -> None:
    """Markdown, unless the format is named."""
    assert run("ask", f"{TEAM['name']}/planner", "which tests?").code == 0
    ours, theirs = os.openpty()
    try:
        with subprocess.Popen(command("report", *arguments), stdout=theirs) as child:
            assert os.read(ours, 64).startswith(begins)
            os.close(theirs)
            child.kill()
    finally:
        os.close(ours)
