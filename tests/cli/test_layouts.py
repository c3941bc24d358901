"""`layouts`, `validate` and `init` as a user runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from intercom_mux.cli.layouts import import_, init, layouts, schema, validate
from intercom_mux.errors import LayoutError
from intercom_mux.layout.find import bundled_layouts
from intercom_mux.layout.schema import layout_schema

if TYPE_CHECKING:
    from pathlib import Path

    import click


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


def run(command: click.Command, *arguments: str) -> str:
    """Run a command and return what it printed; its errors come out as they are."""
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def run_json(command: click.Command, *arguments: str) -> Any:
    return json.loads(run(command, *arguments, "--json"))


def refused(command: click.Command, *arguments: str) -> LayoutError:
    with pytest.raises(LayoutError) as raised:
        run(command, *arguments)
    return raised.value


def test_layouts_are_listed_with_their_origin(project: Path) -> None:
    """One line per layout, columns aligned, the project's first."""
    run(init, "pair", "--as", "crew")

    lines = run(layouts).splitlines()

    assert lines[0].split() == ["NAME", "FROM", "DESCRIPTION"]
    assert lines[1].split()[:2] == ["crew", "project"]
    assert [line.split()[0] for line in lines[2:]] == sorted(bundled_layouts())
    assert {line.index("bundled") for line in lines[2:]} == {lines[0].index("FROM")}


def test_layouts_as_json(project: Path) -> None:
    """The same as a list of objects."""
    listed = run_json(layouts)

    assert [each["name"] for each in listed] == sorted(bundled_layouts())
    assert listed[0].keys() == {"name", "origin", "path", "description"}


def test_validate_shows_what_would_start(project: Path) -> None:
    """A valid layout prints what `up --dry-run` prints: each peer with its exact command and directory."""
    (project / "team.yaml").write_text(
        "version: 1\npeers:\n  planner: {role: lead}\n  w: {count: 2, agent: demo, cwd: /opt}\n  sh: {command: sh -i}\n"
    )
    said = run(validate, "team.yaml")
    assert said.startswith("ok: team: 4 peers\n")
    assert "\n  w-2 (w, demo) in /opt\n    " in said
    assert f"\n  sh (sh, command) in {project}\n    sh -i" in said
    plan = json.loads(run(validate, "team.yaml", "--json"))["plan"]
    assert [peer["name"] for peer in plan["peers"]] == ["planner", "w-1", "w-2", "sh"]


def test_validate_notes_what_only_this_machine_lacks(project: Path) -> None:
    """A program or directory that is missing here is told beside the peers, and is no fault of the layout."""
    (project / "team.yaml").write_text("version: 1\npeers:\n  a: {command: no-such-program}\n")
    said = run(validate, "team.yaml")
    assert said.startswith("ok: team: 1 peer\n  a  a  no-such-program  .\nnote: `up` would refuse here: ")
    assert "no-such-program" in json.loads(run(validate, "team.yaml", "--json"))["lacks"]["error"]["message"]


def test_validate_notes_a_multiplexer_that_is_not_to_be_had(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the plan."""
    monkeypatch.delenv("CMUX_WORKSPACE_ID", raising=False)
    (project / "team.yaml").write_text("version: 1\nmux: cmux\npeers:\n  a: {command: sh}\n")
    said = run(validate, "team.yaml")
    assert "\n  a (a, command) in " in said
    assert said.endswith("\nnote: `up` would refuse here: this is no terminal of cmux\n")
    assert set(json.loads(run(validate, "team.yaml", "--json"))) >= {"plan", "lacks"}


def test_validate_as_json(project: Path) -> None:
    """Everything that the layout came to, for scripts."""
    valid = run_json(validate, "planner-worker", "--var", "workers=1")

    assert (valid["name"], valid["project"], valid["supervisor"]) == ("planner-worker", str(project), "planner")
    assert [(peer["name"], peer["reference"]) for peer in valid["peers"]] == [
        ("planner", False),
        ("worker", False),
        ("reference-auth", True),
    ]


def test_validate_raises_every_problem(project: Path) -> None:
    """An invalid layout is a LayoutError, exit code 3, with all places."""
    (project / "team.yaml").write_text("version: 1\nmux: tmx\npeers: {a: {rol: x}}\n")

    error = refused(validate, "team.yaml")

    assert error.exit_code == 3
    assert [(each["line"], each["key"]) for each in error.fields["problems"]] == [(2, "mux"), (3, "peers.a.rol")]


def test_validate_without_a_name_takes_the_project_layout(project: Path) -> None:
    """As `up` does."""
    run(init, "pair")

    assert run(validate).startswith("ok: pair: 2 peers\n")


def test_validate_takes_variables(project: Path) -> None:
    """--var may be given several times, and its value may have an equals sign."""
    (project / "t.yaml").write_text('version: 1\npeers: {a: {role: "${r}", model: "${m}"}}\n')

    assert run_json(validate, "t.yaml", "--var", "r=x", "--var", "m=a=b")["peers"][0]["model"] == "a=b"


def test_variable_without_value_is_a_usage_error(project: Path) -> None:
    """`--var name` lacks its value."""
    result = CliRunner().invoke(validate, ["pair", "--var", "task"])

    assert result.exit_code == 2
    assert "'task' is not NAME=VALUE" in result.output


@pytest.mark.parametrize("name", sorted(bundled_layouts()))
def test_init_copies_a_bundled_layout(project: Path, name: str) -> None:
    """The copy is the commented original, and it is what its name means from then on."""
    printed = run(init, name)

    copy = project / ".intercom-mux" / f"{name}.yaml"
    header, original = copy.read_text().split("\n", 1)
    assert header == "# yaml-language-server: $schema=layout.schema.json"
    assert original == bundled_layouts()[name].read_text()
    assert json.loads((copy.parent / "layout.schema.json").read_text()) == layout_schema()
    assert printed.startswith(f"wrote .intercom-mux/{name}.yaml\nnext: intercom-mux up {name}")
    assert run_json(layouts)[0]["path"] == str(copy)


def test_schema_is_printed(project: Path) -> None:
    """`schema` prints what `init` writes."""
    assert json.loads(run(schema)) == layout_schema()


def test_init_tells_the_variables_that_are_needed(project: Path) -> None:
    """The next command has a place for each."""
    assert run(init, "reference-scout").endswith("\nnext: intercom-mux up reference-scout --var reference=…\n")


def test_init_never_overwrites(project: Path) -> None:
    """What exists stays, unless --force says otherwise."""
    copy = project / ".intercom-mux" / "pair.yaml"
    run(init, "pair")
    copy.write_text("mine")

    error = refused(init, "pair")
    assert error.message == ".intercom-mux/pair.yaml exists already"
    assert copy.read_text() == "mine"

    run(init, "pair", "--force")
    assert "\nversion: 1\n" in copy.read_text()


@pytest.mark.parametrize("filename", ["crew", "crew.yaml", "crew.yml"])
def test_init_under_another_name(project: Path, filename: str) -> None:
    """The team is called after the copy."""
    written = run_json(init, "pair.yaml", "--as", filename)

    assert written == {"path": str(project / ".intercom-mux" / "crew.yaml"), "next": "intercom-mux up crew"}
    assert run(validate, "crew").startswith("ok: crew: ")


@pytest.mark.parametrize("filename", ["../crew", "a b", "", "/tmp/x.yaml"])
def test_init_under_a_name_that_is_none(project: Path, filename: str) -> None:
    """A copy stays inside .intercom-mux and its name is a team's name."""
    result = CliRunner().invoke(init, ["pair", "--as", filename])

    assert result.exit_code == 2
    assert not (project / ".intercom-mux").exists()


def test_init_of_an_unknown_layout_suggests_one(project: Path) -> None:
    """A misspelt name is answered with the right one."""
    error = refused(init, "planer-worker")

    assert error.message == 'there is no bundled layout "planer-worker" (did you mean "planner-worker"?)'
    assert "review-board" in str(error.hint)


def test_init_where_it_cannot_write(project: Path) -> None:
    """A file in the place of the directory is told."""
    (project / ".intercom-mux").write_text("")

    assert refused(init, "pair").message.startswith("cannot write .intercom-mux/pair.yaml: ")


def test_import_prints_or_writes_a_layout(project: Path) -> None:
    """The layout goes to stdout or a file, never over one that exists; what is left out, to stderr or into JSON."""
    (project / "session.yaml").write_text("session_name: shop\nplugins: []\nwindows: [{panes: [vim]}]\n")

    result = CliRunner().invoke(import_, ["session.yaml"])
    assert result.stdout.startswith("version: 1\nname: shop\n")
    assert result.stderr == "session.yaml:2:1: plugins: has no equivalent in a layout\n"

    assert run(import_, "session.yaml", "-o", "crew.yaml").endswith("wrote crew.yaml\n")
    assert run(validate, "crew.yaml").startswith("ok: shop: 1 peer\n")
    assert refused(import_, "session.yaml", "-o", "crew.yaml").message == "crew.yaml exists already"
    written = run_json(import_, "session.yaml", "-o", "crew.yaml", "--force")
    assert written["layout"] == (project / "crew.yaml").read_text()
    assert [(each["line"], each["column"], each["key"]) for each in written["left_out"]] == [(2, 1, "plugins")]
    assert refused(import_, "nowhere.yaml").message.startswith("nowhere.yaml cannot be read")
