"""The agent in a real terminal: a pseudo-terminal read as bytes, and tmux for the picture as a person sees it."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agents.demo.pseudo import AGENT, Pseudo, agent
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AUTH = Path(__file__).parents[3] / "examples" / "quickstart" / "auth-service"

ECHO = """
import hashlib, pathlib, sys, time
from intercom_mux.agents.demo.terminal import Terminal
with Terminal() as terminal:
    terminal.status("idle")
    while True:
        try:
            text = terminal.next_submission()
        except EOFError:
            break
        terminal.show(f"begun {len(text)} {hashlib.sha256(text.encode()).hexdigest()[:8]} {text[:20]!r}")
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        terminal.show(f"ended {len(text)}")
"""
"""A program around the terminal that is busy with each submission until the file `go` exists."""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def titles(written: bytes) -> list[str]:
    return re.findall(r"\x1b]2;(.*?)\x07", written.decode())


def test_a_question_is_asked_and_answered() -> None:
    """Bracketed paste is on, the title names each state, and the answer stands above the composer."""
    with agent(AUTH) as pane:
        start = pane.wait_idle()
        assert "\x1b[?2004h" in pane.written.decode()
        pane.type(b"what is the retry budget?\r")
        pane.wait_idle(start)
        pane.wait_for("class RetryBudget")
        states = ["starting", "idle", "thinking", "tool:search", "thinking", "idle"]
        assert titles(pane.written) == [f"demo · {state}" for state in states]


def test_a_prompt_may_begin_with_a_dash(tmp_path: Path) -> None:
    """Any text is a prompt."""
    with Pseudo([*AGENT, "--name", "a", "--role", "scout", "--prompt", "--name"], tmp_path) as pane:
        pane.wait_for("  --name")
        pane.wait_idle()


def test_a_paste_waits_for_enter() -> None:
    """Several lines show as the first and a count; only Enter submits them."""
    with agent(AUTH) as pane:
        pane.wait_idle()
        pane.paste("[intercom] from planner · message 7f3a\nfirst\nsecond")
        shown = pane.wait_for("[intercom] from planner · message 7f3a (+2 lines)")
        assert "thinking" not in pane.written.decode()
        pane.type(b"\r")
        pane.wait_idle(shown)
        assert b"  first\r\n" in pane.written[shown:]


def test_a_huge_paste_with_control_characters_arrives_whole(tmp_path: Path) -> None:
    """100 KB holding Ctrl-C, Ctrl-D, escapes and wide characters is one submission, byte for byte."""
    text = ("line \x03\x04\x15\x7f\x1b[31m 日本 \x1b]2;title\x07\n" * 4000)[: 100 * 1024]
    (tmp_path / "go").touch()
    with Pseudo(["-c", ECHO], tmp_path) as pane:
        pane.wait_idle()
        pane.paste(text)
        pane.wait_for(f"(+{text.count(chr(10))} lines)")
        pane.type(b"\r")
        pane.wait_for(f"begun {len(text)} {digest(text)}")
        assert "demo · title" not in titles(pane.written)
        assert "title" not in titles(pane.written)


def test_input_while_busy_is_kept_shown_and_taken_in_order(tmp_path: Path) -> None:
    """Drafts and submissions that arrive during work are in sight, and none is lost."""
    with Pseudo(["-c", ECHO], tmp_path) as pane:
        pane.wait_idle()
        pane.type(b"one\r")
        busy = pane.wait_for("begun 3")
        pane.paste("two\nlines")
        pane.type(b"\rthree\rdraft")
        pane.wait_for("· queued: two", busy)
        pane.wait_for("· queued: three", busy)
        pane.wait_for("draft", busy)
        assert b"begun 9" not in pane.written
        (tmp_path / "go").touch()
        second = pane.wait_for(f"begun 9 {digest('two' + chr(10) + 'lines')}", busy)
        pane.wait_for(f"begun 5 {digest('three')}", second)


@pytest.mark.parametrize("keys", [b"\x03", b"\x04", b"quit\r", b"half a draft\x03"])
def test_a_person_can_quit(keys: bytes) -> None:
    """Ctrl-C, Ctrl-D on an empty draft, and `quit` end with status 0 and leave the terminal as it was."""
    with agent(AUTH) as pane:
        pane.wait_idle()
        assert pane.modes() != pane.modes_before
        pane.type(keys)
        assert pane.end() == (0, "")
        assert pane.modes() == pane.modes_before
        wait_until(lambda: pane.written.endswith(b"\x1b[?2004l"), what="bracketed paste off")


@pytest.mark.parametrize("is_busy", [False, True])
@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda pane: pane.process.send_signal(signal.SIGTERM), 143),
        (lambda pane: pane.process.send_signal(signal.SIGHUP), 0),
        (lambda pane: pane.type(b"\x03"), 0),
    ],
    ids=["TERM", "HUP", "Ctrl-C"],
)
def test_a_signal_ends_it_cleanly(tmp_path: Path, end: Callable[[Pseudo], None], status: int, is_busy: bool) -> None:
    """Idle or busy, the terminal is restored and the status is the usual one."""
    with Pseudo(["-c", ECHO], tmp_path) as pane:
        pane.wait_idle()
        if is_busy:
            pane.type(b"work\r")
            pane.wait_for("begun 4")
        end(pane)
        assert pane.end() == (status, "")
        assert pane.modes() == pane.modes_before
        wait_until(lambda: pane.written.endswith(b"\x1b[?2004l"), what="bracketed paste off")


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_lost_terminal_ends_it(tmp_path: Path, is_busy: bool) -> None:
    """When the pane is closed nothing of the agent stays, whatever it was doing."""
    with Pseudo(["-c", ECHO], tmp_path) as pane:
        pane.wait_idle()
        if is_busy:
            pane.type(b"work\r")
            pane.wait_for("begun 4")
        pane.hang_up()
        assert pane.end() == (0, "")


def test_a_resize_draws_the_composer_for_the_new_width() -> None:
    """Rows are wrapped to the width of now."""
    with agent(AUTH, columns=80) as pane:
        start = pane.wait_idle()
        pane.type(b"x" * 30)
        start = pane.wait_for("x" * 30, start)
        pane.resize(20, 24)
        start = pane.wait_for("\x1b[1A\x1b[J", start)
        pane.type(b"\r")
        pane.wait_for("Nothing here matches\r\n", start)


@pytest.mark.parametrize(("value", "is_coloured"), [("1", False), ("", True)])
def test_no_color_is_respected(value: str, is_coloured: bool) -> None:
    """NO_COLOR with any value means no graphic rendition at all."""
    with agent(AUTH, env={"NO_COLOR": value}) as pane:
        pane.wait_idle()
        assert (re.search(rb"\x1b\[\d*m", pane.written) is not None) == is_coloured


def test_without_a_terminal_it_reads_lines(tmp_path: Path) -> None:
    """Piped input is answered line by line in plain text, and its end is the agent's end."""
    (tmp_path / "a.txt").write_text("the spool is here\n")
    done = subprocess.run(
        [sys.executable, "-I", *AGENT, "--name", "a", "--role", "scout"],
        input=b"where is the spool?\nhelp",
        cwd=tmp_path,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"a.txt:1-1\n  1  the spool is here\n" in done.stdout
    assert b"peers   who is there" in done.stdout
    assert b"\x1b" not in done.stdout


@pytest.fixture
def tmux(home: Path) -> Iterator[Callable[..., str]]:
    """Run a tmux command on a server of this test's own."""
    socket = home / "tmux"

    def run(*args: str, stdin: str | None = None) -> str:
        argv = ["tmux", "-S", str(socket), "-f", "/dev/null", *args]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True, timeout=10).stdout

    yield run
    subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True, check=False, timeout=10)
    socket.unlink(missing_ok=True)


def test_in_tmux_the_composer_is_the_last_line(tmux: Callable[..., str]) -> None:
    """A person sees transcript, then composer, whatever the size of the window becomes."""
    command = [sys.executable, "-I", *AGENT, "--name", "a", "--role", "scout"]
    tmux("new-session", "-d", "-x", "70", "-y", "20", "-c", str(AUTH), "-e", f"HOME={os.environ['HOME']}", *command)

    def screen() -> list[str]:
        return tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def title() -> str:
        return tmux("display-message", "-p", "#{pane_title}").strip()

    wait_until(lambda: title() == "demo · idle", what="idle")
    tmux("load-buffer", "-b", "b", "-", stdin="[intercom] from planner · message 7f3a\nRefresh tokens\nearly")
    tmux("paste-buffer", "-p", "-r", "-d", "-b", "b")
    wait_until(lambda: screen()[-1] == "› [intercom] from planner · message 7f3a (+2 lines)", what="draft")
    tmux("resize-window", "-x", "30", "-y", "12")
    wait_until(lambda: tmux("capture-pane", "-p", "-J").rstrip("\n").endswith("7f3a (+2 lines)"), what="reflow")
    tmux("send-keys", "Enter")
    wait_until(lambda: screen()[-1].strip() == "›", what="empty composer")
    assert "  Refresh tokens" in screen()
    assert sum(line.startswith("›") for line in screen()) == 1
    wait_until(lambda: title() == "demo · idle", what="idle again")
