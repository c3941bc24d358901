"""Starting a stand-in for a test, and being inside it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.mux.cmux_standin.app import CAPABILITY
from tests.support import wait_until

if TYPE_CHECKING:
    import pytest

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]


class Standin:
    """One running stand-in; a context manager. `call` and `set` see and change everything, from outside."""

    def __init__(self, home: Path, version: str, **settings: Any) -> None:
        self.version = version
        self.socket = home / "cmux.sock"
        self.bin = home / "cmux-bin"
        self.bin.mkdir()
        program = self.bin / "cmux"
        cli = Path(__file__).with_name("cli.py")
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {cli} {version} "$@"\n')
        program.chmod(0o700)
        env = {"PATH": f"{self.bin}:{os.environ['PATH']}", "SHELL": "/bin/sh", "PS1": "$ ", **settings.pop("env", {})}
        self._settings = {"version": version, "cwd": str(home), "env": env, **settings}

    def __enter__(self) -> Self:
        argv = [sys.executable, "-m", "tests.mux.cmux_standin.app", str(self.socket), json.dumps(self._settings)]
        self.process = subprocess.Popen(argv, cwd=ROOT)
        wait_until(self.socket.exists, what="socket of the stand-in")
        self.user = self.surfaces()[0]["id"]
        self.workspace = self.call("workspace.current")["workspace_id"]
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the app, as quitting it does."""
        self.process.terminate()
        self.process.wait(10)

    def enter(self, monkeypatch: pytest.MonkeyPatch, *, by: str = CAPABILITY) -> None:
        """Make this process look as if it ran in the user's surface; it gets in by the capability."""
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        monkeypatch.setenv("CMUX_WORKSPACE_ID", self.workspace)
        monkeypatch.setenv("CMUX_SURFACE_ID", self.user)
        monkeypatch.setenv("CMUX_SOCKET_PATH", str(self.socket))
        if by:
            monkeypatch.setenv("CMUX_SOCKET_CAPABILITY", by)

    def call(self, method: str, **params: Any) -> Json:
        """Call a method by the way that is never denied."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            link.connect(f"{self.socket}.control")
            with link.makefile("rw") as stream:
                stream.write(json.dumps({"id": "t", "method": method, "params": params}) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
        assert answer["ok"], answer
        result: Json = answer["result"]
        return result

    def set(self, **faults: Any) -> None:
        """Bring in a fault, or change the mode."""
        self.call("standin.set", **faults)

    def look(self) -> Json:
        return self.call("standin.look")

    def surfaces(self) -> list[Json]:
        rows: list[Json] = self.call("surface.list")["surfaces"]
        return rows

    def focused(self) -> str:
        return str(self.call("system.identify")["focused"]["surface_id"])

    def screen(self, surface: str) -> str:
        return str(self.call("surface.read_text", surface_id=surface, scrollback=True)["text"])

    def type(self, surface: str, line: str) -> None:
        """Do what the user at the keyboard does."""
        self.call("surface.send_text", surface_id=surface, text=line)
        self.call("surface.send_key", surface_id=surface, key="enter")

    def run_cli(self, *words: str, env: Json | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line from outside."""
        argv = [str(self.bin / "cmux"), *words]
        return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False)
