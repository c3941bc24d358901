"""The daemon's side of one hook call (`intercom_mux/_hook.py`): who calls, what it is to print, whether it did.

The call is `{"type": "hook", "agent", "event", "payload", "identity"}`, `identity` being the caller's identity file;
the answer is `{"type": "hook_output", "wants_ack", "stdout"}`, its keys in this order. After printing the caller says
`{"type": "printed"}`. A caller that is not known, or says nonsense, is answered with nothing to print.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import TYPE_CHECKING, Any

from intercom_mux.client.aio import read_frame
from intercom_mux.errors import ProtocolError
from intercom_mux.team.peer import NOTHING
from intercom_mux.wire.frames import MAX_FRAME_BYTES, dump, encode

if TYPE_CHECKING:
    from intercom_mux.team.peer import HookAnswer, TeamPeer
    from intercom_mux.team.running import RunningTeam

Json = dict[str, Any]
log = logging.getLogger("intercom_mux.team")

PRINTED_S = 5.0
"""How long a caller may take to print; afterwards it is as if it had not."""


async def answer_hook(
    team: RunningTeam | None, call: Json, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one hook call; what it gave is offered again unless the caller says that it was printed."""
    answer = _answer(team, call)
    is_printed = False
    try:
        frame = {"type": "hook_output", "wants_ack": bool(answer.text), "stdout": answer.text}
        writer.write(encode(frame))
        if answer.text:
            async with asyncio.timeout(PRINTED_S):
                await writer.drain()
                is_printed = (await read_frame(reader))["type"] == "printed"
    except (ProtocolError, TimeoutError, OSError, asyncio.IncompleteReadError):
        pass
    finally:
        answer.end(is_printed)


def _answer(team: RunningTeam | None, call: Json) -> HookAnswer:
    peer = _caller(team, call.get("identity"))
    event, payload = call.get("event"), call.get("payload")
    if peer is None or not isinstance(event, str):
        return NOTHING
    try:
        answer = peer.on_hook(event, payload if isinstance(payload, dict) else None)
    except OSError as error:
        log.warning("%s: nothing is given at %s: %s", peer.state.name, event, error)
        return NOTHING
    if len(dump(answer.text)) > MAX_FRAME_BYTES // 2:
        answer.end(False)
        return NOTHING
    return answer


def _caller(team: RunningTeam | None, identity: object) -> TeamPeer | None:
    """Return the peer whose session and token the identity names."""
    if team is None or not isinstance(identity, dict):
        return None
    session, token = identity.get("session"), identity.get("token")
    for peer in team.peers.values():
        if peer.state.session_id == session:
            is_proved = isinstance(token, str) and hmac.compare_digest(token.encode(), peer.state.token.encode())
            return peer if is_proved else None
    return None
