"""`python -m intercom_mux.cli.reference > docs/cli.md`: the page about every verb, made of click's own help.

tests/cli/test_docs.py fails when the page is stale.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import click

from intercom_mux import errors
from intercom_mux.cli.main import SECTIONS, cli, name_of
from intercom_mux.cli.text import BROKEN_PIPE_EXIT, CRASH_EXIT, INTERRUPTED_EXIT

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 100

_HEAD = """\
# The command line

Made by `python -m intercom_mux.cli.reference` from the help of the commands; do not edit.

Every command that prints facts takes `--json`; an error is then one object on stdout,
`{"error": {"code", "message", "hint"?, ...}}`, and the exit code is the same. Otherwise errors go to stderr, so that
stdout holds nothing but the answer. In a pipe nothing is coloured or cut.
"""

_OTHER_CODES = (
    (0, "", "done"),
    (2, "usage", "the command line is wrong; nothing was done"),
    (CRASH_EXIT, "", "a fault of intercom-mux; the traceback is in `crash.log` of the state directory"),
    (INTERRUPTED_EXIT, "", "Ctrl-C"),
    (BROKEN_PIPE_EXIT, "", "the reader of stdout went away"),
)


def exit_codes() -> list[tuple[int, str, str]]:
    """Return (exit code, class, meaning) of every way to end, by code; the meanings are those in `errors`."""
    rows = list(_OTHER_CODES)
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.IntercomError):
            meaning = re.split(r"\.(?:\s|$)", inspect.getdoc(kind) or "")[0]
            rows.append((kind.exit_code, f"`{name}`", f"{meaning[0].lower()}{meaning[1:]}"))
    return sorted(rows)


def page() -> str:
    """Return the whole page."""
    lines = [_HEAD, "## Exit codes", "", "| code | error | meaning |", "| ---: | --- | --- |"]
    lines += [f"| {code} | {kind} | {meaning} |" for code, kind, meaning in exit_codes()]
    for title, places in SECTIONS.items():
        lines += ["", f"## {title}"]
        for name in map(name_of, places):
            lines += _described(cli.commands[name], f"intercom-mux {name}")
    return "\n".join(lines) + "\n"


def _described(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path, max_content_width=_WIDTH, terminal_width=_WIDTH)
    context.help_option_names = cli.context_settings["help_option_names"]
    yield from ("", f"### `{path}`", "", "```text", command.get_help(context), "```")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _described(inner, f"{path} {name}")


if __name__ == "__main__":
    click.echo(page(), nl=False)
