"""Who is calling: what `client.identity.current` finds out, by the cheapest means."""

from __future__ import annotations

import os

from intercom_mux._fastpath.line import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

TEAM_FORMAT = 1


def identity() -> Json:
    """Return what `client.identity.current` does, as the mapping of an identity file.

    Raises:
        OSError: There is no identity file or no `broker.json`.
        ValueError: Several teams run, a file is damaged, or a broker was named: that may be one that is not ours.
    """
    file = os.environ.get("INTERCOM_MUX_IDENTITY")
    if file:
        value: Json = _read_json(file)
        return value
    if os.environ.get("INTERCOM_MUX_SOCKET"):
        raise ValueError("a broker was named")
    state = _state_dir()
    team = _only_team(state)
    leader = os.getsid(0)
    try:
        terminal = os.ttyname(0).removeprefix("/dev/").replace("/", "")
    except OSError:
        terminal = str(leader)
    return {
        "session": f"shell-{leader}-{_start_ticks(leader)}",
        "name": f"shell-{terminal}",
        "socket": _read_json(f"{state}/broker.json")["socket"],
        "scope": team["id"] if team and team["isolated"] else "",
        "team": team and team["id"],
        "token": None,
        "ask_wait_s": None,
    }


def _only_team(state: str) -> Json | None:
    """Return the state of the one team that runs, None when none does."""
    try:
        teams = [entry.path for entry in os.scandir(f"{state}/teams") if os.path.exists(f"{entry.path}/state.json")]
    except FileNotFoundError:
        return None
    if not teams:
        return None
    (directory,) = teams
    team = _read_json(f"{directory}/state.json")
    if team["format"] != TEAM_FORMAT or team["id"] != os.path.basename(directory):
        raise ValueError("a damaged team state is for click to report")
    return team


def has_config() -> bool:
    """Whether the user has a `config.toml`."""
    base = os.environ.get("XDG_CONFIG_HOME") or ""
    root = base if base.startswith("/") else os.path.expanduser("~/.config")
    return os.path.exists(f"{root}/intercom-mux/config.toml")


def has_child_requests() -> bool:
    """Whether sub-agents of pi have ever asked something through their file channel that still lies there."""
    base = os.environ.get("PI_SUBAGENTS_TEMP_ROOT", "").strip()
    if not base:
        temporary = next(filter(None, map(os.environ.get, ("TMPDIR", "TMP", "TEMP"))), "/tmp")  # noqa: S108
        base = f"{temporary}/pi-subagents-uid-{os.getuid()}"
    try:
        channels = list(os.scandir(f"{base}/supervisor-channels"))
    except OSError:
        return False
    return any(_has_entries(f"{channel.path}/requests") for channel in channels)


def _has_entries(directory: str) -> bool:
    try:
        return bool(os.listdir(directory))
    except OSError:
        return False


def _state_dir() -> str:
    base = os.environ.get("XDG_STATE_HOME") or ""
    root = base if base.startswith("/") else os.path.expanduser("~/.local/state")
    return f"{root}/intercom-mux"


def _start_ticks(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"


def _read_json(file: str) -> Json:
    with open(file, "rb") as stream:
        value: Json = decode(stream.read())
    return value
