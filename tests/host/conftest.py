"""A Python that is one as on Windows, as far as that can be had here (`as_windows/sitecustomize.py`)."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.cli.stage import Ran
from tests.support import SCALE

HERE = Path(__file__).parent


class WindowsPython:
    """An interpreter in a directory of its own, which whatever it starts by `sys.executable` is as well."""

    def __init__(self, directory: Path) -> None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = directory / "lib" / version / "site-packages"
        packages.mkdir(parents=True)
        (directory / "bin").mkdir()
        self.program = directory / "bin" / "python"
        self.program.symlink_to(os.path.realpath(sys.executable))
        (directory / "pyvenv.cfg").write_text(f"home = {Path(os.path.realpath(sys.executable)).parent}\n")
        found = [sysconfig.get_paths()["purelib"], str(HERE.parents[1]), str(HERE / "as_windows")]
        (packages / "here.pth").write_text("\n".join(found) + "\n")

    def run(self, *arguments: str, **options: Any) -> Ran:
        """Run a command line of ours to its end."""
        return self.python("-m", "intercom_mux", *arguments, **options)

    def python(self, *words: str, **options: Any) -> Ran:
        """Run the interpreter to its end."""
        done = subprocess.run(
            [str(self.program), "-I", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60 * SCALE,
            check=False,
            **options,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command line of ours."""
        return subprocess.Popen(
            [str(self.program), "-I", "-m", "intercom_mux", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def windows(home: Path) -> WindowsPython:
    """The interpreter."""
    return WindowsPython(home / "windows")
