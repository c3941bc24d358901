"""Writing a layout and loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.layout.find import Found
from intercom_mux.layout.load import load_layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from intercom_mux.layout.model import Layout

ENVIRON = {"HOME": "/home/ada"}


def write(directory: Path, text: str | bytes, name: str = "team.yaml") -> Found:
    """Write a layout file into `directory`, which is the project too."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Found(path, directory, "path")


def load(
    directory: Path,
    text: str | bytes,
    variables: Mapping[str, str] | None = None,
    environ: Mapping[str, str] = ENVIRON,
) -> Layout:
    """Write `text` as team.yaml into `directory` and load it."""
    return load_layout(write(directory, text), variables=variables, environ=environ)
