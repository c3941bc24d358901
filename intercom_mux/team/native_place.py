"""Whether the agents that bring a client of their own would meet our broker: it must hold the place they look at."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.broker import lifecycle, places
from intercom_mux.errors import TeamError
from intercom_mux.host.unix import listening_pid

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from intercom_mux.agents.profile import Profile


SERVE_TIMEOUT_S = 5.0
POLL_S = 0.05


def problem(profile: Profile, environment: Mapping[str, str]) -> str | None:
    """Return why a peer of this profile would miss the team, None if it would not; `environment` is the peer's own.

    Only another broker in the agent's place is a reason: a free place will be ours.
    """
    if "native" not in profile.routes:
        return None
    agent = agent_dir(profile.name, environment)
    socket = places.socket_of(agent)
    pid = listening_pid(socket)
    if pid is None or _is_ours(pid):
        return None
    return (
        f"{profile.name} would not meet this team: another broker (pid {pid or 'unknown'}) serves {socket}; "
        f"`intercom-mux broker replace --pi {agent}` puts ours in its place"
    )


def serve(agents: Collection[Path]) -> None:
    """Have our broker, which runs, listen where these agents look; it does on return.

    Raises:
        TeamError: It does not in time.
        IntercomError: A place cannot be a private directory of ours, or its path is too long for a socket.
    """
    places.remember(agents)
    deadline = time.monotonic() + SERVE_TIMEOUT_S
    for agent in agents:
        while not _is_ours(listening_pid(places.socket_of(agent))):
            if time.monotonic() >= deadline:
                raise TeamError(
                    f"our broker does not listen at {places.socket_of(agent)}",
                    hint="see `intercom-mux broker status`",
                )
            time.sleep(POLL_S)


def _is_ours(pid: int | None) -> bool:
    own = lifecycle.running()
    return own is not None and pid == own["pid"]


def agent_dir(agent: str, environment: Mapping[str, str]) -> Path:
    """Return the directory in whose place an agent's client looks for a broker."""
    if agent == "atomic":
        return Path.home() / ".atomic" / "agent"
    wanted = environment.get("PI_CODING_AGENT_DIR", "").strip()
    return places.agent_dir(wanted) if wanted else places.pi_agent_dir()
