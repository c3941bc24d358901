"""What is kept on disk of a surface opened in cmux: what to start, where it stands, and how it ended.

One private directory per surface, so that a second process (`down`, a new daemon) knows the same. `cmux_launch.py`
reads and writes there too.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.mux import record_files
from intercom_mux.mux.base import SurfaceState
from intercom_mux.mux.environment import base_environment
from intercom_mux.paths import IDENTITY_VARIABLE

if TYPE_CHECKING:
    from intercom_mux.mux.base import SurfaceSpec


@dataclass(frozen=True, slots=True)
class Record:
    """One surface of ours; ids are UUIDs."""

    directory: Path
    name: str
    surface: str
    workspace: str
    pane: str
    command: str

    @property
    def pid(self) -> int:
        """The launcher, parent of the program; 0 until it runs."""
        return record_files.number(self.directory / "pid") or 0

    @property
    def exit_status(self) -> int | None:
        """How the program ended, None while it runs."""
        return record_files.number(self.directory / "status")

    @property
    def title(self) -> str:
        """The title that the program has set last."""
        try:
            return (self.directory / "title").read_text(encoding="utf-8")
        except OSError:
            return ""

    @property
    def is_bracketed(self) -> bool:
        """Whether the program has asked for pastes to be bracketed."""
        return record_files.number(self.directory / "bracketed") == 1

    def put(self, data: bytes, limit_s: float) -> None:
        """Give `data` to the launcher, to be typed.

        Raises:
            OSError: The launcher is gone.
            TimeoutError: It did not take all in time.
        """
        deadline = time.monotonic() + limit_s
        pipe = os.open(self.directory / "in", os.O_WRONLY | os.O_NONBLOCK)
        try:
            while data:
                try:
                    data = data[os.write(pipe, data) :]
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError from None
                    time.sleep(0.01)
        finally:
            os.close(pipe)

    def state(self) -> SurfaceState:
        """Return how the surface is, given that it exists."""
        status = self.exit_status
        return SurfaceState(
            id=self.surface,
            pid=self.pid,
            is_dead=status is not None,
            exit_status=status,
            title=self.title,
            command=self.command,
            is_in_mode=False,
            name=self.name,
        )

    def forget(self) -> None:
        """Remove what is kept of it."""
        shutil.rmtree(self.directory, ignore_errors=True)


def prepare(parent: Path, spec: SurfaceSpec, *, stays: bool = True) -> Path:
    """Write what is needed to start `spec`, in a new directory below `parent`, and return that directory.

    The program `launch` in it takes no argument. `stays` keeps the surface after the program's end.
    """
    directory = record_files.make_directory(parent)
    spec_file = {
        "name": spec.name,
        "argv": list(spec.argv),
        "cwd": str(spec.cwd),
        "base": base_environment(),
        "env": dict(spec.env),
        "unset": list(spec.unset),
        "log": str(spec.log) if spec.log else None,
        "stays": stays,
    }
    record_files.write_json(directory / "launch.json", spec_file)
    launcher = str(Path(__file__).with_name("cmux_launch.py"))
    words = shlex.join([sys.executable, "-I", "-S", launcher, str(directory)])
    # `down` finds what belongs to a team by this variable in the environment a process was started with.
    identity = spec.env.get(IDENTITY_VARIABLE)
    mark = f"export {IDENTITY_VARIABLE}={shlex.quote(identity)}\n" if identity else ""
    record_files.write(directory / "launch", f"#!/bin/sh\n{mark}exec {words}\n", 0o700)
    return directory


def keep(directory: Path, *, surface: str, workspace: str, pane: str) -> Record:
    """Write down where a prepared surface stands."""
    record_files.write_json(directory / "surface.json", {"surface": surface, "workspace": workspace, "pane": pane})
    record = _read(directory)
    if record is None:
        raise FileNotFoundError(directory)
    return record


def records(parent: Path) -> list[Record] | None:
    """Return what was opened and not closed again, in order; None where nothing ever was."""
    found = record_files.directories(parent)
    return None if found is None else [record for path in found if (record := _read(path))]


def _read(directory: Path) -> Record | None:
    """Return a record; None for one that is only half written, or just removed."""
    found = record_files.read(directory)
    if found is None:
        return None
    spec, place = found
    command = os.path.basename(spec["argv"][0])
    return Record(directory, spec["name"], place["surface"], place["workspace"], place["pane"], command)
