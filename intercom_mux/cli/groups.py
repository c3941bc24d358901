"""Groups of commands, whose help tells each by the first sentence of its own: whole, wrapped where it must."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

_SENTENCE_CHARS = 300
"""More than any first sentence has."""


class Group(click.Group):
    """A group with one list of its commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        del ctx
        self.write(formatter, "Commands", sorted(self.commands))

    def write(self, formatter: click.HelpFormatter, title: str, names: Iterable[str]) -> None:
        """Write the list of these commands."""
        with formatter.section(title):
            formatter.write_dl([(name, self.commands[name].get_short_help_str(_SENTENCE_CHARS)) for name in names])
