"""A feature from the plan to the end: decisions, an interview, a blocked task, and what report and board make of it."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intercom_mux.cli import caller
from intercom_mux.team.state import select_team
from intercom_mux.watch.app import Board
from intercom_mux.watch.feed import Feed
from tests.cli.stage import run
from tests.examples.scripts import EXAMPLES
from tests.report.browser import PROGRAM, Browser
from tests.support import SCALE, marked_processes, wait_until
from tests.team.stage import end_all_teams
from tests.watch.test_real import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUT = Path(__file__).with_name("feature.yaml")
PEERS = ("planner", "worker-1", "worker-2", "reference-auth")


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    directory = home / "project"
    shutil.copytree(EXAMPLES / "quickstart", directory)
    shutil.copy(LAYOUT, directory)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("INTERCOM_MUX_DEMO_PACE", "0")
    yield directory
    end_all_teams()


@pytest.fixture
def board(home: Path, project: Path) -> Iterator[Screen]:
    """The board in a terminal of its own, from the moment the team is up; the test has to bring it up."""
    assert run("up", "feature.yaml", "--agent", "demo").code == 0
    screen = Screen(home, "feature")
    yield screen
    screen.close()


def test_a_team_carries_a_feature_through(project: Path, home: Path, board: Screen, tmp_path: Path) -> None:
    """Whatever a task leaves open is settled on the way, seen live on the board, and told by the report afterwards."""
    board.wait_for("feature  4 peers", *PEERS)
    _be_supervised(project)
    board.press("3")
    board.wait_for("Report a stale token")

    assert run("ask", "reference-auth", "Where is the retry budget?").out.startswith(
        ("1 ", "2 ", "3 ", "4 ", "5 ", "6 ")
    )
    told = run("history", "--json", "--limit", "200").json
    _check_conversation([row for row in told if "reference" not in row["from"] + row["to"]])
    asyncio.run(_see_board_by_its_driver())

    page, data = tmp_path / "report.html", tmp_path / "report.json"
    assert run("down").code == 0
    board.wait_for("is down")
    assert run("report", "feature", "-o", str(page)).code == 0
    assert run("report", "feature", "-o", str(data)).code == 0
    _check_report(json.loads(data.read_text()))
    board.press("q")
    wait_until(board.is_over, what="the end of the board")
    assert run("broker", "stop").code == 0
    assert marked_processes(str(home)) == {}
    if PROGRAM is None:
        pytest.skip("no Chromium is installed: all held but the page in a browser")
    _see_page(page, tmp_path)


def _be_supervised(project: Path) -> None:
    """Let the tasks run. The third needs a file that the planner cannot give; a person does, and gives it out again."""
    patience = f"{20 * SCALE:g}"
    wait_until(lambda: run("task", "show", "T3").code == 0, timeout_s=20, what="the plan to be handed out")
    for task in ("T1", "T2"):
        assert run("wait", "--task", task, "--until", "done", "--timeout", patience).code == 0, run("tasks").out
    summary = "All 3 tasks have ended: 2 done, 1 blocked."
    wait_until(lambda: summary in run("logs", "planner").out, timeout_s=20, what="the planner's summary")
    assert run("wait", "--task", "T3", "--until", "blocked", "--timeout", patience).code == 0
    assert "HEALTH.md is still not here" in run("history").out
    (project / "app" / "HEALTH.md").write_text("The health path of the server says whether its token is stale.\n")
    assert run("task", "assign", "T3", "worker-1", "--note", "Needs: HEALTH.md").code == 0
    done = run("wait", "--task", "T3", "--until", "done", "--timeout", patience, "--json")
    assert (done.code, done.json["percent"]) == (0, 100)
    wait_until(lambda: "Done T3" in run("inbox", "--peek").out, what="the result")


def _check_conversation(rows: list[dict[str, str]]) -> None:
    """A decision in words, an interview in JSON, each answered by the planner from its plan."""
    asks = {row["id"]: row for row in rows if row["kind"] == "ask"}
    answers = {row["reply_to"]: row for row in rows if row.get("reply_to")}
    decision = next(row for row in asks.values() if "Where does the renewal happen?" in row["text"])
    assert decision["text"].startswith("Subagent needs a supervisor decision.\n")
    assert "Renewal happens in the background" in answers[decision["id"]]["text"]
    interview = next(row for row in asks.values() if "structured supervisor interview" in row["text"])
    said = json.loads(answers[interview["id"]]["text"])
    assert said == {"responses": [{"id": "q1", "value": "request"}, {"id": "q2", "value": "small"}]}


async def _see_board_by_its_driver() -> None:
    """The board under textual's driver shows peers, tasks and what was said, of the very team."""
    feed = Feed(caller.identity("feature"), select_team("feature", None, Path.cwd()))
    board = Board(feed, "feature")
    async with board.run_test(size=(120, 50)) as pilot:

        async def shows(*texts: str) -> None:
            seen = ""
            for _ in range(int(500 * SCALE)):
                seen = _screen(board)
                if all(text in seen for text in texts):
                    return
                await pilot.pause(0.02)
            raise AssertionError(f"{texts} not on the board:\n{seen}")

        await shows("feature  4 peers", *PEERS)
        await pilot.press("1")
        await shows("[task:T3] Report a stale token", "Done T3")
        await pilot.press("3")
        await shows("Renew the warehouse access token", "Retry failed warehouse calls", "✓ done", "100%")
    board.wait(5)


def _screen(board: Board) -> str:
    """Return what stands on the board, row by row, as its own picture has it."""
    rows: dict[str, str] = {}
    for at, text in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>(.*?)</text>', board.export_screenshot()):
        rows[at] = rows.get(at, "") + html.unescape(text).replace("\xa0", " ")
    return "\n".join(rows.values())


def _check_report(report: dict[str, object]) -> None:
    """The data behind the page has the team, its tasks with their blocked spans, and every ask with its answer."""
    assert set(PEERS) <= set(map(str, report["peers"]))  # type: ignore[call-overload]
    assert report["unanswered"] == []
    tasks = {task["id"]: task for task in report["tasks"]}  # type: ignore[attr-defined]
    assert {task["state"] for task in tasks.values()} == {"done"}
    for task in tasks.values():
        assert "blocked" in [span["what"] for span in task["spans"]]


def _see_page(page: Path, tmp_path: Path) -> None:
    """A real browser shows it without complaint, the team's words in their sections, on a phone too."""
    with Browser(tmp_path / "chromium") as browser:
        for width in (360, 1280):
            browser.open(page, width=width)
            browser.value("document.querySelectorAll('details').forEach(part => part.open = true)")
            assert browser.value("document.documentElement.scrollWidth") <= width
        assert "feature" in browser.value("document.title")
        for section, words in {
            "talk": PEERS,
            "conversation": ("Where does the renewal happen?", "Renewal happens in the background"),
            "waits": ("planner", "reference-auth"),
            "tasks": ("T1", "T2", "T3", "Retry failed warehouse calls with backoff"),
            "time": PEERS,
        }.items():
            text = browser.value(f"document.getElementById('{section}').innerText")
            assert [word for word in words if word not in text] == [], section
        assert browser.complaints == []
