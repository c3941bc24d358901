"""How teams are shown."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from typing import TYPE_CHECKING, Any

from intercom_mux.cli import team_text

if TYPE_CHECKING:
    import pytest

ATTACH = f"tmux -S /tmp/{'long/' * 12}tmux.sock attach-session -t %0"


def _up() -> dict[str, Any]:
    peer = {"name": "a", "role": "worker", "agent": "demo", "state": "ready", "attach": ATTACH}
    reused = {"name": "b", "role": "scout", "agent": "pi", "state": "reused", "attach": ""}
    lists: dict[str, list[str]] = {key: [] for key in ("running", "drifted", "extra", "added", "notices")}
    return {"team": "t", "attach": ATTACH, "started": ["a"], "reused": ["b"], "peers": [peer, reused], **lists}


def test_progress_takes_one_line_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are waited for: a line that wraps could not be taken back."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 40, 0, 0))
    names = [f"worker-{number}" for number in range(1, 31)]
    with os.fdopen(end, "w") as stderr, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        with team_text.Progress() as progress:
            progress.show({"event": "plan", "missing": names})
            progress.show({"event": "peer", "peer": "worker-1"})
        shown = ""
        while shown.count("\x1b[K") < 3:
            shown += os.read(terminal, 65_536).decode()
    os.close(terminal)
    first, second, last = shown.split("\r\x1b[K")[1:]
    assert (first, last) == ("starting worker-1, worker-2, worker-3,…", "")
    assert (second[:19], second[-1], len(second)) == ("waiting for worker-", "…", 39)


def test_up_tells_how_to_watch_each_peer_in_a_line_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The multiplexer's command in a pipe and where there is room, else the short one; none for what has no pane."""
    lines = team_text.summary(_up()).split("\n")
    assert lines[1].endswith(f"  ready   {ATTACH}")
    monkeypatch.setattr(team_text, "width", lambda: 80)
    narrow = team_text.summary(_up()).split("\n")
    assert narrow[1:3] == ["  a  worker  demo  ready   intercom-mux attach a", "  b  scout   pi    reused"]
    assert f"watch  {ATTACH}" in narrow


def test_up_says_to_ask_an_agent() -> None:
    """A shell answers nothing by itself, nor may a program, which is named when there is nobody else."""
    up = _up()
    peers = [{**up["peers"][0], "name": f"p-{agent}", "agent": agent} for agent in ("demo", "shell", "command")]
    assert 'talk   intercom-mux ask p-demo "…"' in team_text.summary({**up, "peers": peers}).split("\n")
    assert 'talk   intercom-mux ask p-command "…"' in team_text.summary({**up, "peers": peers[1:]}).split("\n")
