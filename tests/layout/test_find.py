"""Where a layout is looked for, and for which project it is."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from intercom_mux import paths
from intercom_mux.errors import LayoutError
from intercom_mux.layout import find
from intercom_mux.layout.find import Found, bundled_layouts, find_layout, known_layouts

if TYPE_CHECKING:
    from pathlib import Path

BUNDLED = [
    *("bug-hunt", "docs-team", "feature-team", "migration", "pair", "planner-worker", "planner-workers-scout"),
    *("red-blue", "reference-scout", "review-board"),
]


@pytest.fixture
def project(home: Path) -> Path:
    """A project directory, real path, with a directory below it."""
    (home / "shop" / "src").mkdir(parents=True)
    return (home / "shop").resolve()


def put(path: Path, text: str = "version: 1\ndescription: ours\npeers: {a: }\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_bundled_layouts_are_those_promised() -> None:
    """All of them are found in a checkout."""
    assert sorted(bundled_layouts()) == BUNDLED


def test_bundled_layouts_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a wheel they lie inside the package and are preferred there."""
    put(tmp_path / "intercom_mux" / "_layouts" / "inside.yaml")
    monkeypatch.setattr(find, "__file__", str(tmp_path / "intercom_mux" / "layout" / "find.py"))

    assert list(bundled_layouts()) == ["inside"]


def test_name_is_searched_from_near_to_far(project: Path) -> None:
    """The project hides the user's layouts, and those hide the bundled ones."""
    start = project / "src"
    assert find_layout("pair", start) == Found(bundled_layouts()["pair"], start, "bundled")

    ours = put(paths.config_dir() / "layouts" / "pair.yaml")
    assert find_layout("pair", start) == Found(ours, start, "user")

    above = put(project / ".intercom-mux" / "pair.yaml")
    assert find_layout("pair", start) == Found(above, project, "project")

    here = put(start / ".intercom-mux" / "pair.yml")
    assert find_layout("pair", start) == Found(here, start, "project")


@pytest.mark.parametrize("name", ["planner-worker", "planner-worker.yaml", "planner-worker.yml"])
def test_file_name_that_is_no_file_is_a_name(project: Path, name: str) -> None:
    """`planner-worker.yaml` without such a file means the layout of that name."""
    assert find_layout(name, project).origin == "bundled"


def test_existing_file_comes_before_names(project: Path) -> None:
    """A file in the start directory is taken before any layout of that name."""
    put(project / ".intercom-mux" / "pair.yaml")
    path = put(project / "pair.yaml")

    assert find_layout("pair.yaml", project) == Found(path, project, "path")
    assert find_layout("pair", project).origin == "project"


@pytest.mark.parametrize("text", ["src/team.yaml", "./src/team.yaml", "src/../src/team.yaml", "{}/src/team.yaml"])
def test_path_belongs_to_its_directory(project: Path, text: str) -> None:
    """The project of a path is the directory of the file."""
    path = put(project / "src" / "team.yaml")

    assert find_layout(text.format(project), project) == Found(path, project / "src", "path")


def test_path_into_the_project_directory_belongs_to_the_project(project: Path) -> None:
    """A file in .intercom-mux is for the directory that holds it."""
    path = put(project / ".intercom-mux" / "team.yaml")

    assert find_layout(".intercom-mux/team.yaml", project) == Found(path, project, "path")


def test_home_directory_in_a_path(project: Path, home: Path) -> None:
    """`~` is expanded even when the shell did not."""
    put(home / "team.yaml")

    assert find_layout("~/team.yaml", project).path == home / "team.yaml"


def test_project_is_a_real_path_and_the_file_keeps_its_link(project: Path, home: Path) -> None:
    """A linked layout is for the project the link lies in, whichever way one came there."""
    original = put(home / "shared" / "team.yaml")
    (project / "team.yaml").symlink_to(original)
    (home / "way").symlink_to(project)

    assert find_layout("./team.yaml", home / "way") == Found(home / "way" / "team.yaml", project, "path")


def test_without_a_name_the_only_layout_is_meant(project: Path) -> None:
    """From anywhere below, the one layout of the nearest project that has any."""
    path = put(project / ".intercom-mux" / "crew.yaml")
    (project / "src" / ".intercom-mux").mkdir()

    assert find_layout(None, project / "src") == Found(path, project, "project")


@pytest.mark.parametrize("preferred", ["default", "team"])
def test_without_a_name_default_or_team_is_meant(project: Path, preferred: str) -> None:
    """Of several layouts the one called default or team is taken."""
    put(project / ".intercom-mux" / "a.yaml")
    path = put(project / ".intercom-mux" / f"{preferred}.yml")

    assert find_layout(None, project).path == path


def test_without_a_name_several_layouts_are_listed(project: Path) -> None:
    """Among several others the user has to choose, and reads what there is."""
    put(project / ".intercom-mux" / "b.yaml")
    put(project / ".intercom-mux" / "a.yml")

    with pytest.raises(LayoutError, match=r"several layouts are in .*: a, b") as raised:
        find_layout(None, project)
    assert raised.value.fields["known"] == ["a", "b"]
    assert raised.value.hint == "name one: intercom-mux up a"


def test_without_a_name_or_a_project(project: Path) -> None:
    """With nothing to be found the next step is init."""
    with pytest.raises(LayoutError, match="no layout was named") as raised:
        find_layout(None, project)
    assert "intercom-mux init planner-worker" in str(raised.value.hint)
    assert str(project / ".intercom-mux") in raised.value.fields["searched"]


def test_unknown_name_suggests_and_tells_where_it_looked(project: Path) -> None:
    """The error has the nearest name, all places and all names."""
    put(project / ".intercom-mux" / "crew.yaml")

    with pytest.raises(LayoutError) as raised:
        find_layout("planer-worker", project)
    error = raised.value
    assert error.message == 'there is no layout "planer-worker" (did you mean "planner-worker"?)'
    assert error.fields["known"] == ["crew", *BUNDLED]
    assert error.fields["searched"][0] == str(project / ".intercom-mux")
    assert error.fields["searched"][-2] == str(paths.config_dir() / "layouts")


def test_unknown_path_suggests_a_neighbour(project: Path) -> None:
    """A path is never searched by name; the error proposes a file beside it."""
    put(project / "team.yaml")

    with pytest.raises(LayoutError, match=r'no file \./taem.yaml \(did you mean "team.yaml"\?\)') as raised:
        find_layout("./taem.yaml", project)
    assert raised.value.fields["searched"] == [str(project / "taem.yaml")]


@pytest.mark.parametrize("text", ["", " ", "..", ".yaml", "x" * 5000, "a\0b", "a\0b/c", "/" + "x" * 5000 + "/y"])
def test_strange_names_are_only_not_found(project: Path, text: str) -> None:
    """No text makes the search fail in another way."""
    with pytest.raises(LayoutError):
        find_layout(text, project)


def test_layout_planted_by_another_user_is_passed_over(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory where anyone may write, as /tmp, another user's .intercom-mux is not searched.

    The other user is played by changing our own uid as `find` sees it, since only root can make files of others.
    """
    put(project / ".intercom-mux" / "pair.yaml")
    project.chmod(0o1777)
    assert find_layout("pair", project).origin == "project"

    monkeypatch.setattr(find, "is_trusted", lambda owner: owner == 12345)

    assert find_layout("pair", project).origin == "bundled"
    project.chmod(0o755)
    assert find_layout("pair", project).origin == "project"


def test_known_layouts_are_those_that_names_reach(project: Path) -> None:
    """In search order, with descriptions, and without those hidden by a nearer one."""
    put(project / ".intercom-mux" / "crew.yaml")
    put(project / ".intercom-mux" / "broken.yaml", "a: [")
    put(paths.config_dir() / "layouts" / "pair.yaml")

    known = known_layouts(project / "src")

    assert [(each.name, each.origin) for each in known[:3]] == [
        ("broken", "project"),
        ("crew", "project"),
        ("pair", "user"),
    ]
    assert [each.name for each in known[3:]] == [name for name in BUNDLED if name != "pair"]
    assert [each.description for each in known[:3]] == ["", "ours", "ours"]
    assert all(each.description for each in known[3:])


def test_finding_needs_no_yaml() -> None:
    """The search itself does not pay for the YAML parser."""
    program = "import sys, intercom_mux.layout.find; print('yaml' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"
