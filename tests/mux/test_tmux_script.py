"""The text given to tmux, judged by tmux itself."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.tmux_script import quote, refresh_environment, script, session_name

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.mux.tmux import TmuxMultiplexer


ANY_WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(text=ANY_WORD)
def test_any_word_survives_the_parser(tmux: TmuxMultiplexer, home: Path, text: str) -> None:
    """Whatever the word, tmux takes exactly its bytes: checked by a buffer that it saves to a file."""
    if tmux.server_pid() is None:
        tmux.open("team", "tiled", [SurfaceSpec("a", ("cat",), home)])
    target = home / "out"
    commands = [
        ["set-buffer", "-b", "probe", "--", f"x{text}"],
        ["save-buffer", "-b", "probe", "--", str(target)],
        ["delete-buffer", "-b", "probe"],
    ]
    subprocess.run(
        ["tmux", "-N", "-S", str(tmux.socket), "source-file", "-"], input=script(commands).encode(), check=True
    )
    assert os.fsdecode(target.read_bytes()) == f"x{text}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANY_WORD)
def test_a_quoted_word_is_plain_ascii_on_one_line(word: str) -> None:
    """No byte that tmux could read as syntax stays outside an octal escape."""
    inner = quote(word)[1:-1]
    assert inner.isascii()
    assert not set(inner) & set(" \t\n\"'$#;{}~`&|<>()*?[]!")


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_what_no_program_can_be_given_is_refused(word: str) -> None:
    """A NUL and a lone surrogate have no bytes to pass."""
    with pytest.raises(MultiplexerError, match="no program can be given"):
        quote(word)


def test_the_environment_is_changed_only_where_it_differs() -> None:
    """What is there already is left; the rest is set, and what is not wanted is removed."""
    shown = "SAME=1\nOTHER=old\nSTALE=x\n-REMOVED"
    assert refresh_environment(shown, {"SAME": "1", "OTHER": "new", "NEW": "a\nb"}) == [
        ["set-environment", "-g", "-u", "--", "STALE"],
        ["set-environment", "-g", "--", "OTHER", "new"],
        ["set-environment", "-g", "--", "NEW", "a\nb"],
    ]


@pytest.mark.parametrize(
    ("text", "name"), [("plain", "plain"), ("a.b:c", "a_b_c"), ("team@dir", "team@dir"), ("#(x) ", "__x__")]
)
def test_session_names(text: str, name: str) -> None:
    """A session's name has nothing that parts a target or starts a format."""
    assert session_name(text) == name
