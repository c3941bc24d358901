"""`supervisor decide | interview | update`: what a peer has to say to the one who decides for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import click

from intercom_mux.cli import text
from intercom_mux.cli.ask import reply_facts, waiting
from intercom_mux.cli.caller import Duration, connected, json_option, print_json
from intercom_mux.cli.compose import read_text
from intercom_mux.cli.groups import Group

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.client.blocking import Client
    from intercom_mux.supervise.contact import Interviewed

Json = dict[str, Any]
T = TypeVar("T")

timeout_option = click.option(
    "--timeout", type=Duration(), default="600", metavar="TIME", help="How long to wait: 30s, 10m (default)."
)
file_option = click.option("--file", "source", metavar="FILE", type=click.Path(), help="Read the text from a file.")


@click.group(cls=Group)
def supervisor() -> None:
    """Contact the peer that the layout names as supervisor: for a decision, answers to questions, or your progress."""


@supervisor.command()
@click.argument("words", metavar="[TEXT]", nargs=-1)
@file_option
@timeout_option
@json_option
def decide(words: tuple[str, ...], source: str | None, timeout: float, as_json: bool) -> None:
    """Ask the supervisor to decide something, wait, and print its reply.

    Exit codes are those of `ask`: 10 when the wait had to end first and `intercom-mux result ID` fetches the reply.
    """
    from intercom_mux.supervise import contact

    body = read_text(_word(words), source)
    with connected(None) as client:
        reply = _wait(client, lambda **how: contact.need_decision(client, body, timeout_s=timeout, **how))
        if as_json:
            print_json(reply_facts(reply))
        else:
            text.emit(text.reply(reply.text, reply.attachments))
        client.acknowledge(reply)


@supervisor.command()
@click.argument("questions", metavar="FILE", type=click.Path())
@click.option("--note", metavar="TEXT", help="A remark of your own, above the questions.")
@timeout_option
@json_option
def interview(questions: str, note: str | None, timeout: float, as_json: bool) -> None:
    """Put the questions in FILE (JSON; - for stdin) to the supervisor, wait, and print its answers.

    {"title"?, "questions": [{"id", "type": single|multi|text|image|info, "question", "options"?, "context"?}]}

    Answers that fit the questions are printed as JSON, what is wrong with others on stderr; a reply in prose as it is.
    """
    from intercom_mux.supervise import contact
    from intercom_mux.supervise.interview import read_request

    request = read_request(_read_json(questions))
    with connected(None) as client:
        done = _wait(client, lambda **how: contact.interview_request(client, request, note, timeout_s=timeout, **how))
        if as_json:
            print_json(_interview_facts(done))
        else:
            _show_answers(done)
        client.acknowledge(done.reply)


@supervisor.command()
@click.argument("words", metavar="[TEXT]", nargs=-1)
@file_option
@json_option
def update(words: tuple[str, ...], source: str | None, as_json: bool) -> None:
    """Tell the supervisor how far you are, without waiting for anybody."""
    from intercom_mux.supervise import contact

    body = read_text(_word(words), source)
    with connected(None) as client:
        answer = contact.progress_update(client, body)
        if as_json:
            print_json({key: answer.get(key) for key in ("messageId", "to", "delivery", "status")})
        else:
            text.emit(text.sent(answer))


def _word(words: tuple[str, ...]) -> str | None:
    if len(words) > 1:
        raise click.UsageError(f"too many words: put the text in quotes ({' '.join(words)[:40]!r})")
    return words[0] if words else None


def _read_json(file: str) -> Any:
    body = read_text("-", None) if file == "-" else read_text(None, file)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{file}: not valid JSON: {error}") from error


def _wait(client: Client, ask: Callable[..., T]) -> T:
    """Ask the supervisor, showing on a terminal that its reply is awaited; Ctrl-C leaves the ask open and says so."""
    from intercom_mux.client.blocking import new_id
    from intercom_mux.supervise.contact import supervisor_of

    ask_id = new_id()
    try:
        with waiting(supervisor_of(client.identity).name) as spinner:
            return ask(on_receipt=spinner.take, message_id=ask_id)
    except KeyboardInterrupt:
        text.note(text.left_open(ask_id))
        raise


def _interview_facts(done: Interviewed) -> Json:
    answers = done.answers
    found: Json = {} if answers is None else {"responses": list(answers.responses), "problems": list(answers.problems)}
    return {**reply_facts(done.reply), **found}


def _show_answers(done: Interviewed) -> None:
    if done.answers is None or not (done.answers.responses or not done.answers.problems):
        text.emit(text.reply(done.reply.text, done.reply.attachments))
    else:
        print_json({"responses": list(done.answers.responses)})
    for problem in done.answers.problems if done.answers else ():
        text.note(f"not taken: {problem}")
