"""`send`, `reply`, `cancel`: saying something without waiting for anybody."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import connected, json_option, names_of, peers_of_team, print_json, team_option, watching
from intercom_mux.cli.complete import peer_names, role_names
from intercom_mux.cli.compose import attachment_options, read_attachments, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intercom_mux.client.blocking import Client
    from intercom_mux.errors import IntercomError

Json = dict[str, Any]

message_id_option = click.option(
    "--message-id", metavar="ID", help="Use this id: repeating the call with it delivers once."
)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options that say to whom."""
    for option in (
        click.option("--role", metavar="ROLE", shell_complete=role_names, help="To every peer of my team with a role."),
        click.option("--all", "everyone", is_flag=True, help="To every other peer of my team but the board."),
        click.option("--to", "targets", metavar="NAME", multiple=True, shell_complete=peer_names, help="To this one."),
        click.argument("words", metavar="[TO] [TEXT]", nargs=-1, shell_complete=peer_names),
    ):
        command = option(command)
    return command


def split_words(
    words: Sequence[str], targets: Sequence[str], *, is_broadcast: bool, has_file: bool
) -> tuple[list[str], str | None]:
    """Return the targets and the word that is the text: TO comes first unless an option says to whom.

    Raises:
        click.UsageError: Somebody is missing, or words are left over.
    """
    if targets and is_broadcast:
        raise click.UsageError("--to cannot be combined with --all or --role")
    to, rest = list(targets), list(words)
    if not to and not is_broadcast:
        if not rest:
            raise click.UsageError("to whom? give a name, --to NAME, --role ROLE or --all")
        to = [rest.pop(0)]
        if not rest and not has_file and " " in to[0].strip():
            raise click.UsageError(f"to whom? the name comes before the text ({to[0][:40]!r})")
    if len(rest) > (0 if has_file else 1):
        raise click.UsageError(f"too many words: put the text in quotes ({' '.join(rest)[:40]!r})")
    return list(dict.fromkeys(to)), rest[0] if rest else None


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    seconds = text.duration(value) if value is not None else None
    if value is not None and seconds is None:
        raise click.BadParameter(f"{value!r} is not a time such as 30s, 10m or 2h, up to a week")
    return seconds


def resolve_targets(client: Client, targets: Sequence[str], role: str | None, *, everyone: bool) -> dict[str, str]:
    """Return address → shown name of those a call is for.

    Raises:
        TeamError: `--all` or `--role` reaches nobody.
    """
    if everyone or role is not None:
        return names_of(peers_of_team(client, role))
    return {target: target for target in targets}


@click.command()
@target_options
@attachment_options
@click.option(
    "--wait",
    "wait_s",
    metavar="TIME",
    callback=_seconds,
    help="Wait so long (30s, 10m) until the agent has it, and say why it waits.",
)
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask first, whatever `confirm_send` says.")
@message_id_option
@team_option
@json_option
def send(
    words: tuple[str, ...],
    targets: tuple[str, ...],
    everyone: bool,
    role: str | None,
    source: str | None,
    files: tuple[str, ...],
    snippets: tuple[str, ...],
    contexts: tuple[str, ...],
    wait_s: float | None,
    is_confirmed: bool,
    message_id: str | None,
    team: str | None,
    as_json: bool,
) -> None:
    """Send TEXT to a session, without waiting for an answer.

    TEXT is an argument, `-` for stdin, or --file. TO is a name, an id or its start, or TEAM/NAME; see
    `intercom-mux list`. With several targets each one's outcome is told, and the exit code is 6 if any was refused.

    With --wait for one target, exit codes: 0 the agent has it (or keeps it for after its turn), 6 refused or ended, 11
    it still waits, 13 it was typed and nobody saw what became of it.
    """
    to, word = split_words(words, targets, is_broadcast=everyone or role is not None, has_file=source is not None)
    body = read_text(word, source)
    attachments = read_attachments(files, snippets, contexts, body)
    if not is_confirmed:
        _confirm(f"send to {', '.join(to) or (role and f'every {role}') or 'everybody'}?")
    if wait_s is not None:
        if len(to) != 1:
            raise click.UsageError("--wait is for a single target")
        _send_and_wait(team, to[0], body, attachments, message_id, wait_s, as_json=as_json)
        return
    with connected(team) as client:
        addresses = resolve_targets(client, to, role, everyone=everyone)
        if len(addresses) == 1:
            answer = client.send(next(iter(addresses)), body, attachments=attachments, message_id=message_id)
            if as_json:
                print_json(_sent_facts(answer))
            else:
                text.emit(text.sent(answer))
            return
        if message_id is not None:
            raise click.UsageError("--message-id is for a single target")
        outcomes = {name: _try_send(client, address, body, attachments) for address, name in addresses.items()}
    finish_broadcast(outcomes, as_json=as_json)


def _confirm(question: str) -> None:
    """Ask at the terminal if the configuration wants it (`confirm_send`); without a terminal nothing is asked.

    Raises:
        click.Abort: The answer is not yes.
        IntercomError: The configuration is not valid.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    from intercom_mux.host import keyboard
    from intercom_mux.team import message_rules

    if not message_rules.load().confirm_send:
        return
    if keyboard.ask(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise click.Abort


def _send_and_wait(
    team: str | None,
    to: str,
    body: str,
    attachments: list[Json],
    message_id: str | None,
    wait_s: float,
    *,
    as_json: bool,
) -> None:
    told: set[str] = set()

    def tell(receipt: Json) -> None:
        if (why := text.held(receipt)) and why not in told:
            told.add(why)
            text.note(why)

    with watching(team, "send --wait") as client:
        fate = client.follow(
            to, body, timeout_s=wait_s, attachments=attachments, message_id=message_id, on_receipt=tell
        )
    if as_json:
        print_json(fate)
    else:
        text.emit(text.followed(fate))


def _try_send(client: Client, address: str, body: str, attachments: list[Json]) -> Json | IntercomError:
    from intercom_mux.errors import DeliveryError

    try:
        return client.send(address, body, attachments=attachments)
    except DeliveryError as error:
        return error


def _sent_facts(answer: Json) -> Json:
    return {key: answer.get(key) for key in ("messageId", "to", "delivery", "status", "before", "held")}


def finish_broadcast(outcomes: dict[str, Json | IntercomError], *, as_json: bool) -> None:
    """Tell each target's outcome and exit with the gravest code: what was refused before what only lasts."""
    from intercom_mux.errors import IntercomError

    if as_json:
        rows = [
            {"target": name, **(outcome.to_json() if isinstance(outcome, IntercomError) else _sent_facts(outcome))}
            for name, outcome in outcomes.items()
        ]
        print_json(rows)
    else:
        for name, outcome in outcomes.items():
            if isinstance(outcome, IntercomError):
                text.note(text.problem(f"{name}: {outcome.message}", outcome.hint))
            else:
                text.emit(text.sent(outcome))
    exit_with([outcome for outcome in outcomes.values() if isinstance(outcome, IntercomError)])


def exit_with(errors: Sequence[IntercomError]) -> None:
    """End the command with the gravest of the errors' exit codes, or return when there are none.

    Refused (6) comes before out of time (7), and that before still open (10).
    """
    if errors:
        click.get_current_context().exit(min(error.exit_code for error in errors))


@click.command()
@click.argument("words", metavar="[TEXT]", nargs=-1)
@click.option("--to", metavar="WHOM", help="Answer this ask: its id, or who asked.")
@attachment_options
@message_id_option
@team_option
@json_option
def reply(
    words: tuple[str, ...],
    to: str | None,
    source: str | None,
    files: tuple[str, ...],
    snippets: tuple[str, ...],
    contexts: tuple[str, ...],
    message_id: str | None,
    team: str | None,
    as_json: bool,
) -> None:
    """Answer the ask you are at, or the only pending one; --to picks one of several.

    TEXT is an argument, `-` for stdin, or --file. An ask that is over gets the text as an ordinary message. Requests of
    pi's sub-agents are answered the same way; an interview's answers in JSON must fit its questions then.
    """
    from intercom_mux.supervise import open_asks

    if len(words) > 1:
        raise click.UsageError(f"too many words: put the text in quotes ({' '.join(words)[:40]!r})")
    body = read_text(words[0] if words else None, source)
    attachments = read_attachments(files, snippets, contexts, body)
    with connected(team) as client:
        answer = open_asks.reply(client, body, to=to, attachments=attachments, message_id=message_id)
        if as_json:
            print_json(answer)
        else:
            text.emit(text.replied(answer))


@click.command()
@click.argument("message_id", metavar="ID")
@team_option
@json_option
def cancel(message_id: str, team: str | None, as_json: bool) -> None:
    """Withdraw a message or an ask of yours, by its id; what an agent has begun is not undone."""
    with connected(team) as client:
        whole_id = _cancel(client, message_id)
        if as_json:
            print_json({"cancelled": whole_id})
        else:
            text.emit(f"cancelled {text.short(whole_id)}")


def _cancel(client: Client, message_id: str) -> str:
    """Withdraw what has this id, else the only open ask of ours whose id begins so; return its whole id."""
    from intercom_mux.errors import DeliveryError

    try:
        client.cancel(message_id)
    except DeliveryError:
        asks = client.request("pending")["from_me"]
        known = [row["id"] for row in asks if row["id"].startswith(message_id)]
        if len(known) != 1:
            raise
        client.cancel(known[0])
        return str(known[0])
    return message_id
