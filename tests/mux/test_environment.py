"""What a surface inherits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.mux.environment import base_environment

if TYPE_CHECKING:
    import pytest


def test_marks_go_and_settings_stay() -> None:
    """Nothing says to a peer that it runs inside another agent; what the user configured is passed on."""
    settings = {"PATH": "/bin", "HOME": "/h", "PI_CODING_AGENT_DIR": "/pi", "CLAUDE_CONFIG_DIR": "/c", "PIP_INDEX": "x"}
    marks = dict.fromkeys(
        ("TMUX", "TMUX_PANE", "INTERCOM_MUX_IDENTITY", "CLAUDECODE", "PI_CODING_AGENT", "CMUX_TAB_ID", "COLUMNS"), "x"
    )
    assert base_environment({**settings, **marks}) == settings


def test_our_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read at the time of the call."""
    monkeypatch.setenv("JUST_SET", "x")
    assert base_environment()["JUST_SET"] == "x"
