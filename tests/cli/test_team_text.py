"""How teams are shown."""

from __future__ import annotations

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


def test_up_tells_how_to_watch_each_peer_in_a_line_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The multiplexer's command in a pipe and where there is room, else the short one; none for what has no pane."""
    lines = team_text.summary(_up()).split("\n")
    assert lines[1].endswith(f"  ready   {ATTACH}")
    monkeypatch.setattr(team_text, "width", lambda: 80)
    narrow = team_text.summary(_up()).split("\n")
    assert narrow[1:3] == ["  a  worker  demo  ready   intercom-mux attach a", "  b  scout   pi    reused"]
    assert f"watch  {ATTACH}" in narrow
