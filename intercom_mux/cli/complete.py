"""Shell completion: the scripts, and live names for arguments. Quick, and silent when anything fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from click.shell_completion import CompletionItem

PROBE_TIMEOUT_S = 0.2
COMPLETE_VARIABLE = "_INTERCOM_MUX_COMPLETE"

_INSTALL = {
    "bash": 'add to ~/.bashrc:  eval "$(intercom-mux completion bash)"',
    "zsh": 'add to ~/.zshrc, after compinit:  eval "$(intercom-mux completion zsh)"',
    "fish": "run once:  intercom-mux completion fish > ~/.config/fish/completions/intercom-mux.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(_INSTALL)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell; its first lines say how to install it."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click has no completion for {shell}")
    script = kind(context.find_root().command, {}, "intercom-mux", COMPLETE_VARIABLE).source()
    click.echo(f"# {_INSTALL[shell]}\n{script}")


# -- the callbacks of click parameters -----------------------------------------------------------------------------


def peer_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the names of connected sessions, our own excepted."""
    return _quietly(incomplete, lambda: (row["name"] for row in _sessions() if not row["self"]))


def role_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the roles of connected peers."""
    return _quietly(incomplete, lambda: (row["role"] for row in _sessions()))


def team_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete running teams, each by the shortest name that tells it from the others."""
    return _quietly(incomplete, _teams)


def layout_names(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str] | list[CompletionItem]:
    """Complete layouts by name; what looks like a path is left to the shell."""
    from click.shell_completion import CompletionItem

    names = [] if "/" in incomplete else _quietly(incomplete, _layouts)
    return names or [CompletionItem(incomplete, type="file")]


def _quietly(incomplete: str, names: Callable[[], Iterable[Any]]) -> list[str]:
    start = incomplete.casefold()
    try:
        return sorted({name for name in names() if name and name.casefold().startswith(start)})
    except Exception:  # a line being typed is no place for an error
        return []


def _sessions() -> list[dict[str, Any]]:
    """Return the connected sessions; none when no broker runs, which is never started here."""
    from intercom_mux.cli.caller import connect, identity
    from intercom_mux.client.address import health

    me = identity(None)
    if health(me.socket, PROBE_TIMEOUT_S) is None:
        return []
    with connect(me) as client:
        return client.sessions()


def _teams() -> list[str]:
    from intercom_mux.team.state import all_teams, label

    teams = all_teams()
    return [label(team, teams) for team in teams]


def _layouts() -> list[str]:
    from pathlib import Path

    from intercom_mux.layout.find import known_layouts

    return [layout.name for layout in known_layouts(Path.cwd())]
