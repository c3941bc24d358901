"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import click
import pytest

import intercom_mux.cli
from intercom_mux.cli import reference
from intercom_mux.cli.main import cli

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_not_stale() -> None:
    """docs/cli.md equals what `python -m intercom_mux.cli.reference` prints now."""
    # In a process of its own: a command that a test has called directly keeps its help option without `-h`.
    printed = subprocess.run(
        [sys.executable, "-m", "intercom_mux.cli.reference"], capture_output=True, text=True, check=True
    )
    assert PAGE.read_text() == printed.stdout


def _with_inner(command: click.Command) -> set[click.Command]:
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return {command}.union(*map(_with_inner, inner))


def test_every_command_is_in_a_section() -> None:
    """Whatever a module of commands defines can be called, by its name, and is listed in the help."""
    modules = [import_module(f"intercom_mux.cli.{module.name}") for module in iter_modules(intercom_mux.cli.__path__)]
    defined = {each for module in modules for each in vars(module).values() if isinstance(each, click.Command)}
    assert _with_inner(cli) == defined
    assert [command.name for command in cli.commands.values()] == list(cli.commands)


def _parameters() -> list[tuple[str, click.Option]]:
    return [
        (name, parameter)
        for name, command in cli.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
    ]


@pytest.mark.parametrize(("name", "option"), _parameters(), ids=lambda value: getattr(value, "name", value))
def test_every_option_has_help(name: str, option: click.Option) -> None:
    """No option is left unexplained."""
    assert option.help, f"{name} {option.opts}"


def test_the_exit_codes_are_told_in_whole_sentences() -> None:
    """No meaning is cut at a full stop inside a word, such as that of a file's name."""
    meanings = {kind: meaning for _, kind, meaning in reference.exit_codes()}
    assert "docs/protocol.md" in meanings["`DeliveryError`"]
    assert not any(meaning.endswith(".") or meaning.count("(") != meaning.count(")") for meaning in meanings.values())
