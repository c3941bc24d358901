"""What the tools of the MCP server do: blocking calls through a connected client, told as words and as facts.

Each gets the client, checked arguments, and the id that a message or ask of it shall bear. Words and facts must each do
alone: some clients show a model only the facts, others only the words. `next` among the facts is advice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux.client.blocking import ASK_TIMEOUT_S
from intercom_mux.errors import AskTicket, IntercomError
from intercom_mux.supervise import contact, open_asks
from intercom_mux.supervise.interview import read_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.client.blocking import Client, Reply

Json = dict[str, Any]

_SHOWN = ("name", "id", "role", "team", "status", "cwd", "self")
"""What a model needs of a session."""
_TURNS = {
    "ended": "a turn of the asked ended without an answer, in these words",
    "idle": "the asked is idle again, its screen ends like this",
}
"""What is told of a turn that brought no answer; the ask stays open."""


class Answer(NamedTuple):
    """What a tool gives back: words for the model, and facts."""

    text: str
    facts: Json


def list_(client: Client, _arguments: Json, _id: str) -> Answer:
    """List sessions and tasks."""
    sessions, tasks = client.sessions(), client.tasks()
    lines = [_session(row) for row in sessions]
    if tasks:
        lines += ["", "tasks:", *map(_task, tasks)]
    shown = [{key: row[key] for key in _SHOWN if row[key] is not None} for row in sessions]
    return Answer("\n".join(lines), {"sessions": shown, "tasks": tasks})


def _session(row: Json) -> str:
    facts = [fact for fact in (row["role"], row["status"], row["cwd"]) if fact]
    you = " (you)" if row["self"] else ""
    return f"{row['name'] or row['id'][:8]}{you}: {', '.join(facts)}"


def _task(row: Json) -> str:
    about = " · ".join(part for part in (row["title"], row["note"]) if part)
    return f"{row['id']}: {row['state']}, {row['percent']}%, {row['owner']}" + (f", {about}" if about else "")


def send(client: Client, arguments: Json, message_id: str) -> Answer:
    """Send, without waiting."""
    answer = client.send(
        arguments["to"], arguments["message"], attachments=_attachments(arguments), message_id=message_id
    )
    return Answer(_sent(answer), {key: answer.get(key) for key in ("messageId", "to", "delivery", "status")})


def _sent(answer: Json) -> str:
    status = answer.get("status")
    if answer["delivery"] == "queued":
        return f"queued for {answer['to']}, which is not connected"
    return f"delivered to {answer['to']}" + (f", which is {status}" if status else "")


def ask(client: Client, arguments: Json, ask_id: str) -> Answer:
    """Ask and wait, or leave a ticket."""
    to, message, attachments = arguments["to"], arguments["message"], _attachments(arguments)
    timeout_s = float(arguments.get("timeout_s", ASK_TIMEOUT_S))
    if not arguments.get("wait", True):
        client.ask_ticket(to, message, timeout_s=timeout_s, attachments=attachments, message_id=ask_id)
        return _ticket(to, ask_id)
    try:
        reply = client.ask(
            to, message, timeout_s=timeout_s, attachments=attachments, acknowledge=False, message_id=ask_id
        )
    except AskTicket:
        return _ticket(to, ask_id)
    client.acknowledge(reply)
    return _answered(reply)


def _ticket(to: str, ask_id: str) -> Answer:
    advice = f"Go on, and call intercom_result with ask_id {ask_id[:8]} later"
    facts = {"state": "open", "ask_id": ask_id, "to": to, "next": advice}
    return Answer(f"no reply from {to} yet; the ask is open. {advice}", facts)


def _answered(reply: Reply) -> Answer:
    facts: Json = {"state": "answered", "ask_id": reply.ask_id, "from": reply.sender, "reply": reply.text}
    if reply.attachments:
        facts["attachments"] = reply.attachments
    return Answer(f"reply from {reply.sender}:\n\n{_body(reply.text, reply.attachments)}", facts)


def _body(text: str, attachments: Sequence[Json]) -> str:
    """Return a text and what is attached to it, in fences that its content does not close."""
    parts = [text]
    for attachment in attachments:
        fence = "~~~"
        while fence in attachment["content"]:
            fence += "~"
        opening = f"{fence}{attachment.get('language', '')}"
        parts.append(f"Attachment: {attachment['name']}\n{opening}\n{attachment['content']}\n{fence}")
    return "\n\n".join(parts)


def _attachments(arguments: Json) -> list[Json]:
    return [{"type": "file", **attachment} for attachment in arguments.get("attachments", ())]


def reply(client: Client, arguments: Json, message_id: str) -> Answer:
    """Answer an ask."""
    attachments = _attachments(arguments)
    to, words = arguments.get("to"), arguments["message"]
    answer = open_asks.reply(client, words, to=to, attachments=attachments, message_id=message_id)
    fate = "queued for" if answer["delivery"] == "queued" else "delivered to"
    late = "; the ask was over, it went as a message" if answer["isLate"] else ""
    return Answer(f"reply {fate} {answer['to']}{late}", answer)


def pending(client: Client, _arguments: Json, _id: str) -> Answer:
    """Show open asks."""
    value = open_asks.pending(client)
    lines = [f"asks to you, answer with intercom_reply to=ID:{_asks(value['to_me'])}"] if value["to_me"] else []
    if value["from_me"]:
        lines.append(f"asks of yours:{_asks(value['from_me'])}")
    advice = {"next": "answer what is to you with intercom_reply, to=ID"} if value["to_me"] else {}
    return Answer("\n".join(lines) or "no pending asks", {**value, **advice})


def _asks(rows: Sequence[Json]) -> str:
    return "".join(f"\n{row['id'][:8]} {row['with']}, {int(row['age_s'])} s ago: {row['text']}" for row in rows)


def inbox(client: Client, arguments: Json, _id: str) -> Answer:
    """Read what waits, or one message."""
    letters = client.inbox(arguments.get("id"))
    advice = {"next": "answer asks with intercom_reply, to=ID"} if any(row["kind"] == "ask" for row in letters) else {}
    words = "\n\n".join(map(_letter, letters)) or "no messages are waiting"
    return Answer(words, {"messages": letters, **advice})


def _letter(row: Json) -> str:
    about = f" to {row['reply_to'][:8]}" if row["reply_to"] else ""
    head = f"[intercom] from {row['from']} · {row['kind']} {row['id'][:8]}{about}"
    hint = f" · reply: intercom_reply to={row['id'][:8]}" if row["kind"] == "ask" else ""
    return f"{head}{hint}\n{_body(row['text'], row['attachments'])}"


def result(client: Client, arguments: Json, _id: str) -> Answer:
    """Fetch the reply to an ask."""
    standing = client.result(arguments["ask_id"])
    reply = standing["reply"]
    if reply is None:
        text = f"ask {standing['id'][:8]} has no reply; it is {standing['state']}"
        turn = standing.get("turn")
        return Answer(f"{text}; {_TURNS[turn['kind']]}:\n{turn['text']}" if turn else text, standing)
    return Answer(f"reply from {reply['from']}:\n\n{_body(reply['text'], reply['attachments'])}", standing)


def status(client: Client, _arguments: Json, _id: str) -> Answer:
    """Tell who the caller is."""
    identity = client.identity
    me: Json = next((row for row in client.sessions() if row["self"]), {})
    open_asks: Json = client.request("pending")
    facts = {
        "name": client.name,
        "id": identity.session_id,
        "team": identity.team,
        "role": me.get("role"),
        "status": me.get("status"),
        "supervisor": identity.supervisor.name if identity.supervisor else None,
        "waiting": client.waiting,
        "asks_to_me": len(open_asks["to_me"]),
        "asks_from_me": len(open_asks["from_me"]),
    }
    return Answer("\n".join(f"{key}: {value}" for key, value in facts.items() if value is not None), facts)


def progress(client: Client, arguments: Json, _id: str) -> Answer:
    """Report on a task."""
    changes = {key: value for key, value in arguments.items() if key != "task"}
    if client.identity.is_shell:
        changes["team"] = client.identity.team
    task = client.progress(arguments["task"], **changes)
    return Answer(_task(task), task)


def contact_supervisor(client: Client, arguments: Json, ask_id: str) -> Answer:
    """Contact the supervisor for one of three reasons."""
    reason, message = arguments["reason"], arguments.get("message")
    name = contact.supervisor_of(client.identity).name
    timeout_s = float(arguments.get("timeout_s", ASK_TIMEOUT_S))
    if reason == "interview_request":
        interview = read_request(arguments.get("interview"))
        try:
            done = contact.interview_request(client, interview, message, timeout_s=timeout_s, message_id=ask_id)
        except AskTicket:
            return _ticket(name, ask_id)
        client.acknowledge(done.reply)
        return _interviewed(done)
    if not message:
        raise IntercomError(f"Missing 'message' parameter for reason '{reason}'.", code="E_USAGE")
    if reason == "progress_update":
        answer = contact.progress_update(client, message)
        return Answer(f"progress update {_sent(answer)}", {"messageId": answer["messageId"], "to": answer["to"]})
    try:
        reply = contact.need_decision(client, message, timeout_s=timeout_s, message_id=ask_id)
    except AskTicket:
        return _ticket(name, ask_id)
    client.acknowledge(reply)
    return _answered(reply)


def _interviewed(done: contact.Interviewed) -> Answer:
    answer = _answered(done.reply)
    if done.answers is None:
        return answer
    facts = {"responses": list(done.answers.responses), "problems": list(done.answers.problems)}
    faults = "".join(f"\nnot valid: {problem}" for problem in done.answers.problems)
    return Answer(answer.text + (f"\n{faults}" if faults else ""), {**answer.facts, **facts})
