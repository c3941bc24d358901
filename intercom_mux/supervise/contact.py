"""contact_supervisor: a peer asks its supervisor to decide, interviews it, or tells it how far things are.

The texts are those that pi's sub-agents send (docs/protocol.md, "Supervision"), so that a pi session can be the
supervisor of one of our peers. The supervisor answers like any other ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intercom_mux.client.blocking import ASK_TIMEOUT_S
from intercom_mux.errors import DeliveryError, TeamError
from intercom_mux.supervise import interview as interviews

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.client.blocking import Client, Reply
    from intercom_mux.client.identity import Identity, Supervisor
    from intercom_mux.supervise.interview import Answers, Interview

Json = dict[str, Any]

DECISION = "Subagent needs a supervisor decision."
INTERVIEW = "Subagent requests a structured supervisor interview."
PROGRESS = "Subagent progress update."
_AWAY = ("E_TARGET_DISCONNECTED", "E_TARGET_EXITED")


@dataclass(frozen=True, slots=True)
class Interviewed:
    """How an interview ended: the supervisor's reply, and what it says to the questions; None for plain prose."""

    reply: Reply
    answers: Answers | None


def supervisor_of(identity: Identity) -> Supervisor:
    """Return who decides for a session.

    Raises:
        TeamError: Nobody: it is in no team, its layout names no supervisor, or it is the supervisor itself.
    """
    if identity.supervisor is not None:
        return identity.supervisor
    if identity.is_shell:
        raise TeamError(
            "no supervisor: this is no peer of a team",
            code="E_NO_SUPERVISOR",
            hint="call it in the pane of a peer, or `ask` somebody by name",
        )
    raise TeamError(
        f"no supervisor for {identity.name}: its layout names none, or it is the supervisor itself",
        code="E_NO_SUPERVISOR",
        hint="set `supervisor: NAME` in the layout, or `ask` a peer by name",
    )


def compose(heading: str, identity: Identity, body: str) -> str:
    """Return the text of a message to the supervisor of `identity`.

    Raises:
        TeamError: There is none.
    """
    child = supervisor_of(identity)
    return headed(heading, child.run, child.agent, child.index, identity.name, body)


def headed(heading: str, run: str, agent: str, index: int, name: str | None, body: str) -> str:
    """Return `body` under what a supervisor is told of the child that writes it."""
    lines = [heading, f"Run: {run}", f"Agent: {agent}", f"Child index: {index}"]
    if name:
        lines.append(f"Child intercom target: {name}")
    return "\n".join([*lines, "", body])


def need_decision(
    client: Client,
    message: str,
    *,
    timeout_s: float = ASK_TIMEOUT_S,
    on_receipt: Callable[[Json], None] | None = None,
    message_id: str | None = None,
) -> Reply:
    """Ask the supervisor and wait for its reply, which the caller acknowledges.

    One that is away and cannot be asked gets the question as a message on its return, and the error says so.

    Raises:
        TeamError: There is no supervisor.
        AskTimeout, AskTicket, DeliveryError: As `Client.ask` does.
    """
    return _ask(client, compose(DECISION, client.identity, message), timeout_s, on_receipt, message_id)


def interview_request(
    client: Client,
    interview: Interview,
    note: str | None = None,
    *,
    timeout_s: float = ASK_TIMEOUT_S,
    on_receipt: Callable[[Json], None] | None = None,
    message_id: str | None = None,
) -> Interviewed:
    """Put structured questions to the supervisor and wait for its reply, which the caller acknowledges.

    Raises as `need_decision`. A reply that is no JSON, or has faults, is no error: the caller is told.
    """
    text = compose(INTERVIEW, client.identity, interviews.render(interview, note))
    reply = _ask(client, text, timeout_s, on_receipt, message_id)
    return Interviewed(reply, interviews.read_reply(interview, reply.text))


def progress_update(client: Client, message: str) -> Json:
    """Tell the supervisor and return the broker's answer, as `Client.send` does, without waiting for anybody.

    Raises:
        TeamError: There is no supervisor.
        DeliveryError: Not accepted.
    """
    return client.send(supervisor_of(client.identity).session_id, compose(PROGRESS, client.identity, message))


def _ask(
    client: Client,
    text: str,
    timeout_s: float,
    on_receipt: Callable[[Json], None] | None,
    message_id: str | None,
) -> Reply:
    whom = supervisor_of(client.identity).session_id
    try:
        return client.ask(
            whom, text, timeout_s=timeout_s, on_receipt=on_receipt, acknowledge=False, message_id=message_id
        )
    except DeliveryError as error:
        if error.code not in _AWAY:
            raise
        raise _left_word(client, text, error) from error


def _left_word(client: Client, text: str, refusal: DeliveryError) -> DeliveryError:
    """Leave the question as a message for a supervisor that is away; return what its asker is told at once."""
    boss, me = supervisor_of(client.identity), client.name or client.identity.session_id
    try:
        client.send(boss.session_id, f"{text}\n\n(You were away and nobody waits for a reply: send {me} a message.)")
    except DeliveryError:
        return refusal
    hint = f"{boss.name} finds the question on its return: go on without it, or ask again then"
    return DeliveryError(refusal.message, code=refusal.code, hint=hint)
