"""What is kept on disk of a surface opened in psmux: what to start, where it stands, and how it ended.

One private directory per surface, in which `psmux_launch.py` runs, so that a second process knows the same.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.mux import record_files
from intercom_mux.mux.environment import base_environment
from intercom_mux.paths import IDENTITY_VARIABLE

if TYPE_CHECKING:
    from intercom_mux.mux.base import SurfaceSpec

KEEPER = ""
"""The name of the surface that holds a session open while it has no peer."""


@dataclass(frozen=True, slots=True)
class Record:
    """One surface of ours: pane `surface` (`%3`) of `session`."""

    directory: Path
    name: str
    session: str
    surface: str
    command: str

    @property
    def pid(self) -> int:
        """The program; 0 until it runs."""
        return record_files.number(self.directory / "pid") or 0

    @property
    def exit_status(self) -> int | None:
        """How the program ended, None while it runs."""
        return record_files.number(self.directory / "status")

    def forget(self) -> None:
        """Remove what is kept of it."""
        remove(self.directory)


def prepare(parent: Path, spec: SurfaceSpec | None) -> Path:
    """Write what is needed to start `spec` (None: the keeper), in a new directory below `parent`, and return that.

    It is started by `launch_word` in that directory.
    """
    directory = record_files.make_directory(parent)
    launch = {
        "name": spec.name if spec else KEEPER,
        "argv": list(spec.argv) if spec else [],
        "cwd": str(spec.cwd) if spec else "",
        "base": base_environment(),
        "env": dict(spec.env) if spec else {},
        "unset": list(spec.unset) if spec else [],
    }
    record_files.write_json(directory / "launch.json", launch)
    argv = [sys.executable, "-I", "-S", str(Path(__file__).with_name("psmux_launch.py")), str(directory)]
    # `down` finds what belongs to a team by this variable in the environment a process was started with.
    identity = spec.env.get(IDENTITY_VARIABLE) if spec else None
    record_files.write(directory / launch_word()[2:], launch_file(argv, identity), 0o700)
    return directory


def launch_word(platform: str = sys.platform) -> str:
    r"""Return the one word that psmux is given to run; PowerShell, cmd and sh read it alike."""
    return ".\\launch.cmd" if platform == "win32" else "./launch"


def launch_file(argv: list[str], identity: str | None, platform: str = sys.platform) -> str:
    """Return the script behind `launch_word`, which runs `argv` (no word of it holds a double quote on Windows)."""
    if platform != "win32":
        mark = f"export {IDENTITY_VARIABLE}={shlex.quote(identity)}\n" if identity else ""
        return f"#!/bin/sh\n{mark}exec {shlex.join(argv)}\n"
    words = " ".join(f'"{word}"' for word in argv).replace("%", "%%")
    mark = f'@set "{IDENTITY_VARIABLE}={identity}"\r\n'.replace("%", "%%") if identity else ""
    return f"@chcp 65001 >nul\r\n{mark}@{words}\r\n"


def keep(directory: Path, *, session: str, surface: str) -> Record:
    """Write down where a prepared surface stands."""
    record_files.write_json(directory / "surface.json", {"session": session, "surface": surface})
    record = _read(directory)
    if record is None:
        raise FileNotFoundError(directory)
    return record


def records(parent: Path) -> list[Record]:
    """Return what was opened and not closed again, in order."""
    return [record for path in record_files.directories(parent) or () if (record := _read(path))]


def remove(directory: Path) -> None:
    """Remove the directory of one surface."""
    shutil.rmtree(directory, ignore_errors=True)


def _read(directory: Path) -> Record | None:
    """Return a record; None for one that is only half written, or just removed."""
    found = record_files.read(directory)
    if found is None:
        return None
    spec, place = found
    command = os.path.basename(spec["argv"][0]) if spec["argv"] else ""
    return Record(directory, spec["name"], place["session"], place["surface"], command)
