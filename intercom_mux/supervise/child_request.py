"""What a sub-agent of pi writes into its file channel when it needs its supervisor, and the reply that goes back. Pure.

docs/protocol.md, "The file channel of pi's sub-agents". What cannot be understood is passed over, never half believed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import DeliveryError, IntercomError
from intercom_mux.supervise import contact
from intercom_mux.supervise import interview as interviews

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.supervise.interview import Interview

Json = dict[str, Any]

MAX_BYTES = 65_536
"""Of a request, and of a reply of ours."""
ASK_MS = 600_000
"""How long a child waits that does not say it."""
_TYPE = "subagent.supervisor.request"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HEADINGS = {"need_decision": contact.DECISION, "interview_request": contact.INTERVIEW}
_PREVIEW = 200
_JSON_ALONE = re.compile(r"\s*(?:```(?:json)?\s*(?P<fenced>.*?)\s*```|(?P<bare>[{\[].*))\s*", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ChildRequest:
    """A request that a child waits for. Times are Unix milliseconds; `target` and `session` say whom it means.

    `is_dated_in_words`: the child writes times as ISO 8601, and is answered so.
    """

    id: str
    heading: str
    body: str
    run: str
    agent: str
    index: int
    created_at: float
    expires_at: float
    child: str | None = None
    target: str | None = None
    session: str | None = None
    interview: Interview | None = None
    is_dated_in_words: bool = False

    @property
    def sender(self) -> str:
        """The child's name."""
        return self.child or self.agent

    @property
    def text(self) -> str:
        """The message as the child would send it through a broker."""
        return contact.headed(self.heading, self.run, self.agent, self.index, self.child, self.body)


def is_id(text: str) -> bool:
    """Whether `text` may be a request's id, which is the name of its files too."""
    return _ID.fullmatch(text) is not None


def read(data: bytes, request_id: str, *, wait_ms: float = ASK_MS) -> ChildRequest | None:
    """Return the request in a file of that id; `wait_ms` is how long a child waits that does not say it.

    None for what nobody has to answer: a progress update, a half-written file, junk.
    """
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("type") != _TYPE or value.get("id") != request_id:
        return None
    heading, created_at = _HEADINGS.get(str(value.get("reason"))), _time(value.get("createdAt"))
    run, agent, index = _name(value, "runId"), _name(value, "agent"), value.get("childIndex")
    if heading is None or created_at is None or value.get("expectsReply") is not True:
        return None
    if run is None or agent is None or type(index) is not int:
        return None
    interview = _interview(value) if heading == contact.INTERVIEW else None
    message = _text(value, "message")
    body = interviews.render(interview, message) if interview else message
    if body is None:
        return None
    return ChildRequest(
        id=request_id,
        heading=heading if interview else contact.DECISION,
        body=body,
        run=run,
        agent=agent,
        index=index,
        created_at=created_at,
        expires_at=_time(value.get("expiresAt")) or created_at + wait_ms,
        child=_name(value, "childTarget"),
        target=_name(value, "orchestratorTarget"),
        session=_name(value, "orchestratorSessionId"),
        interview=interview,
        is_dated_in_words=isinstance(value["createdAt"], str),
    )


def _interview(value: Json) -> Interview | None:
    """Return the questions of a request; those that make none leave its message, which is then answered in prose."""
    try:
        return interviews.read_request(value.get("interview"))
    except IntercomError:
        return None


def _text(value: Json, key: str) -> str | None:
    text = value.get(key)
    return text if isinstance(text, str) and text.strip() else None


def _name(value: Json, key: str) -> str | None:
    text = _text(value, key)
    return " ".join(text.split()) if text else None


def _time(value: object) -> float | None:
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
            value = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        return None
    return float(value)


def row(request: ChildRequest, now: float, note: str = "") -> Json:
    """Return the request as the broker's `pending` shows an ask; `for` names the session that the child means."""
    return {
        "id": request.id,
        "with": request.sender,
        "text": request.text[:_PREVIEW],
        "age_s": max(0, int(now - request.created_at) // 1000),
        "left_s": max(0, int(request.expires_at - now) // 1000),
        "is_blocking": True,
        "is_active": False,
        "state": "queued",
        "note": note,
        "for": request.target,
    }


def answer(request: ChildRequest, text: str, attachments: Sequence[Json], now: float) -> bytes:
    """Return the file that answers a request.

    An interview's reply in JSON must fit its questions, and goes as bare JSON if that is all; prose goes as it is.

    Raises:
        IntercomError: An answer does not fit, with each question and why (`E_INVALID_ANSWER`).
        DeliveryError: It is empty (`E_INVALID_MESSAGE`) or too large (`E_MESSAGE_TOO_LARGE`).
    """
    if not text.strip():
        raise DeliveryError("the reply is empty", code="E_INVALID_MESSAGE")
    message = _checked(request.interview, text) if request.interview else text
    for each in attachments:
        fence = "~~~"
        while fence in each["content"]:
            fence += "~"
        message += f"\n\n---\nAttachment: {each['name']}\n{fence}{each.get('language', '')}\n{each['content']}\n{fence}"
    at: object = int(now)
    if request.is_dated_in_words:
        at = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    value = {"type": "subagent.supervisor.reply", "requestId": request.id, "createdAt": at, "message": message}
    data = json.dumps(value).encode()
    if len(data) > MAX_BYTES:
        reason = f"the reply is too large for a sub-agent: {len(data)} bytes, it takes {MAX_BYTES}"
        raise DeliveryError(reason, code="E_MESSAGE_TOO_LARGE", hint="write it into a file and name that")
    return data


def _checked(interview: Interview, text: str) -> str:
    said = interviews.read_reply(interview, text)
    if said is None:
        return text
    if said.problems:
        raise IntercomError(
            f"not a valid answer: {'; '.join(said.problems)}",
            code="E_INVALID_ANSWER",
            hint="nothing was sent; answer again",
            problems=list(said.problems),
        )
    alone = _JSON_ALONE.fullmatch(text)
    try:
        json.loads((alone["fenced"] or alone["bare"]) if alone else "")
    except (ValueError, TypeError):
        return text
    return json.dumps({"responses": list(said.responses)}, ensure_ascii=False)
