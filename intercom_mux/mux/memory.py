"""A multiplexer without processes: surfaces are objects, screens are text. For tests and `--dry-run`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.base import SurfaceSpec, SurfaceState, typeable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intercom_mux.layout.model import Arrangement


@dataclass(slots=True)
class MemorySurface:
    """A surface whose program is the test: set what it shows and does, read what it was given.

    A paste lands at the end of `screen`; Enter adds a line end and then calls `on_enter`, if set.
    """

    spec: SurfaceSpec
    session: str
    pid: int
    screen: str = ""
    title: str = ""
    command: str = ""
    is_in_mode: bool = False
    exit_status: int | None = None
    on_enter: Callable[[MemorySurface], None] | None = None
    pasted: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    enters: int = 0

    def exit(self, status: int) -> None:
        """End the program; the surface stays, as a dead one."""
        self.exit_status = status


class MemoryMultiplexer:
    """Surfaces in a dict; `surfaces` is open to the test. Ids are `m1`, `m2`, … and never used again."""

    name = "memory"
    owns_server = True

    def __init__(self) -> None:
        self.surfaces: dict[str, MemorySurface] = {}
        self.rings = 0
        self.marked = ""
        self._is_up = False
        self._opened = 0

    def open(
        self,
        session: str,
        arrange: str | Arrangement,  # noqa: ARG002 - no geometry here
        specs: Sequence[SurfaceSpec],
    ) -> dict[str, str]:
        for spec in specs:
            if not spec.cwd.is_dir():
                raise MultiplexerError(f"{spec.name}: no such directory: {spec.cwd}", peer=spec.name, cwd=str(spec.cwd))
        self._is_up = self._is_up or bool(specs)
        opened = {}
        for spec in specs:
            self._opened += 1
            surface = f"m{self._opened}"
            command = os.path.basename(spec.argv[0])
            self.surfaces[surface] = MemorySurface(spec, session, pid=self._opened, command=command)
            opened[spec.name] = surface
        return opened

    def states(self) -> dict[str, SurfaceState] | None:
        if not self._is_up:
            return None
        return {
            key: SurfaceState(
                id=key,
                pid=surface.pid,
                is_dead=surface.exit_status is not None,
                exit_status=surface.exit_status,
                title=surface.title,
                command=surface.command,
                is_in_mode=surface.is_in_mode,
                name=surface.spec.name,
            )
            for key, surface in self.surfaces.items()
        }

    def capture(self, surface: str, history: int = 0) -> str:  # noqa: ARG002 - all of the screen is visible
        return "\n".join(line.rstrip() for line in self._get(surface).screen.split("\n")).rstrip("\n")

    def paste(self, surface: str, text: str) -> None:
        found = self._get_live(surface)
        found.is_in_mode = False
        text = typeable(text)
        found.pasted.append(text)
        found.screen += text

    def press_enter(self, surface: str) -> None:
        found = self._get_live(surface)
        found.is_in_mode = False
        found.enters += 1
        found.screen += "\n"
        if found.on_enter is not None:
            found.on_enter(found)

    def show(self, surface: str, text: str) -> None:
        self._get(surface).notes.append(" ".join(typeable(text).split()))

    def ring(self) -> None:
        self.rings += 1

    def mark(self, text: str) -> None:
        self.marked = " ".join(typeable(text).split())

    def close(self, surface: str) -> None:
        self.surfaces.pop(surface, None)

    def shutdown(self) -> None:
        self.surfaces.clear()
        self._is_up = False

    def server_pid(self) -> int | None:
        return os.getpid() if self._is_up else None

    def attach_argv(self, surface: str | None = None) -> list[str]:
        if surface is not None:
            self._get(surface)
        return ["true"]

    def _get(self, surface: str) -> MemorySurface:
        found = self.surfaces.get(surface)
        if found is None:
            raise MultiplexerError(f"no such surface: {surface!r}", code="E_SURFACE_GONE", surface=surface)
        return found

    def _get_live(self, surface: str) -> MemorySurface:
        found = self._get(surface)
        if found.exit_status is not None:
            raise MultiplexerError(
                f"surface {surface} takes no input: its program has ended", code="E_SURFACE_BUSY", surface=surface
            )
        return found
