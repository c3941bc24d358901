"""Where things live. Imports only `errors` and `host`.

State (journal, locks, `broker.json`, team states) is under `$XDG_STATE_HOME`; sockets are in a short 0700 directory
under /tmp named by uid and state directory, because XDG_RUNTIME_DIR differs under ssh, cron and scrubbed environments.
On Windows all of it is in the user's profile, which is closed to others.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from intercom_mux.errors import IntercomError
from intercom_mux.host import address, files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

    AnyPath = TypeVar("AnyPath", bound=PurePath)

SOCKET_PATH_MAX_BYTES = 103
"""Longest AF_UNIX path that Linux (107) and macOS (103) both take."""

IDENTITY_VARIABLE = "INTERCOM_MUX_IDENTITY"
"""The one environment variable of a pane: the path of its identity file; also the marker that `down` looks for."""


ELSEWHERE = "set XDG_STATE_HOME to"
"""How the state directory is put elsewhere: what hints begin with."""


def state_dir() -> Path:
    """Return the state directory; not created."""
    return base_dir("state", os.environ, Path.home()) / "intercom-mux"


def config_dir() -> Path:
    """Return the user's configuration directory; not created."""
    return base_dir("config", os.environ, Path.home()) / "intercom-mux"


_BASES = {
    "state": ("XDG_STATE_HOME", "LOCALAPPDATA", (".local", "state"), ("AppData", "Local")),
    "config": ("XDG_CONFIG_HOME", "APPDATA", (".config",), ("AppData", "Roaming")),
}


def base_dir(kind: str, environ: Mapping[str, str], home: AnyPath, platform: str = sys.platform) -> AnyPath:
    """Return where programs keep their "state" or "config"; a variable that is no absolute path counts for nothing."""
    variable, on_windows, below_home, below_profile = _BASES[kind]
    is_windows = platform == "win32"
    for name in (variable, on_windows) if is_windows else (variable,):
        base = type(home)(environ.get(name, ""))
        if base.is_absolute():
            return base
    return home.joinpath(*(below_profile if is_windows else below_home))


def runtime_dir() -> Path:
    """Return the directory of sockets that belongs to this user and state directory; not created."""
    if sys.platform == "win32":
        return state_dir() / "run"
    digest = hashlib.sha256(os.fsencode(state_dir())).hexdigest()[:8]
    return Path("/tmp") / f"imux-{os.getuid()}-{digest}"  # noqa: S108 - owner and mode are checked by private_dir


def broker_socket() -> Path:
    """Return the address of the broker: its own socket, or an endpoint file (`host/address.py`)."""
    return address.place(runtime_dir(), "broker")


def broker_file() -> Path:
    """Return `broker.json`: pid, socket path and version of the running broker."""
    return state_dir() / "broker.json"


def journal_file() -> Path:
    """Return the path of the broker's SQLite journal."""
    return state_dir() / "journal.sqlite3"


def team_state_dir(team_id: str) -> Path:
    """Return the directory of a team's state and logs."""
    return state_dir() / "teams" / team_id


def team_runtime_dir(team_id: str) -> Path:
    """Return the directory of a team's sockets and identity files; its path marks the team's processes."""
    return runtime_dir() / "t" / team_id


def peer_identity_file(team_id: str, name: str) -> Path:
    """Return the identity file of a peer."""
    return team_runtime_dir(team_id) / f"{name}.identity"


def peer_dir(team_id: str, name: str) -> Path:
    """Return the private directory of a peer, where the files that its agent is started with lie; not created.

    Not below /tmp: gemini takes no settings from below a directory that others may write to.
    """
    return peers_dir(team_id) / name


def peers_dir(team_id: str) -> Path:
    """Return what holds the private directories of a team's peers."""
    return team_state_dir(team_id) / "peers"


def private_dir(path: Path) -> Path:
    """Create `path` as a 0700 directory of ours and return it. Idempotent.

    Missing parents are made too: 0700 from the state and runtime directory on, as the umask has it above.

    Raises:
        IntercomError: It is a symbolic link, no directory, foreign-owned, or open to others and not ours to close.
    """
    try:
        _make(path, 0o700)
        info = path.lstat()
    except OSError as error:
        problem = f"cannot create directory {path}: {error.strerror}"
        hint = f"{ELSEWHERE} a directory where you may write" if path.is_relative_to(state_dir()) else None
        raise IntercomError(problem, code="E_PATH", hint=hint, path=str(path)) from error
    is_directory = stat.S_ISDIR(info.st_mode)
    problem = files.owner_problem(info) if is_directory else "is a symbolic link or not a directory"
    if problem:
        raise IntercomError(f"refusing {path}: it {problem}", code="E_PATH", hint=f"remove {path}", path=str(path))
    if files.mode_problem(info):
        path.chmod(0o700)
    return path


def _make(path: Path, mode: int) -> None:
    try:
        path.mkdir(mode, exist_ok=True)
    except FileNotFoundError:
        parent = path.parent
        is_ours = any(parent.is_relative_to(root) for root in (state_dir(), runtime_dir()))
        _make(parent, 0o700 if is_ours else 0o777)
        path.mkdir(mode, exist_ok=True)


def socket_path(path: Path) -> Path:
    """Return `path` if AF_UNIX can bind it, or if it is an endpoint file.

    Raises:
        IntercomError: It is longer than `SOCKET_PATH_MAX_BYTES`.
    """
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_MAX_BYTES and not address.is_tcp(path):
        raise IntercomError(
            f"socket path of {size} bytes is longer than {SOCKET_PATH_MAX_BYTES}: {path}", code="E_PATH", path=str(path)
        )
    return path
