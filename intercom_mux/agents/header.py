"""The line that stands before every message given to an agent: rendered by couriers, read by the demo agent.

It comes first so that no body starts with `/`, `!`, `#` or `@`, which agents take as commands. Pure: no I/O.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HEADER = re.compile(
    r"^\[intercom\] from (?P<sender>\S+) · (?P<kind>ask|message|reply) (?P<id>[0-9A-Za-z-]+)"
    r"(?: to (?P<reply_to>[0-9A-Za-z-]+))?(?: · (?P<note>.*))?$"
)


class Header(NamedTuple):
    """Who wrote, the kind of message and its short id; for a reply the ask's short id; `note` advises the reader."""

    sender: str
    kind: str
    id: str
    reply_to: str | None = None
    note: str | None = None


def render(header: Header) -> str:
    """Return the header line, without a newline."""
    target = f" to {header.reply_to}" if header.reply_to else ""
    note = f" · {header.note}" if header.note else ""
    return f"[intercom] from {header.sender} · {header.kind} {header.id}{target}{note}"


def parse(line: str) -> Header | None:
    """Return the header on `line`, or None when it is not one."""
    match = _HEADER.match(line.strip())
    if match is None:
        return None
    return Header(match["sender"], match["kind"], match["id"], match["reply_to"], match["note"])
