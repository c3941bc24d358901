"""One run of `psmux`: bounded in time, utf-8, always in a namespace. Not through libtmux, which attaches its flags."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.environment import base_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

CALL_LIMIT_S = 5.0
_OURS = ("PSMUX_SESSION", "PSMUX_SESSION_NAME")
_HINT = "run: winget install marlocarlo.psmux"


def namespace(team_id: str) -> str:
    """Return the namespace of a team, of letters, digits, `-` and `_`; the digest in the id keeps it its own."""
    return "imux-" + re.sub(r"[^A-Za-z0-9_-]", "-", team_id)


def run_psmux(
    program: str, within: str, command: Sequence[str], *, stdin: str = "", limit_s: float = CALL_LIMIT_S
) -> subprocess.CompletedProcess[str]:
    """Run one command in the namespace `within`; up to 3.3.8 psmux passes over a `-Lname` that is one word.

    Raises:
        MultiplexerError: There is no psmux, or it did not end in `limit_s` (`E_OUTCOME_UNKNOWN`).
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", within):
        # Without one, `kill-server` would end everybody's servers.
        raise ValueError(f"not a psmux namespace: {within!r}")
    return _run([program, "-L", within, *command], stdin, limit_s)


def psmux_version(program: str = "psmux") -> tuple[int, ...]:
    """Return the version in the second line of `psmux -V`; the first one calls itself tmux, under any name.

    Raises:
        MultiplexerError: `E_TMUX_MISSING`: there is none, or what is called so is another program.
    """
    out = _run([program, "-V"], "", CALL_LIMIT_S).stdout
    found = re.match(r"tmux [^\n]*\npsmux (\d+(?:\.\d+)*)", out)
    if found is None:
        raise MultiplexerError(f"{program} is not psmux: it says {out!r}", code="E_TMUX_MISSING", hint=_HINT)
    return tuple(map(int, found[1].split(".")))


def _run(argv: list[str], stdin: str, limit_s: float) -> subprocess.CompletedProcess[str]:
    # A psmux inside of a psmux refuses new sessions.
    env = {name: value for name, value in base_environment().items() if name not in _OURS}
    try:
        return subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=env,
            timeout=limit_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise MultiplexerError("psmux is not installed", code="E_TMUX_MISSING", hint=_HINT) from error
    except subprocess.TimeoutExpired as error:
        raise MultiplexerError(
            f"psmux did not answer within {limit_s:g} s",
            code="E_OUTCOME_UNKNOWN",
            hint="check the session, then try again",
        ) from error
