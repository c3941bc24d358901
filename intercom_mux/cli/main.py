"""`intercom-mux`: the click group, which alone defines the command line.

A command's module is imported when it is called, and imports nothing but click then; what a command needs, it imports
when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

import click

from intercom_mux import __version__
from intercom_mux.cli import complete, text
from intercom_mux.cli.groups import Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intercom_mux.team.spare_daemon import SpareDaemon

SECTIONS: dict[str, tuple[str, ...]] = {
    "Teams": ("teams.up", "teams.down", "teams.status", "teams.attach", "logs.logs", "watch.watch"),
    "Changing a team": ("spawning.spawn", "spawning.kill", "spawning.restart", "spawning.scale"),
    "Talking": ("talk.send", "ask.ask", "talk.reply", "ask.result", "talk.cancel", "wait.wait"),
    "Deciding": ("supervisor.supervisor", "answer.answer"),
    "Looking": ("look.list_", "look.pending", "look.inbox", "look.name", "history.history", "report.report"),
    "Tasks": ("task.task", "look.tasks", "look.progress"),
    "Layouts": ("layouts.layouts", "layouts.validate", "layouts.init", "layouts.import_", "layouts.schema"),
    "Agents": ("agents.agents", "bridges.mcp", "bridges.skill"),
    "Plumbing": ("doctor.doctor", "broker.broker", "complete.completion", "hook.hook"),
}
"""The commands as `module.function`, by what they are for. Only the one that is called is imported."""


class Commands(Mapping[str, click.Command]):
    """Every command by its name, imported when it is asked for."""

    def __init__(self) -> None:
        self._places = {name_of(place): place for places in SECTIONS.values() for place in places}

    def __getitem__(self, name: str) -> click.Command:
        module, _, function = self._places[name].partition(".")
        command: click.Command = getattr(import_module(f"intercom_mux.cli.{module}"), function)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def name_of(place: str) -> str:
    """Return the name of a command of `SECTIONS`: that of its function, which an underscore may tell from a word."""
    return place.partition(".")[2].rstrip("_")


class Sections(Group):
    """A group whose help lists its commands by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list per section."""
        del ctx
        for title, places in SECTIONS.items():
            self.write(formatter, title, map(name_of, places))


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="intercom-mux", message="%(prog)s %(version)s")
def cli() -> None:
    """Bring up a team of coding agents from one file, and let them talk.

    \b
    intercom-mux up planner-worker
    intercom-mux ask worker-1 "Which tests cover the parser?"
    intercom-mux down
    """


cli.commands = cast("dict[str, click.Command]", Commands())


def run(arguments: list[str], spare: SpareDaemon | None = None) -> int:
    """Run one command line through click and return its exit code; usage errors are shown here.

    `spare` is what was started ahead for an `up`.

    Raises:
        IntercomError: What the command raises.
        KeyboardInterrupt: The user pressed Ctrl-C.
    """
    try:
        code = cli.main(
            arguments, "intercom-mux", complete_var=complete.COMPLETE_VARIABLE, standalone_mode=False, obj=spare
        )
    except click.ClickException as error:
        _show(error, arguments)
        return error.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


def _show(error: click.ClickException, arguments: list[str]) -> None:
    if text.wants_json(arguments):
        from intercom_mux.cli.caller import print_json

        print_json({"error": {"code": "E_USAGE", "message": error.format_message()}})
        return
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        text.note(error.format_message())
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        text.note(error.ctx.get_usage())
    text.note(text.problem(error.format_message(), _hint(error, arguments)))


def _hint(error: click.ClickException, arguments: list[str]) -> str | None:
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return None
    if isinstance(error, click.NoSuchOption) and error.ctx.command is cli:
        takers = [name for name, command in cli.commands.items() if _takes(command, error.option_name)]
        verb = next((word for word in arguments if word in takers), None)
        if verb:
            return f"the option goes behind the verb: intercom-mux {verb} {error.option_name} …"
    return f"{error.ctx.command_path} --help"


def _takes(command: click.Command, option: str) -> bool:
    return any(option in parameter.opts for parameter in command.params)
