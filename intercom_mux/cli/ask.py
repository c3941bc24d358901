"""`ask` and `result`: a question, and the reply to it now or later."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import Duration, connected, json_option, print_json, team_option
from intercom_mux.cli.compose import attachment_options, read_attachments, read_text
from intercom_mux.cli.talk import exit_with, message_id_option, resolve_targets, split_words, target_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intercom_mux.client.blocking import Client, Reply

Json = dict[str, Any]


@click.command()
@target_options
@attachment_options
@click.option("--timeout", type=Duration(), default="600", metavar="TIME", help="How long to wait: 30s, 10m (default).")
@click.option("--async", "is_async", is_flag=True, help="Do not wait: print a ticket for `intercom-mux result`.")
@message_id_option
@team_option
@json_option
def ask(
    words: tuple[str, ...],
    targets: tuple[str, ...],
    everyone: bool,
    role: str | None,
    source: str | None,
    files: tuple[str, ...],
    snippets: tuple[str, ...],
    contexts: tuple[str, ...],
    timeout: float,
    is_async: bool,
    message_id: str | None,
    team: str | None,
    as_json: bool,
) -> None:
    """Ask a session something, wait, and print its reply.

    Only the reply goes to stdout. Exit codes: 6 refused or ended unanswered, 7 no reply in time, 10 the wait had to end
    first and `intercom-mux result ID` fetches the reply later. With several targets each reply is printed under its
    name as it comes.
    """
    to, word = split_words(words, targets, is_broadcast=everyone or role is not None, has_file=source is not None)
    body = read_text(word, source)
    attachments = read_attachments(files, snippets, contexts, body)
    with connected(team) as client:
        addresses = resolve_targets(client, to, role, everyone=everyone)
        if message_id is not None and len(addresses) > 1:
            raise click.UsageError("--message-id is for a single target")
        question = _Question(client, addresses, body, attachments, timeout, message_id, as_json=as_json)
        if is_async:
            question.leave_tickets()
        elif len(addresses) == 1:
            question.ask_one()
        else:
            question.ask_all()


class _Question:
    """One question to one or several sessions."""

    def __init__(
        self,
        client: Client,
        addresses: dict[str, str],
        body: str,
        attachments: list[Json],
        timeout_s: float,
        message_id: str | None,
        *,
        as_json: bool,
    ) -> None:
        self._client = client
        self._addresses = addresses
        self._body = body
        self._attachments = attachments
        self._timeout_s = timeout_s
        self._message_id = message_id
        self._as_json = as_json

    def ask_one(self) -> None:
        """Print the reply, and only then tell the broker that it has arrived."""
        from intercom_mux.client.blocking import new_id

        ((address, name),) = self._addresses.items()
        ask_id = self._message_id or new_id()
        try:
            with waiting(name) as spinner:
                self._client.on_note = spinner.note
                answer = self._client.ask(
                    address,
                    self._body,
                    timeout_s=self._timeout_s,
                    attachments=self._attachments,
                    on_receipt=spinner.take,
                    acknowledge=False,
                    message_id=ask_id,
                )
        except KeyboardInterrupt:
            text.note("the ask is withdrawn" if self._client.is_foreign else text.left_open(ask_id))
            raise
        if self._as_json:
            print_json(reply_facts(answer))
        else:
            text.emit(text.reply(answer.text, answer.attachments))
            if answer.is_auto:
                text.note(text.AUTO_REPLY)
        self._client.acknowledge(answer)

    def ask_all(self) -> None:
        """Print each reply under its name as it comes, or one array at the end."""
        outcomes: list[Json] = []
        errors: list[Any] = []
        with waiting(", ".join(self._addresses.values()), prints_meanwhile=True) as spinner:
            self._client.on_note = spinner.note
            replies = self._client.ask_many(
                list(self._addresses),
                self._body,
                timeout_s=self._timeout_s,
                attachments=self._attachments,
                on_receipt=spinner.take,
            )
            for address, outcome in replies:
                name = self._addresses[address]
                if isinstance(outcome, Exception):
                    errors.append(outcome)
                with spinner.paused():
                    self._tell(name, outcome, outcomes)
        if self._as_json:
            print_json(outcomes)
        exit_with(errors)

    def _tell(self, name: str, outcome: Any, outcomes: list[Json]) -> None:
        is_error = isinstance(outcome, Exception)
        if self._as_json:
            outcomes.append({"target": name, **(outcome.to_json() if is_error else reply_facts(outcome))})
        elif is_error:
            text.note(text.problem(f"{name}: {outcome.message}", outcome.hint))
        else:
            text.emit(f"{name}:\n{text.reply(outcome.text, outcome.attachments)}\n\n")
        if not is_error and not self._as_json:
            self._client.acknowledge(outcome)

    def leave_tickets(self) -> None:
        """Ask without waiting; print each ticket, with its name when there are several."""
        from intercom_mux.errors import DeliveryError

        rows: list[Json] = []
        errors: list[DeliveryError] = []
        for address, name in self._addresses.items():
            try:
                answer = self._client.ask_ticket(
                    address,
                    self._body,
                    timeout_s=self._timeout_s,
                    attachments=self._attachments,
                    message_id=self._message_id,
                )
            except DeliveryError as error:
                if len(self._addresses) == 1:
                    raise
                errors.append(error)
                rows.append({"target": name, **error.to_json()})
                continue
            rows.append({"target": name, "ask_id": answer["messageId"], "delivery": answer["delivery"]})
        self._print_tickets(rows)
        for refused in errors:
            text.note(text.problem(refused.message, refused.hint))
        exit_with(errors)

    def _print_tickets(self, rows: list[Json]) -> None:
        tickets = [row for row in rows if "ask_id" in row]
        if self._as_json:
            print_json(rows[0] if len(rows) == 1 else rows)
        elif len(rows) == 1:
            text.emit(text.short(rows[0]["ask_id"]))
        elif tickets:
            text.emit(text.table([(text.short(row["ask_id"]), row["target"]) for row in tickets]))


def reply_facts(answer: Reply) -> Json:
    """Return a reply as `--json` shows it."""
    return {
        "from": answer.sender,
        "text": answer.text,
        "attachments": answer.attachments,
        "ask_id": answer.ask_id,
        "message_id": answer.message_id,
        "is_auto": answer.is_auto,
    }


@click.command()
@click.argument("ask_id", metavar="ID")
@team_option
@json_option
def result(ask_id: str, team: str | None, as_json: bool) -> None:
    """Print the reply to an ask of yours, by its ticket.

    Exit codes: 0 with the reply, 10 while the ask is open, 6 when it ended without one.
    """
    from intercom_mux.errors import AskTicket, DeliveryError

    with connected(team) as client:
        standing = client.result(ask_id)
        if client.waiting:
            client.waiting = len(client.inbox(peek=True))  # the reply itself may have been among them
        if standing["reply"] is None:
            facts = {key: standing[key] for key in ("state", "id", "to", "left_s", "turn") if key in standing}
            shown = text.short(standing["id"])
            if standing["state"] == "open":
                whom = f" to {standing['to']}" if "to" in standing else ""
                left = f", {text.span(standing['left_s'])} left" if "left_s" in standing else ""
                if turn := standing.get("turn"):
                    text.note(text.turn_note(turn["kind"], turn["text"]))
                raise AskTicket(f"ask {shown}{whom} is still open{left}", code="E_ASK_OPEN", **facts)
            raise DeliveryError(f"ask {shown} ended without a reply: {standing['state']}", code="E_ASK_ENDED", **facts)
        if as_json:
            print_json(standing)
        else:
            text.emit(text.reply(standing["reply"]["text"], standing["reply"]["attachments"]))


# -- while waiting -------------------------------------------------------------------------------------------------


class _Silence:
    """What shows only why a question waits, once for every change, in a pipe."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def take(self, receipt: Json) -> None:
        why = text.held(receipt)
        if why and self._told.get(receipt["messageId"]) != why:
            self._told[receipt["messageId"]] = why
            text.note(why)

    def note(self, turn: Json) -> None:
        with self.paused():
            text.note(text.turn_note(turn["kind"], turn["text"]))

    @contextmanager
    def paused(self) -> Iterator[None]:
        yield


class _Spinner(_Silence):
    """A line on stderr: who is asked, for how long, and the last receipt."""

    def __init__(self, progress: Any, whom: str) -> None:
        super().__init__()
        self._progress = progress
        self._task = progress.add_task("delivered", total=None, whom=whom)

    def take(self, receipt: Json) -> None:
        from intercom_mux.client import failures

        self._progress.update(self._task, description=failures.heard(receipt))

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()


@contextmanager
def waiting(whom: str, *, prints_meanwhile: bool = False) -> Iterator[_Silence]:
    """Show on a terminal's stderr that a reply is awaited; nothing of it stays.

    Nothing is shown for a caller that `prints_meanwhile` into a pipe: what reads that may write to the same terminal.
    """
    if not sys.stderr.isatty() or (prints_meanwhile and _is_stdout_pipe()):
        yield _Silence()
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("asking {task.fields[whom]} ·", markup=False),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Spinner(progress, whom)


def _is_stdout_pipe() -> bool:
    return stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
