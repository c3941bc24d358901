"""The command that shows a tmux surface to a person; apart from the driver, which printing it does not need."""

from __future__ import annotations


def attach_argv(socket: str, surface: str | None = None, tmux_bin: str = "tmux") -> list[str]:
    """Return the argv that attaches to the server at `socket`, at pane `surface` if given."""
    where = [] if surface is None else ["-t", surface]
    return [tmux_bin, "-S", socket, "attach-session", *where]
