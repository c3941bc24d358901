"""From the name of an agent to its profile and its program.

A profile is one YAML file; its name is the file's stem. The bundled ones lie in `profiles/`; a user's file of the same
name in `<config dir>/agents/` takes its place, so that a changed screen is mended without a release, and a layout's
`agents:` come before both.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux import config, paths
from intercom_mux.agents.profile import Profile, Resolved
from intercom_mux.errors import LayoutError
from intercom_mux.layout.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from intercom_mux.agents.profile_tree import Layer

BUNDLED = Path(__file__).parent / "profiles"
AUTO = "auto"
AUTO_ORDER = ("claude", "codex", "pi", "gemini", "opencode", "aider")
"""Order in which `agent: auto` looks for an installed program, unless the configuration has another."""
EMBEDDED = "demo"
"""The profile that needs nothing installed."""
COMMAND = "command"
"""The profile of a peer that is any program."""


class Profiles(Mapping[str, Profile]):
    """Profiles by name, each read when it is first asked for: a team needs few of them.

    Asking for one raises LayoutError when its file is not valid; it names the file, `problems` lists every fault.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._names = {name: None for layer in layers for name in layer}
        self._read: dict[str, Profile] = {}

    def __getitem__(self, name: str) -> Profile:
        if name not in self._read:
            from intercom_mux.agents.profile_file import read_profile

            if name not in self._names:
                raise KeyError(name)
            self._read[name] = read_profile(name, self._layers)
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def load_profiles(extra_dirs: Iterable[Path] | None = None, *, layout: Layer | None = None) -> Profiles:
    """Find the bundled profiles and those of `extra_dirs`; later ones replace by name, missing directories are empty.

    Args:
        extra_dirs: None looks into the user's `<config dir>/agents`.
        layout: Profiles that a layout brings along; they come last.
    """
    found = layers(extra_dirs)
    return Profiles([*found, layout] if layout else found)


def layers(extra_dirs: Iterable[Path] | None = None) -> list[Layer]:
    """Return the files of `load_profiles` by name, the strongest directory last."""
    extra = [user_dir()] if extra_dirs is None else list(extra_dirs)
    return [{path.stem: path for path in sorted(place.glob("*.yaml"))} for place in (BUNDLED, *extra)]


def user_dir() -> Path:
    """Return where the user's own profiles are; it need not exist."""
    return paths.config_dir() / "agents"


def origin(profile: Profile) -> str:
    """Return where a profile comes from: bundled, user or layout."""
    places = {BUNDLED: "bundled", user_dir(): "user"}
    return places.get(profile.path.parent, "layout")


def auto_order() -> tuple[str, ...]:
    """Return the order in which `agent: auto` looks for programs: `[agents] order` of the configuration, or ours.

    Raises:
        IntercomError: The configuration cannot be read or is not valid.
    """
    table = config.table("agents", keys=("order",))
    order = table.get("order", list(AUTO_ORDER))
    if not isinstance(order, list) or not all(isinstance(name, str) for name in order):
        raise config.problem('agents.order must be a list of names, as ["codex", "claude"]', key="agents.order")
    return tuple(order)


def resolve(
    agent: str,
    which: Callable[[str], str | None] = shutil.which,
    *,
    profiles: Mapping[str, Profile] | None = None,
    order: Sequence[str] = AUTO_ORDER,
) -> Resolved:
    """Find the profile called `agent` and its program; `auto` takes the first installed of `order`, else the demo.

    Raises:
        LayoutError: No such profile, or its program is not installed.
    """
    known = load_profiles() if profiles is None else profiles
    if agent == AUTO:
        return _resolve_auto(which, known, order)
    profile = known.get(agent)
    if profile is None:
        near = did_you_mean(agent, [AUTO, *known])
        raise LayoutError(
            f"unknown agent {agent!r}; known: {', '.join([AUTO, *sorted(known)])}",
            hint=f"did you mean {near!r}?" if near else "describe it in a profile, or use command: instead",
            code="E_AGENT_UNKNOWN",
            agent=agent,
        )
    if not profile.binaries:
        return Resolved(profile, None)
    binary = find_program(profile, which)
    if binary is None:
        raise LayoutError(
            f"agent {agent!r} is not installed: no {' or '.join(profile.binaries)} on PATH",
            hint=f"install it with: {profile.install}" if profile.install else f"install {profile.binaries[0]}",
            code="E_AGENT_MISSING",
            agent=agent,
            binaries=list(profile.binaries),
        )
    return Resolved(profile, binary)


def find_program(profile: Profile, which: Callable[[str], str | None] = shutil.which) -> str | None:
    """Return the path of the profile's program, None when it is not installed or needs none."""
    for candidate in profile.binaries:
        program = os.environ.get(candidate[1:], "") if candidate.startswith("$") else candidate
        found = which(program) if program else None
        if found:
            return found
    return None


def _resolve_auto(which: Callable[[str], str | None], known: Mapping[str, Profile], order: Sequence[str]) -> Resolved:
    looked_for: list[str] = []
    for profile in (known[name] for name in order if name in known):
        binary = find_program(profile, which) if profile.auto else None
        if binary is not None:
            return Resolved(profile, binary)
        looked_for += profile.binaries if profile.auto else ()
    notice = f"no agent program found (looked for {', '.join(looked_for) or 'none'}); using the embedded demo agent"
    return Resolved(known[EMBEDDED], None, notice)
