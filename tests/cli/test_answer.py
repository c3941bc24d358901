"""`answer` as a real process, at a terminal and without one."""

from __future__ import annotations

import os
import pty
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from intercom_mux.supervise import contact, interview
from tests.cli.stage import Peer, command, run
from tests.supervise.test_answer import ME, WHICH
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def asked(crew: dict[str, Peer], monkeypatch: pytest.MonkeyPatch) -> dict[str, Peer]:
    """The pane of a supervisor that a worker asks for a decision and another for an interview."""
    boss = crew["planner"]
    texts = (
        contact.compose(contact.DECISION, ME, "Which way?"),
        contact.compose(contact.INTERVIEW, ME, interview.render(WHICH)),
    )
    for number, text in enumerate(texts, start=1):
        message = {"id": str(number) * 32, "timestamp": 1, "expectsReply": True, "content": {"text": text}}
        crew[f"worker-{number}"].answer = None
        crew[f"worker-{number}"].write({"type": "send", "to": "planner", "message": message})
        wait_until(partial(_has, boss, number), what="the ask")
    boss.enter_pane(monkeypatch)
    return crew


def _has(peer: Peer, count: int) -> bool:
    """Whether so many messages have come to a peer."""
    return len(peer.texts()) == count


def _at_terminal(steps: list[tuple[str, str]]) -> int:
    """Run `answer` at a terminal, type each step's keys once its words stand there; return the exit code."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(command("answer"), stdin=end, stdout=end, stderr=end, start_new_session=True)
    os.close(end)
    os.set_blocking(terminal, False)
    seen = ""

    def shows(words: str) -> Callable[[], bool]:
        def look() -> bool:
            nonlocal seen
            try:
                seen += os.read(terminal, 65_536).decode()
            except (BlockingIOError, OSError):
                pass
            return words in seen

        return look

    try:
        for words, keys in steps:
            wait_until(shows(words), what=words)
            seen = seen.partition(words)[2]
            os.write(terminal, keys.encode())
        wait_until(lambda: shows("\0")() or process.poll() is not None, what="the end")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return process.returncode


def test_a_person_answers_a_decision_and_an_interview(asked: dict[str, Peer]) -> None:
    """Keys choose, lines answer, nothing skips; both askers get their reply."""
    code = _at_terminal(
        [
            ("your answer", "left\n"),
            ("q quits", "2"),
            ("q quits", "1"),
            ("q quits", "3"),
            ("q quits", "\r"),
            ("your answer", "simple\n"),
            ("picture", "\n"),
            ("Enter goes on", "\r"),
            ("Enter sends", "\r"),
        ]
    )
    assert code == 0
    wait_until(lambda: asked["worker-1"].texts() and asked["worker-2"].texts(), what="the replies")
    assert asked["worker-1"].texts() == ["left"]
    read = interview.read_reply(WHICH, asked["worker-2"].texts()[0])
    assert read is not None
    assert {row["id"]: row["value"] for row in read.responses} == {
        "db": "files",
        "os": ["linux", "windows"],
        "why": "simple",
    }


def test_what_is_skipped_or_left_stays_open(asked: dict[str, Peer]) -> None:
    """The exit code says that something still waits; an editor may write the answer."""
    assert _at_terminal([("your answer", "\n"), ("q quits", "q")]) == 10
    assert [row["kind"] for row in run("answer", "--json").json] == ["decision", "interview"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDITOR", "sh -c 'echo long words > $0'")
        assert _at_terminal([("your answer", ":e\n"), ("q quits", "q")]) == 10
    wait_until(asked["worker-1"].texts, what="the reply")
    assert asked["worker-1"].texts() == ["long words"]


def test_an_answer_is_edited_as_it_is_typed(asked: dict[str, Peer]) -> None:
    """Arrow keys move in the line: none of them is part of the answer."""
    assert _at_terminal([("your answer", "ight\x1b[D\x1b[D\x1b[D\x1b[Dr\x1b[C\x7fi\n"), ("q quits", "q")]) == 10
    wait_until(asked["worker-1"].texts, what="the reply")
    assert asked["worker-1"].texts() == ["right"]


def test_without_a_terminal_it_prints(asked: dict[str, Peer]) -> None:
    """Nobody is waited for, and what was read before still waits."""
    assert run("inbox").code == 0
    shown = run("answer")
    assert shown.code == 10
    assert "decision from worker-1\nWhich way?" in shown.out


def test_nothing_to_answer() -> None:
    """0."""
    assert run("answer")[:2] == (0, "nothing waits for your answer\n")
