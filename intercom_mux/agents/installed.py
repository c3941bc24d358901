"""Which agents are installed here, in which version, and what is known of each."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intercom_mux.agents.find import COMMAND, find_program, load_profiles, origin
from intercom_mux.agents.launch import reply_channel
from intercom_mux.errors import LayoutError
from intercom_mux.host.process import DETACHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.agents.profile import Profile

VERSION_LIMIT_S = 10.0
"""Longest time a program may take to tell its version; some load for seconds."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as `intercom-mux agents` shows it.

    Attributes:
        is_installed: True also for one that needs no program.
        program: Path of the program; None without one.
        version: None when it was not told in time, or there is no program.
        status: Where its status is read from, best first.
        origin: bundled, user or layout.
        fault: What is wrong with the profile; the rest is then empty.
    """

    name: str
    is_installed: bool = False
    program: str | None = None
    version: str | None = None
    routes: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    reply: str = ""
    is_auto: bool = False
    origin: str = ""
    path: str = ""
    install: str | None = None
    fault: str | None = None


def survey(*, limit_s: float = VERSION_LIMIT_S, which: Callable[[str], str | None] = shutil.which) -> list[Agent]:
    """Return every agent by name, after asking all programs for their versions at once, each for at most `limit_s`."""
    profiles = load_profiles()

    def look(name: str) -> Agent:
        try:
            return _agent(profiles[name], which, limit_s)
        except LayoutError as error:
            return Agent(name, path=str(error.fields.get("path", "")), fault=error.message)

    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(look, sorted(set(profiles) - {COMMAND})))


def _agent(profile: Profile, which: Callable[[str], str | None], limit_s: float) -> Agent:
    program = find_program(profile, which)
    return Agent(
        name=profile.name,
        is_installed=program is not None or not profile.binaries,
        program=program,
        version=_version(profile, program, limit_s) if program else None,
        routes=profile.routes,
        status=profile.status_sources,
        reply=reply_channel(profile),
        is_auto=profile.auto,
        origin=origin(profile),
        path=str(profile.path),
        install=profile.install,
    )


def _version(profile: Profile, program: str, limit_s: float) -> str | None:
    argv = [word.replace("{binary}", program).replace("{python}", sys.executable) for word in profile.version.argv]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
            start_new_session=True,
            creationflags=DETACHED,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = profile.version.pattern.search(done.stdout) or profile.version.pattern.search(done.stderr)
    if found is None:
        return None
    return found[1] if found.re.groups else found[0]
