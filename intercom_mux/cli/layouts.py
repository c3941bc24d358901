"""`layouts`, `validate` and `init`: what can be brought up, whether a file is right, and a copy to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.complete import layout_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from intercom_mux.layout.model import Layout

_SCHEMA_FILE = "layout.schema.json"
_EDITOR_LINE = f"# yaml-language-server: $schema={_SCHEMA_FILE}\n"


def parse_variables(_context: click.Context, _parameter: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    """Return the `NAME=VALUE` pairs of `--var` as a mapping; a click callback."""
    variables = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE")
        variables[name] = value
    return variables


variables_option = click.option(
    "--var",
    "variables",
    metavar="NAME=VALUE",
    multiple=True,
    callback=parse_variables,
    help="Set a variable of the layout; may be given several times.",
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def layouts(as_json: bool) -> None:
    """List the layouts that `up NAME` finds from here."""
    from pathlib import Path

    from intercom_mux.layout.find import known_layouts

    known = known_layouts(Path.cwd())
    if as_json:
        _print_json([{**layout._asdict(), "path": str(layout.path)} for layout in known])
        return
    rows = [("NAME", "FROM", "DESCRIPTION"), *((each.name, each.origin, each.description) for each in known)]
    text.emit(text.table(rows, columns=text.width(), is_last_wrapped=True))


@click.command()
@click.argument("layout", metavar="[LAYOUT]", required=False, shell_complete=layout_names)
@variables_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(layout: str | None, variables: dict[str, str], as_json: bool) -> None:
    """Check a layout, a file or a name, and print everything that it would start.

    Every problem is told at once, with its line and column; the exit code is then 3. What only this machine lacks, a
    program or a directory, is no fault of the layout: it is noted, and `up` refuses for it.
    """
    import os
    import shlex
    from pathlib import Path

    from intercom_mux.cli import plan_text
    from intercom_mux.errors import IntercomError
    from intercom_mux.layout.find import find_layout
    from intercom_mux.layout.load import load_layout
    from intercom_mux.layout.problems import shown
    from intercom_mux.team.multiplexer import require
    from intercom_mux.team.planner import make_plan

    loaded = load_layout(find_layout(layout, Path.cwd()), variables=variables, environ=os.environ)
    plan, lack = None, None
    try:
        plan = make_plan(loaded, variables=variables)
        require(plan.mux)
    except IntercomError as error:
        lack = error
    if as_json:
        more = {"plan": plan_text.plan_json(plan)} if plan else {}
        _print_json(_layout_json(loaded) | more | ({"lacks": lack.to_json()} if lack else {}))
        return
    count = len(loaded.peers)
    click.echo(f"ok: {loaded.name}: {count} {'peer' if count == 1 else 'peers'}")
    if plan is not None:
        click.echo(plan_text.dry_run(plan))
    else:
        _print_rows(
            [
                (f"  {peer.name}", peer.role, peer.agent or shlex.join(peer.command or ()), shown(peer.cwd))
                for peer in loaded.peers
            ]
        )
        for notice in loaded.notices:
            click.echo(f"note: {notice}")
    if lack is not None:
        click.echo(f"note: `up` would refuse here: {lack.message}")


@click.command()
def schema() -> None:
    """Print the JSON Schema of layout files, for editors; `init` puts it beside the layout."""
    from intercom_mux.layout.schema import layout_schema

    _print_json(layout_schema())


@click.command()
@click.argument("name", shell_complete=layout_names)
@click.option("--as", "filename", metavar="FILENAME", help="Name of the copy; the team is called after it.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def init(name: str, filename: str | None, force: bool, as_json: bool) -> None:
    """Copy a bundled layout into this project, as .intercom-mux/NAME.yaml, to change it.

    The JSON Schema is written beside it, and a first line by which editors find it.
    """
    import json
    import re
    from pathlib import Path

    from intercom_mux.layout.find import PROJECT_DIRECTORY
    from intercom_mux.layout.load import required_variables
    from intercom_mux.layout.model import NAME_PATTERN, NAME_RULE
    from intercom_mux.layout.problems import shown
    from intercom_mux.layout.schema import layout_schema

    source = _bundled(name)
    team = _stem(name if filename is None else filename)
    if not re.fullmatch(NAME_PATTERN, team):
        raise click.BadParameter(f"{filename!r} cannot be a team name: {NAME_RULE}", param_hint="--as")
    target = Path.cwd() / PROJECT_DIRECTORY / f"{team}.yaml"
    _write(target, _EDITOR_LINE + source.read_text(encoding="utf-8"), force=force)
    _write(target.with_name(_SCHEMA_FILE), json.dumps(layout_schema(), indent=1) + "\n", force=True)
    needed = "".join(f" --var {variable}=…" for variable in required_variables(source))
    following = f"intercom-mux up {team}{needed}"
    if as_json:
        _print_json({"path": str(target), "next": following})
    else:
        click.echo(f"wrote {shown(target)}\nnext: {following}")


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Write the layout there.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_(file: str, output: str | None, force: bool, as_json: bool) -> None:
    """Turn a tmuxp file (YAML or JSON) into a layout, as far as it goes.

    What could not be carried over is listed on stderr, with its line and column.
    """
    from pathlib import Path

    from intercom_mux.errors import LayoutError
    from intercom_mux.layout.files import UnreadableError, read_text
    from intercom_mux.layout.load import MAX_FILE_BYTES
    from intercom_mux.layout.problems import shown
    from intercom_mux.layout.tmuxp import from_tmuxp

    source = Path(file)
    try:
        imported = from_tmuxp(source, read_text(source, MAX_FILE_BYTES))
    except UnreadableError as error:
        raise LayoutError(f"{shown(source)} {error}", path=file) from error
    if output is not None:
        _write(Path(output), imported.text, force=force)
    if as_json:
        left_out = [problem.to_json() for problem in imported.left_out]
        _print_json({"layout": imported.text, "path": output, "left_out": left_out})
        return
    for each in imported.left_out:
        click.echo(f"{shown(source)}:{each.mark.line}:{each.mark.column}: {each.key}: {each.text}", err=True)
    click.echo(imported.text if output is None else f"wrote {output}", nl=output is not None)


def _bundled(name: str) -> Path:
    from intercom_mux.errors import LayoutError
    from intercom_mux.layout.find import bundled_layouts
    from intercom_mux.layout.problems import did_you_mean, quoted

    known = bundled_layouts()
    if _stem(name) in known:
        return known[_stem(name)]
    close = did_you_mean(name, known)
    raise LayoutError(
        f"there is no bundled layout {quoted(name)}" + (f" (did you mean {quoted(close)}?)" if close else ""),
        hint=f"choose one of: {', '.join(known)}",
        known=list(known),
    )


def _stem(name: str) -> str:
    return name.removesuffix(".yaml").removesuffix(".yml")


def _write(target: Path, text: str, *, force: bool) -> None:
    """Write `target`, creating its directory; an existing file only with `force`."""
    from intercom_mux.errors import LayoutError
    from intercom_mux.layout.problems import shown

    try:
        target.parent.mkdir(exist_ok=True)
        if target.exists() and not force:
            hint = "copy it under another name with --as NAME, or replace it with --force"
            raise LayoutError(f"{shown(target)} exists already", hint=hint, path=str(target))
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise LayoutError(f"cannot write {shown(target)}: {error.strerror}", path=str(target)) from error


def _layout_json(layout: Layout) -> dict[str, Any]:
    peers = [
        {
            "name": peer.name,
            "role": peer.role,
            "agent": peer.agent,
            "command": peer.command,
            "model": peer.model,
            "cwd": str(peer.cwd),
            "reference": peer.is_reference,
        }
        for peer in layout.peers
    ]
    return {
        "name": layout.name,
        "path": str(layout.path),
        "project": str(layout.project),
        "mux": layout.mux,
        "arrange": layout.arrange.to_json(),
        "supervisor": layout.supervisor,
        "isolated": layout.isolated,
        "peers": peers,
        "notices": layout.notices,
    }


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_rows(rows: Iterable[Sequence[str]]) -> None:
    """Print columns, each as wide as its widest cell."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
