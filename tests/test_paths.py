"""Places by the rules of each system."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from intercom_mux.errors import IntercomError
from intercom_mux.paths import base_dir, private_dir, runtime_dir, team_runtime_dir, team_state_dir

PROFILE = PureWindowsPath(r"C:\Users\Ada Lovelace")


@pytest.mark.parametrize(
    ("kind", "environ", "expected"),
    [
        ("state", {}, r"C:\Users\Ada Lovelace\AppData\Local"),
        ("config", {}, r"C:\Users\Ada Lovelace\AppData\Roaming"),
        ("state", {"LOCALAPPDATA": r"D:\Local", "APPDATA": r"D:\Roaming"}, r"D:\Local"),
        ("config", {"LOCALAPPDATA": r"D:\Local", "APPDATA": r"D:\Roaming"}, r"D:\Roaming"),
        ("state", {"LOCALAPPDATA": r"\\server\share\ada"}, r"\\server\share\ada"),
        ("state", {"XDG_STATE_HOME": r"E:\state", "LOCALAPPDATA": r"D:\Local"}, r"E:\state"),
        ("state", {"XDG_STATE_HOME": "/home/ada", "LOCALAPPDATA": r"D:\Local"}, r"D:\Local"),
        ("state", {"LOCALAPPDATA": r"D:Local"}, r"C:\Users\Ada Lovelace\AppData\Local"),
    ],
)
def test_places_on_windows(kind: str, environ: dict[str, str], expected: str) -> None:
    """The profile's, which moves with its variables; a path without a drive is none."""
    assert base_dir(kind, environ, PROFILE, "win32") == PureWindowsPath(expected)


def test_places_elsewhere() -> None:
    """What Windows has counts for nothing."""
    home = PurePosixPath("/home/ada")
    assert base_dir("state", {"LOCALAPPDATA": "/x"}, home, "linux") == PurePosixPath("/home/ada/.local/state")
    assert base_dir("config", {"XDG_CONFIG_HOME": "/c"}, home, "darwin") == PurePosixPath("/c")


def test_what_is_ours_is_closed_to_others_down_to_its_roots(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing parent is 0700 from the state or runtime directory on; what the standard has above is the umask's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "a" / "b"))
    before = os.umask(0o002)
    try:
        state, runtime = private_dir(team_state_dir("t")), private_dir(team_runtime_dir("t"))
        other = private_dir(home / "agent" / "intercom")
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (state, runtime, *state.parents, *runtime.parents)}
    assert {modes[path] for path in (state, *state.parents[:2], runtime, *runtime.parents[:2])} == {0o700}
    assert [modes[path] for path in state.parents[2:4]] == [0o775, 0o775]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (other, other.parent)] == [0o700, 0o775]
    (home / "file").touch()
    with pytest.raises(IntercomError, match="cannot create directory") as caught:
        private_dir(home / "file" / "x")
    assert caught.value.hint is None
    with monkeypatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home / "file"))
        place = team_state_dir("t")
        with pytest.raises(IntercomError, match="cannot create directory") as caught:
            private_dir(place)
    assert caught.value.hint == "set XDG_STATE_HOME to a directory where you may write"
    shutil.rmtree(runtime_dir())
