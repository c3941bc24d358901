"""How a message reads when it reaches an agent: a header line, then the body. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from intercom_mux.agents import header
from intercom_mux.mux.base import typeable

if TYPE_CHECKING:
    from intercom_mux.agents.profile import Profile
    from intercom_mux.team.routes.base import Parcel

_HOW_TO = {
    "cli": ("read it: intercom-mux inbox {}", 'reply: intercom-mux reply --to {} "…"'),
    "mcp": ("read it: intercom_inbox id={}", "reply: intercom_reply to={}"),
}
_SHORT_ID = re.compile(r"[0-9A-Za-z-]{4,8}")


def short_id(message_id: str) -> str:
    """Return the id as it is shown and looked for: the first characters, or a digest when those are not plain."""
    match = _SHORT_ID.match(message_id)
    return match[0] if match else hashlib.sha256(message_id.encode("utf-8", "replace")).hexdigest()[:8]


def one_word(value: object) -> str:
    """Return a short name without blanks, whatever an agent calls its tools."""
    return "-".join(typeable(str(value)).split())[:40] or "unknown"


def body_of(parcel: Parcel) -> str:
    """Return text and attachments; line ends are LF, other control characters but tab are dropped."""
    return typeable("\n".join((parcel.text, *parcel.attachments))).rstrip()


def compose(profile: Profile, parcel: Parcel) -> str:
    """Return what is typed for `parcel`: the header line, then the body, or where to read a body that is too long.

    It holds no control character but tab and LF, so that no body can end the paste.
    """
    body = body_of(parcel)
    is_elsewhere = is_body_elsewhere(profile, parcel)
    line = header_line(profile, parcel, is_elsewhere=is_elsewhere)
    return line if is_elsewhere or not body else f"{line}\n{body}"


def block(profile: Profile, parcel: Parcel, *, limit: int | None) -> str:
    """Return the message as text that is handed over, not typed: header line and body.

    A message of more than `limit` characters is its header line alone, which says where to read it.
    """
    body = body_of(parcel)
    line = header_line(profile, parcel)
    if limit is not None and len(line) + len(body) >= limit:
        return header_line(profile, parcel, is_elsewhere=True)
    return f"{line}\n{body}" if body else line


def is_body_elsewhere(profile: Profile, parcel: Parcel) -> bool:
    """Return whether `compose` leaves the body out and says where to read it."""
    body, rules = body_of(parcel), profile.paste
    is_long = len(body) > rules.body_limit or body.count("\n") >= rules.line_limit
    return is_long and rules.can_run_commands


def header_line(profile: Profile, parcel: Parcel, *, is_elsewhere: bool = False) -> str:
    """Return the line that stands before the body; with `is_elsewhere` it says where to read that.

    Both that and how to reply are told in terms of the agent's channel, command line or MCP tools.
    """
    short = short_id(parcel.message_id)
    read, reply = _HOW_TO[profile.reply]
    notes = [read.format(short)] if is_elsewhere else []
    if parcel.kind == "ask" and profile.reply_hint:
        notes.append(reply.format(short))
    sender = "-".join(typeable(parcel.sender).split()) or "unknown"
    reply_to = short_id(parcel.reply_to) if parcel.reply_to else None
    return header.render(header.Header(sender, parcel.kind, short, reply_to, " · ".join(notes) or None))
