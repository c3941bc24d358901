"""What arrives in the composer, taken apart: a message brought by a courier, or a line typed by a person. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from intercom_mux.agents import header
from intercom_mux.agents.demo.search import Document

_ATTACHMENT = re.compile(r"^(?:---\n)?Attachment: (?P<name>\S.*)\n?", re.MULTILINE)
_FENCE = re.compile(r"\A~~~[^\n]*\n(?P<content>.*?)\n?~~~\s*\Z", re.DOTALL)
_FETCH = re.compile(r"read it: \S+ inbox (?P<id>\S+)")


@dataclass(frozen=True, slots=True)
class Inbound:
    """One thing to act on.

    Attributes:
        sender: Name of the session that wrote, None for the person at the terminal.
        kind: "ask", "message" or "reply"; "ask" for a person's line.
        id: Short id, "" for a person's line.
        fetch_id: Id under which the body must be fetched because only the header was typed, else None.
        attachments: Named texts that came with the body.
    """

    text: str
    sender: str | None = None
    kind: str = "ask"
    id: str = ""
    reply_to: str | None = None
    fetch_id: str | None = None
    attachments: tuple[Document, ...] = ()


def parse(submission: str) -> Inbound:
    """Return the message in a submitted draft."""
    first, _, body = submission.strip("\n").partition("\n")
    head = header.parse(first)
    if head is None:
        text, attachments = split_attachments(submission.strip())
        return Inbound(text, attachments=attachments)
    text, attachments = split_attachments(body.strip("\n"))
    fetch = _FETCH.search(head.note or "")
    fetch_id = fetch["id"].rstrip("`\"'.,;)") if fetch and not text else None
    return Inbound(text, head.sender, head.kind, head.id, head.reply_to, fetch_id, attachments)


def split_attachments(body: str) -> tuple[str, tuple[Document, ...]]:
    """Return the text before the first `Attachment: NAME` line, and the attachments."""
    marks = list(_ATTACHMENT.finditer(body))
    if not marks:
        return body, ()
    stops = [*(mark.start() for mark in marks[1:]), len(body)]
    found = (
        Document(f"attachment:{mark['name'].strip()}", _unfenced(body[mark.end() : stop].strip("\n")))
        for mark, stop in zip(marks, stops, strict=True)
    )
    return body[: marks[0].start()].rstrip(), tuple(found)


def _unfenced(content: str) -> str:
    match = _FENCE.match(content)
    return match["content"] if match else content
