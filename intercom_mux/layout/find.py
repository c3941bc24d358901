"""From a name or path to a layout file. Looks at names only; nothing is read and no YAML is imported.

Search order of a name: the project (`.intercom-mux/NAME.yaml` in the start directory, then in each one above it), the
user's configuration (`layouts/NAME.yaml`), the layouts that come with intercom-mux.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from intercom_mux import paths
from intercom_mux.errors import LayoutError
from intercom_mux.host.files import is_trusted
from intercom_mux.layout.problems import did_you_mean, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

Origin = Literal["path", "project", "user", "bundled"]

PROJECT_DIRECTORY = ".intercom-mux"
_SUFFIXES = (".yaml", ".yml")
_PREFERRED = ("default", "team")


@dataclass(frozen=True, slots=True)
class Found:
    """A layout file and the project directory it is for.

    Attributes:
        path: Absolute, symlinks kept.
        project: Absolute real path: for "path" the file's directory (its parent if that is `.intercom-mux`), for
            "project" the directory that holds `.intercom-mux`, else the directory the search started from.
    """

    path: Path
    project: Path
    origin: Origin


class Known(NamedTuple):
    """A layout that can be called by name."""

    name: str
    origin: Origin
    path: Path
    description: str


def find_layout(name_or_path: str | None, start: Path) -> Found:
    """Return the layout meant by `name_or_path`, seen from the directory `start`.

    What has a path separator is a path. What ends in .yaml or .yml is a path if that file exists, else a name. None is
    the nearest project's only layout, or its `default` or `team`.

    Raises:
        LayoutError: There is none; `searched` lists the places, `known` the names that exist.
    """
    start = Path(os.path.abspath(start))
    if name_or_path is None:
        return _only_layout(start)
    path = _as_path(name_or_path, start)
    if path is not None and os.path.lexists(path):
        return Found(path, _project_of(path), "path")
    if os.sep in name_or_path:
        raise _no_such_file(name_or_path, path or start)
    return _by_name(name_or_path, start)


def known_layouts(start: Path) -> list[Known]:
    """Return every layout that a name reaches from `start`, in search order; a hidden one of the same name is left out.

    Reads the files for their descriptions; a broken file has an empty one.
    """
    from intercom_mux.layout.load import describe  # the one user of YAML here

    start = Path(os.path.abspath(start))
    return [Known(name, origin, path, describe(path)) for name, (origin, path) in _all_layouts(start).items()]


def bundled_layouts() -> dict[str, Path]:
    """Return name → file of the layouts that come with intercom-mux, by name."""
    return _layouts_in(_bundled_directory())


def named_layouts(start: Path) -> dict[str, list[Path]]:
    """Return name → every file that has it, seen from `start`, the strongest first."""
    found: dict[str, list[Path]] = {}
    for _origin, directory in _places(start):
        for name, path in _layouts_in(directory).items():
            found.setdefault(name, []).append(path)
    return found


def _bundled_directory() -> Path:
    """Return where they lie: inside the installed package, else in its checkout."""
    package = Path(__file__).parent.parent
    installed = package / "_layouts"
    return installed if installed.is_dir() else package.parent / "layouts"


def _as_path(text: str, start: Path) -> Path | None:
    """Return `text` as an absolute path if it looks like one."""
    if os.sep not in text and not text.endswith(_SUFFIXES):
        return None
    expanded = os.path.expanduser(text)
    return Path(os.path.normpath(start / expanded))


def _project_of(path: Path) -> Path:
    directory = path.parent
    return (directory.parent if directory.name == PROJECT_DIRECTORY else directory).resolve()


def _by_name(text: str, start: Path) -> Found:
    name = _stem(text)
    for origin, directory in _places(start):
        for suffix in _SUFFIXES:
            path = directory / f"{name}{suffix}"
            if name and os.path.isfile(path):
                project = directory.parent if origin == "project" else start
                return Found(path, project.resolve(), origin)
    known = _all_layouts(start)
    raise LayoutError(
        f"there is no layout {quoted(text)}{_meant(name, list(known))}",
        hint="intercom-mux layouts lists what there is; intercom-mux init NAME copies one into this project",
        searched=[str(directory) for _origin, directory in _places(start)],
        known=list(known),
    )


def _only_layout(start: Path) -> Found:
    """Return the one layout that a bare `up` means."""
    directories = [directory for directory in _project_places(start) if _layouts_in(directory)]
    if not directories:
        raise LayoutError(
            f"no layout was named, and there is no {PROJECT_DIRECTORY}/ with one here or above",
            hint="name one, or start from a copy: intercom-mux init planner-worker",
            searched=[str(directory) for directory in _project_places(start)],
            known=list(_all_layouts(start)),
        )
    nearest = directories[0]
    layouts = _layouts_in(nearest)
    name = next((name for name in _PREFERRED if name in layouts), None)
    if name is None and len(layouts) > 1:
        raise LayoutError(
            f"several layouts are in {shown(nearest)}: {', '.join(layouts)}",
            hint=f"name one: intercom-mux up {next(iter(layouts))}",
            searched=[str(nearest)],
            known=list(layouts),
        )
    path = layouts[name or next(iter(layouts))]
    return Found(path, nearest.parent.resolve(), "project")


def _all_layouts(start: Path) -> dict[str, tuple[Origin, Path]]:
    """Return name → (origin, path) of what a name reaches, in search order."""
    found: dict[str, tuple[Origin, Path]] = {}
    for origin, directory in _places(start):
        for name, path in _layouts_in(directory).items():
            found.setdefault(name, (origin, path))
    return found


def _places(start: Path) -> Iterator[tuple[Origin, Path]]:
    """Yield every directory that layouts are called by name from, the strongest first."""
    for directory in _project_places(start):
        yield "project", directory
    yield "user", paths.config_dir() / "layouts"
    yield "bundled", _bundled_directory()


def _project_places(start: Path) -> Iterator[Path]:
    for directory in (start, *start.parents):
        if not _is_planted(directory / PROJECT_DIRECTORY):
            yield directory / PROJECT_DIRECTORY


def _is_planted(directory: Path) -> bool:
    """Return whether somebody else put `directory` where anyone may, as in /tmp: a layout starts programs."""
    try:
        owner = directory.lstat().st_uid
        anyone_may_write = directory.parent.stat().st_mode & stat.S_IWOTH
    except OSError:
        return False
    return bool(anyone_may_write) and not is_trusted(owner)


def _layouts_in(directory: Path) -> dict[str, Path]:
    """Return name → file of the layouts in `directory`, by name; of two suffixes .yaml wins."""
    try:
        names = sorted(os.listdir(directory))
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return {}
    files: dict[str, Path] = {}
    for name in names:
        if name.endswith(_SUFFIXES) and not name.startswith("."):
            files.setdefault(_stem(name), directory / name)
    return files


def _stem(name: str) -> str:
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _meant(word: str, options: list[str]) -> str:
    close = did_you_mean(word, options)
    return f" (did you mean {quoted(close)}?)" if close else ""


def _no_such_file(text: str, path: Path) -> LayoutError:
    beside = [file.name for file in _layouts_in(path.parent).values()]
    return LayoutError(
        f"there is no file {text}{_meant(path.name, beside)}",
        hint="check the path; intercom-mux layouts lists the layouts that have a name",
        searched=[str(path)],
        known=beside,
    )
