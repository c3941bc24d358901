"""What the team daemon writes for the agents it starts, below the team's runtime directory; it goes with `down`."""

from __future__ import annotations

import json
import os
import shutil
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux import paths
from intercom_mux.agents.find import Profiles, load_profiles
from intercom_mux.agents.late import fill, needs
from intercom_mux.agents.profile_tree import Tree
from intercom_mux.host import files
from intercom_mux.host.files import EXACT
from intercom_mux.layout.model import Mark

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from intercom_mux.team.plan import PeerPlan


class Started(NamedTuple):
    """A peer's plan with its late values in: what to exec, and the port and password of the server it may have."""

    argv: tuple[str, ...]
    env: dict[str, str]
    port: int | None
    secret: str


def complete(peer: PeerPlan, team_id: str) -> Started:
    """Choose the late values of a peer, write its files anew, 0600 in a 0700 directory, and return what to start.

    Raises:
        IntercomError: The directory is not ours.
        OSError: A file cannot be written, or no port is free.
    """
    port = _free_port() if needs(peer, "port") else None
    secret = os.urandom(16).hex() if needs(peer, "secret") else ""
    late = {"port": str(port), "secret": secret}
    remove(team_id, peer.name)
    if peer.files:
        directory = paths.private_dir(paths.peer_dir(team_id, peer.name))
        for name, content in peer.files.items():
            _write(directory / name, fill(content, late))
    argv = tuple(fill(word, late) for word in peer.argv)
    return Started(argv, {name: fill(value, late) for name, value in peer.env.items()}, port, secret)


def remove(team_id: str, name: str) -> None:
    """Remove what was written for a peer. Idempotent."""
    shutil.rmtree(paths.peer_dir(team_id, name), ignore_errors=True)


def keep_profiles(team_id: str, profiles: Mapping[str, Any]) -> None:
    """Write down the data of profiles that peers are about to be started with, for `team_profiles`."""
    directory = paths.private_dir(_profiles_dir(team_id))
    for name, data in profiles.items():
        files.write_whole(directory / f"{name}.json", json.dumps(data))


def team_profiles(team_id: str) -> Profiles:
    """Return the profiles a team is run with: as its peers were started with them, before the user's and ours."""
    return load_profiles(layout={file.stem: _tree(file) for file in sorted(_profiles_dir(team_id).glob("*.json"))})


def _tree(file: Path) -> Tree:
    return Tree(json.loads(file.read_text(encoding="utf-8")), {"": Mark(file, 1, 1)})


def _profiles_dir(team_id: str) -> Path:
    return paths.team_runtime_dir(team_id) / "agents"


def _write(file: Path, content: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | EXACT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)


def _free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
