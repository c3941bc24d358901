"""Places by the rules of each system."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest

from intercom_mux.paths import base_dir

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
