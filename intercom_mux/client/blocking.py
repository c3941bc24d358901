"""A short-lived, blocking client that acts as a session: what commands and the demo agent talk through.

One connection, one thread. Nothing here retries a message under a new id: after a lost connection the same id is sent
again and the broker drops the duplicate (docs/protocol.md, "Idempotence").
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from intercom_mux.client import failures, roster
from intercom_mux.client import identity as identities
from intercom_mux.client.link import RECONNECT_S, Link, now_ms
from intercom_mux.errors import BrokerError, DeliveryError
from intercom_mux.wire import letter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from intercom_mux.client.identity import Identity

Json = dict[str, Any]

ASK_TIMEOUT_S = 600.0
"""How long `ask` waits unless told otherwise; the protocol's default."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to an ask. `sender` is its name as we see it; `ask_id` the ask it answers.

    `is_auto`: the last words of the turn that had the ask, given without the agent's doing; a correction may follow.
    """

    text: str
    sender: str
    message_id: str
    ask_id: str
    attachments: list[Json] = field(default_factory=list)
    is_auto: bool = False


def new_id() -> str:
    """Return a fresh message id."""
    return os.urandom(16).hex()


class Client(Link):
    """What a session can do, one blocking call each. Use as a context manager."""

    is_foreign = False
    """Whether the broker is not of ours, so that there are no tickets, tasks and inbox."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self._request = 0
        self._heard: dict[str, str] = {}
        self._asked_of: dict[str, str] = {}
        """Of each ask that was waited for, what its last receipt said, and whom it is to as the broker names it."""
        self.on_note: Callable[[Json], None] | None = None
        """Hears of turns that ended without a reply to an ask that is waited for: messageId, kind, text."""

    @classmethod
    def connect(cls, identity: Identity | None = None) -> Self:
        """Return a registered client; from a terminal a broker is started if none runs.

        Raises:
            BrokerError: No broker answers, or it refuses this identity.
        """
        client = cls(identity or identities.current())
        # One that was named is there or not; ours may be about to come back.
        patience_s = 0.0 if client.identity.is_explicit else RECONNECT_S
        client._open(time.monotonic() + patience_s)
        return client

    # -- talking -------------------------------------------------------------------------------------------------

    def send(self, to: str, text: str, *, attachments: Sequence[Json] = (), message_id: str | None = None) -> Json:
        """Send and return the broker's answer: `messageId`, `to`, `delivery` (socket_delivered | queued), `status`.

        Raises:
            DeliveryError: Not accepted, with the broker's code and the names that exist.
        """
        message = self._message(text, attachments, message_id)
        return self._deliver({"type": "send", "to": to, "message": message})

    def ask(
        self,
        to: str,
        text: str,
        *,
        timeout_s: float = ASK_TIMEOUT_S,
        attachments: Sequence[Json] = (),
        on_receipt: Callable[[Json], None] | None = None,
        acknowledge: bool = True,
        message_id: str | None = None,
    ) -> Reply:
        """Ask one session and wait for its reply; survives a broker that dies and comes back.

        With the `message_id` of an ask made before, that one goes on.

        Raises:
            AskTimeout: No reply in `timeout_s`; the ask is withdrawn.
            AskTicket: Our own limit came first (`Identity.ask_wait_s`); the ask goes on as a ticket.
            DeliveryError: Refused, or ended with a reason (the target exited, its team went down).
        """
        replies = self.ask_many(
            [to], text, timeout_s=timeout_s, attachments=attachments, on_receipt=on_receipt, message_id=message_id
        )
        _, outcome = next(replies)
        if isinstance(outcome, Exception):
            raise outcome
        if acknowledge:
            self.acknowledge(outcome)
        return outcome

    def ask_many(
        self,
        targets: Sequence[str],
        text: str,
        *,
        timeout_s: float = ASK_TIMEOUT_S,
        attachments: Sequence[Json] = (),
        on_receipt: Callable[[Json], None] | None = None,
        message_id: str | None = None,
    ) -> Generator[tuple[str, Reply | Exception], None, None]:
        """Ask several sessions at once and yield (target, outcome) as they come in; every target gets exactly one.

        `message_id` is for a single target. Closing the iterator withdraws what is open; an exception in it, Ctrl-C
        too, leaves the asks to go on as tickets.
        """
        started = time.monotonic()
        deadline = started + timeout_s
        limit = self.identity.ask_wait_s
        wait_until = min(deadline, started + limit) if limit else deadline
        group = new_id()
        open_asks: dict[str, tuple[str, Json]] = {}
        dials = self.dials
        for target in targets:
            frame = self._ask_frame(target, text, attachments, timeout_s, message_id)
            frame["blocking"] = True
            frame["group"] = group
            try:
                answer = self._deliver(frame)
            except DeliveryError as error:
                yield target, error
                continue
            if on_receipt is not None and answer.get("delivery") == "queued":
                on_receipt({"messageId": answer["messageId"], "status": "queued", "detail": failures.AWAY})
            open_asks[frame["message"]["id"]] = (target, frame)
            self._asked_of[frame["message"]["id"]] = answer.get("to") or target
        if self.dials != dials:
            self._repeat(open_asks)
        try:
            while open_asks:
                ask_id, outcome = self._next_outcome(open_asks, wait_until, deadline, timeout_s, on_receipt)
                yield open_asks.pop(ask_id)[0], outcome
        except GeneratorExit:
            self._withdraw(open_asks)
            raise

    def ask_ticket(
        self,
        to: str,
        text: str,
        *,
        timeout_s: float = ASK_TIMEOUT_S,
        attachments: Sequence[Json] = (),
        message_id: str | None = None,
    ) -> Json:
        """Ask without waiting; the answer names the ask's `messageId`, and the reply goes to our mailbox."""
        return self._deliver(self._ask_frame(to, text, attachments, timeout_s, message_id))

    def reply(
        self, text: str, *, to: str | None = None, attachments: Sequence[Json] = (), message_id: str | None = None
    ) -> Json:
        """Answer the active or only pending ask, or the one `to` names (ask id, its start, or the asker's name).

        Raises:
            DeliveryError: Nothing to answer, or several asks and no `to`; `names` lists them.
        """
        answer: Json = self.request("reply", to=to or "", message=self._message(text, attachments, message_id))
        return answer

    def pending(self) -> list[Json]:
        """Return the open asks addressed to us, oldest first: id, from, text (its start), age_s, left_s."""
        return [{"from": row.pop("with"), **row} for row in self.request("pending")["to_me"]]

    def inbox(self, message_id: str | None = None, *, peek: bool = False) -> list[Json]:
        """Return what waits for us, oldest first, and mark it read unless `peek`; or one message by its id's start.

        Each row: id, from, kind (ask | message | reply), text, attachments, reply_to.
        """
        if message_id:
            rows = [self.request("inbox", id=message_id, peek=True)]
        else:
            rows = self.request("inbox", peek=True)["messages"]
        if not peek:
            for row in rows:
                self._confirm(row["message"]["id"], "injected")
        return [letter.facts(row) for row in rows]

    def result(self, ask_id: str) -> Json:
        """Return where an ask of ours stands: id, state (open, answered, cancelled, expired, ended), reply or None."""
        value: Json = self.request("result", id=ask_id)
        reply = value.get("reply")
        return {**value, "reply": letter.facts(reply) if reply else None}

    def cancel(self, message_id: str) -> None:
        """Withdraw a message of ours; what is already in an agent's hands is not undone.

        Raises:
            DeliveryError: It is not ours, or unknown.
        """
        answer = self._answer_to({"type": "cancel_message", "messageId": message_id}, _answers(message_id))
        if answer["type"] == "delivery_failed":
            raise failures.refusal(answer)

    # -- looking -------------------------------------------------------------------------------------------------

    def sessions(self) -> list[Json]:
        """Return the connected sessions, ourselves included (`self` true): id, name, role, status, cwd, team, model."""
        return [roster.facts(row, self.identity.session_id) for row in self._roster()]

    def _roster(self) -> list[Json]:
        self._request += 1
        request_id = str(self._request)
        frame = self._answer_to({"type": "list", "requestId": request_id}, _results("sessions", request_id))
        rows: list[Json] = frame["sessions"]
        return rows

    def progress(self, task: str, **changes: Any) -> Json:
        """Create or change a task (title, percent, state, note, owner) and return it as it stands."""
        task_row: Json = self.request("progress", task=task, **{k: v for k, v in changes.items() if v is not None})
        return task_row

    def tasks(self) -> list[Json]:
        """Return the tasks of our team, or of every team from outside one."""
        tasks: list[Json] = self.request("tasks")["tasks"]
        return tasks

    def request(self, op: str, **fields: Any) -> Any:
        """Make one request of ours (docs/protocol.md, "Additions") and return its value.

        Raises:
            DeliveryError: Refused, with the broker's code.
            BrokerError: The broker was lost, and lost again on every further try.
        """
        self._request += 1
        request_id = str(self._request)
        frame = {"type": "mux", "requestId": request_id, "op": op, **fields}
        answer = self._answer_to(frame, _results("mux_result", request_id))
        if not answer["ok"]:
            error = answer["error"]
            raise failures.refused(error["message"], error["code"], error.get("names"))
        return answer["value"]

    def acknowledge(self, reply: Reply) -> None:
        """Tell the broker that a reply has arrived for good; without this it goes to our mailbox as well.

        A broker that was lost meanwhile is not told: then the reply is in our mailbox.
        """
        self._confirm(reply.message_id, "acknowledged")

    def _confirm(self, message_id: str, status: str) -> None:
        receipt = {"messageId": message_id, "status": status, "timestamp": now_ms()}
        try:
            self._post({"type": "message_receipt", "receipt": receipt})
        except OSError:
            self.close()

    # -- asks ----------------------------------------------------------------------------------------------------

    def _message(self, text: str, attachments: Sequence[Json], message_id: str | None = None) -> Json:
        content: Json = {"text": text}
        if attachments:
            content["attachments"] = list(attachments)
        return {"id": message_id or new_id(), "timestamp": now_ms(), "content": content}

    def _ask_frame(
        self, to: str, text: str, attachments: Sequence[Json], timeout_s: float, message_id: str | None
    ) -> Json:
        message = self._message(text, attachments, message_id)
        message["expectsReply"] = True
        message["deadline"] = message["timestamp"] + int(timeout_s * 1000)
        return {"type": "send", "to": to, "message": message}

    def _deliver(self, frame: Json) -> Json:
        """Send a `send` frame until it is answered, under the same id."""
        message_id = frame["message"]["id"]
        try:
            answer = self._exchange(frame, _answers(message_id))
        except OSError as error:
            raise failures.unknown_outcome(message_id) from error
        if answer["type"] == "delivery_failed":
            raise failures.refusal(answer, frame["to"])
        return answer

    def _exchange(self, frame: Json, is_answer: Callable[[Json], bool]) -> Json:
        """Post `frame` and return its answer; on a lost connection again, which the broker takes for the same.

        Raises:
            OSError: Connections were lost again and again, or a live one was silent.
            BrokerError: There is no connection to be had.
        """
        give_up_at = time.monotonic() + RECONNECT_S
        while True:
            try:
                self._post(frame)
                return self._await(is_answer)
            except OSError:
                if time.monotonic() >= give_up_at:
                    raise
                self._open(give_up_at)

    def _answer_to(self, frame: Json, is_answer: Callable[[Json], bool]) -> Json:
        try:
            return self._exchange(frame, is_answer)
        except OSError as error:
            raise BrokerError(
                f"the broker was lost before it answered: {error.strerror or error}",
                code="E_OUTCOME_UNKNOWN",
                hint="see `intercom-mux broker status`",
            ) from error

    def _next_outcome(
        self,
        open_asks: dict[str, tuple[str, Json]],
        wait_until: float,
        deadline: float,
        timeout_s: float,
        on_receipt: Callable[[Json], None] | None,
    ) -> tuple[str, Reply | Exception]:
        while True:
            try:
                frame = self._next(wait_until)
            except TimeoutError:
                return self._give_up(open_asks, deadline, timeout_s)
            except OSError:
                self._come_back(open_asks, deadline)
                continue
            outcome = self._outcome(frame, open_asks, timeout_s)
            if outcome is not None:
                return outcome
            if frame.get("event") == "ask_note" and frame["messageId"] in open_asks and self.on_note is not None:
                self.on_note(frame)
            if frame["type"] == "message_receipt":
                self._heard[frame["receipt"]["messageId"]] = failures.heard(frame["receipt"])
                if on_receipt is not None:
                    on_receipt(frame["receipt"])

    def _outcome(
        self, frame: Json, open_asks: dict[str, tuple[str, Json]], timeout_s: float
    ) -> tuple[str, Reply | Exception] | None:
        """Return what `frame` says of one of our asks: the ask's id with its reply, or with why there is none."""
        if frame["type"] == "message" and frame["message"].get("replyTo") in open_asks:
            message, sender = frame["message"], frame["from"]
            content = message["content"]
            name = sender.get("name") or sender["id"]
            ask_id = message["replyTo"]
            attachments, is_auto = content.get("attachments", []), message.get("auto") is True
            return ask_id, Reply(content["text"], name, message["id"], ask_id, attachments, is_auto)
        if frame["type"] == "delivery_failed" and frame["messageId"] in open_asks:
            return frame["messageId"], failures.refusal(frame, open_asks[frame["messageId"]][0])
        is_end = frame["type"] == "mux_event" and frame.get("event") == "ask_ended"
        if is_end and frame.get("messageId") in open_asks:
            ask_id = frame["messageId"]
            target = self._asked_of[ask_id]
            if frame["code"] == "E_ASK_TIMEOUT":
                return ask_id, failures.timed_out(target, timeout_s, ask_id, self._heard.get(ask_id))
            return ask_id, self._late(ask_id) or failures.ended(target, frame["reason"], ask_id)
        return None

    def _withdraw(self, ask_ids: Iterable[str]) -> None:
        """Take back asks that nobody waits for any more; without a connection the broker has seen us go."""
        try:
            for ask_id in ask_ids:
                self._post({"type": "cancel_ask", "messageId": ask_id})
        except OSError:
            pass

    def _give_up(
        self, open_asks: dict[str, tuple[str, Json]], deadline: float, timeout_s: float
    ) -> tuple[str, Exception]:
        ask_id, target = next((key, self._asked_of[key]) for key in open_asks)
        if time.monotonic() >= deadline:
            self._withdraw([ask_id])
            return ask_id, failures.timed_out(target, timeout_s, ask_id, self._heard.get(ask_id))
        return ask_id, failures.ticket(target, ask_id)

    def _come_back(self, open_asks: dict[str, tuple[str, Json]], deadline: float) -> None:
        """After a lost connection: the same asks under the same ids, which makes the broker answer to us again."""
        self._open(min(deadline, time.monotonic() + RECONNECT_S))
        self._repeat(open_asks)

    def _repeat(self, open_asks: dict[str, tuple[str, Json]]) -> None:
        try:
            for _, frame in open_asks.values():
                self._post(frame)
        except OSError:
            self.close()

    def _late(self, ask_id: str) -> Reply | None:
        """Return the reply to an ask that ended while we were away, if there is one."""
        try:
            reply = self.result(ask_id)["reply"]
        except DeliveryError:
            return None
        return Reply(reply["text"], reply["from"], reply["id"], ask_id, reply["attachments"]) if reply else None


def _answers(message_id: str) -> Callable[[Json], bool]:
    return lambda f: f["type"] in {"delivered", "delivery_failed"} and f.get("messageId") == message_id


def _results(kind: str, request_id: str) -> Callable[[Json], bool]:
    return lambda f: f["type"] == kind and f.get("requestId") == request_id
