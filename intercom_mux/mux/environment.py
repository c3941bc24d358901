"""The environment every surface starts from, whatever the multiplexer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from intercom_mux.paths import IDENTITY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARENT_MARKS = frozenset(
    {
        IDENTITY_VARIABLE,
        "TMUX",
        "TMUX_PANE",
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_MESSAGING_SOCKET",
        "CLAUDE_CODE_SESSION_ID",
        "CLAUDE_CODE_SSE_PORT",
        "COLUMNS",
        "LINES",
    }
)
_PARENT_PREFIXES = ("CMUX_", "PI_")
_SETTINGS = frozenset({"PI_CODING_AGENT_DIR"})


def base_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return `environ` (by default ours) without the marks of the agent, multiplexer or terminal that we run in.

    Such marks would make an agent refuse to nest, act as its parent, or draw for a screen of another size. The
    user's settings stay, also those that share a prefix with marks.
    """
    source = os.environ if environ is None else environ
    return {name: value for name, value in source.items() if name in _SETTINGS or not _is_parent_mark(name)}


def _is_parent_mark(name: str) -> bool:
    return name in _PARENT_MARKS or name.startswith(_PARENT_PREFIXES)
