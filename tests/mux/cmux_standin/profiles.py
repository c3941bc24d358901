"""What differs between versions of cmux, for the app and for its command line. Imports nothing of the project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """One version; each flag is a documented difference."""

    version: str
    falls_back_to_focus: bool = False
    """An unknown surface is silently the focused one (0.62.2)."""
    adds_workspace: bool = False
    """The command line adds the environment's workspace to an explicit surface (up to 0.64.1)."""
    has_initial_command: bool = False
    """surface.split runs `initial_command` in place of the shell, in `working_directory`."""
    unknown_flags: str = "ignore"
    """What `new-split` does with them: ignore, or error."""
    has_command_flag: bool = False
    """`new-split --command TEXT` types it into the shell."""
    hangs_up: bool = False
    """A denied connection is closed without a word."""
    trailing_globals: bool = False
    """`--json` and `--id-format` are taken after the verb as well."""
    usage_status: int = 1
    """Exit status for an unknown verb."""
    denial: str = "Access denied — only processes started inside cmux can connect"
    tells_queued: bool = False


PROFILES = {
    profile.version: profile
    for profile in (
        Profile("0.62.2", falls_back_to_focus=True, adds_workspace=True, hangs_up=True),
        Profile("0.64.1", adds_workspace=True),
        Profile(
            "0.64.22",
            has_initial_command=True,
            unknown_flags="error",
            trailing_globals=True,
            usage_status=2,
            denial="Access denied - only processes started inside cmux can connect",
            tells_queued=True,
        ),
        Profile(
            "0.64.24",
            has_initial_command=True,
            unknown_flags="error",
            has_command_flag=True,
            trailing_globals=True,
            usage_status=2,
            denial="Access denied - only processes started inside cmux can connect",
            tells_queued=True,
        ),
    )
}
