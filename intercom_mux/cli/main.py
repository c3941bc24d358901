"""`intercom-mux`: the click group, which alone defines the command line.

Command modules import nothing but click when they are imported; what they need, their commands import when they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from intercom_mux import __version__
from intercom_mux.cli import (
    agents,
    answer,
    ask,
    bridges,
    broker,
    complete,
    doctor,
    history,
    hook,
    layouts,
    logs,
    look,
    report,
    spawning,
    supervisor,
    talk,
    task,
    teams,
    text,
    wait,
    watch,
)

if TYPE_CHECKING:
    from intercom_mux.team.spare_daemon import SpareDaemon

SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Teams": (teams.up, teams.down, teams.status, teams.attach, logs.logs, watch.watch),
    "Changing a team": (spawning.spawn, spawning.kill, spawning.restart, spawning.scale),
    "Talking": (talk.send, ask.ask, talk.reply, ask.result, talk.cancel, wait.wait),
    "Deciding": (supervisor.supervisor, answer.answer),
    "Looking": (look.list_, look.pending, look.inbox, look.name, history.history, report.report),
    "Tasks": (task.task, look.tasks, look.progress),
    "Layouts": (layouts.layouts, layouts.validate, layouts.init, layouts.import_, layouts.schema),
    "Agents": (agents.agents, bridges.mcp, bridges.skill),
    "Plumbing": (doctor.doctor, broker.broker, complete.completion, hook.hook),
}


class Sections(click.Group):
    """A group whose help lists its commands by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list per section."""
        del ctx
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                limit = formatter.width - 6 - max(len(name) for name in self.commands)
                formatter.write_dl([(command.name or "", command.get_short_help_str(limit)) for command in commands])


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="intercom-mux", message="%(prog)s %(version)s")
def cli() -> None:
    """Bring up a team of coding agents from one file, and let them talk.

    \b
    intercom-mux up planner-worker
    intercom-mux ask worker-1 "Which tests cover the parser?"
    intercom-mux down
    """


for _commands in SECTIONS.values():
    for _command in _commands:
        cli.add_command(_command)


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
