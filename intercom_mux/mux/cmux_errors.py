"""What cmux says when it refuses, each line with what it means and how to mend it. Pure; imported by `cmux_*` only."""

from __future__ import annotations

import re

from intercom_mux.errors import MultiplexerError

DENIED = "E_CMUX_DENIED"
"""cmux runs, and does not let us in."""
NOT_RUNNING = "E_CMUX_NOT_RUNNING"
"""Nobody serves the socket: whatever surfaces there were are gone."""
LAST_SURFACE = "E_CMUX_LAST_SURFACE"
"""cmux keeps the last surface of a workspace."""
STARTING = "E_CMUX_STARTING"
"""The terminal is not there yet."""

_GONE = "E_SURFACE_GONE"
_PLAIN = "E_MULTIPLEXER"
_ENTER = (
    "run this in a terminal of cmux, or use tmux: `mux: tmux`; to let other programs in, give the socket of cmux the "
    "mode automation (CMUX_SOCKET_MODE) and start cmux again"
)
_REPORT = "report this with the version of cmux (`cmux version`)"

SAYINGS: tuple[tuple[str, str, str, str], ...] = (
    (
        r"No live cmux socket found|Socket not found at",
        NOT_RUNNING,
        "cmux is not running, or its socket is switched off",
        "start cmux; if it runs, give its socket the mode cmuxOnly (CMUX_SOCKET_MODE) and start it again",
    ),
    (
        r"Failed to connect to socket .*Connection refused",
        NOT_RUNNING,
        "cmux has ended and left its socket behind",
        "start cmux again, and run this in one of its terminals",
    ),
    (
        r"Failed to connect to socket .*Permission denied",
        DENIED,
        "the socket of cmux belongs to another user",
        "run this as the user who runs cmux",
    ),
    (r"Failed to connect to socket", NOT_RUNNING, "cmux cannot be reached", "start cmux, then try again"),
    (
        r"Failed to write to socket|Access denied",
        DENIED,
        "cmux admits only processes that were started inside it",
        _ENTER,
    ),
    (
        r"auth_required|Authentication required",
        DENIED,
        "cmux asks for a password",
        "export CMUX_SOCKET_PASSWORD with the password of cmux's socket",
    ),
    (
        r"Invalid password",
        DENIED,
        "cmux does not accept the password",
        "set CMUX_SOCKET_PASSWORD to the password of cmux's socket",
    ),
    (r"Surface not found", _GONE, "the surface is closed", "see `intercom-mux status`"),
    (
        r"(Workspace|Tab|Pane|Window) not found",
        _GONE,
        "the workspace of the surface is closed",
        "see `intercom-mux status`",
    ),
    (
        r"Surface is not a terminal",
        _GONE,
        "the surface is not in its workspace any more, or no terminal",
        "move it back",
    ),
    (
        r"Cannot close the last surface",
        LAST_SURFACE,
        "cmux keeps the last surface of a workspace",
        "close the workspace in cmux",
    ),
    (r"^(Error: )?protected", _PLAIN, "the workspace is pinned, and cmux protects it", "unpin the workspace in cmux"),
    (
        r"Failed to read terminal text|surface_unavailable|^(Error: )?unavailable",
        STARTING,
        "the terminal is not ready: cmux starts it when its workspace is first shown",
        "open the workspace in cmux once",
    ),
    (r"input_queue_full", "E_SURFACE_BUSY", "the program does not read what is typed", "wait until it does"),
    (r"process_exited", "E_SURFACE_BUSY", "the program in the surface has ended", "run `intercom-mux up` again"),
    (
        r"Command timed out",
        "E_OUTCOME_UNKNOWN",
        "cmux did not answer in time; it may have done what was asked",
        "check the surface, then try again",
    ),
    (
        r"close-surface requires|Invalid \w+ handle|requires (a direction|text)|Unknown key|invalid_params|parse_error",
        _PLAIN,
        "cmux did not understand a request of ours",
        _REPORT,
    ),
    (
        r"unknown flag|Unknown (command|method|option)|invalid_request",
        _PLAIN,
        "this version of cmux lacks something that is needed",
        "update cmux",
    ),
    (r"wait-for timed out", "E_OUTCOME_UNKNOWN", "cmux did not give the signal in time", "try again"),
    (r"internal_error|invalid_state", _PLAIN, "cmux failed", "look into its log; then try again"),
)
"""Pattern, code, meaning, fix; the first that is found in a line holds."""


def explain(line: str, what: str = "", **fields: str) -> MultiplexerError:
    """Return the error that one line of cmux's stderr, or one refusal on its socket, stands for; `what` we wanted."""
    said = line.strip()
    known = ((code, meaning, fix) for pattern, code, meaning, fix in SAYINGS if re.search(pattern, said))
    code, meaning, fix = next(known, (_PLAIN, "cmux refused", _REPORT))
    wanted = f"cannot {what}: " if what else ""
    return MultiplexerError(f"{wanted}{meaning} (cmux: {said})", code=code, hint=fix, said=said, **fields)
