"""The daemon's end of the control connection (`control.py`): a Unix socket, or TCP with a secret."""

from __future__ import annotations

import asyncio
import hmac
import sys
from typing import TYPE_CHECKING, Any

from intercom_mux.host import endpoint
from intercom_mux.host.address import is_tcp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

Json = dict[str, Any]


async def listen(path: Path, handler: Handler) -> tuple[asyncio.Server, str | None]:
    """Listen at an address in a private directory; return the server, and the secret that `admit` must see, if any.

    Raises:
        OSError: It cannot be bound.
        BrokerError: No port can be had.
    """
    if sys.platform == "win32" or is_tcp(path):
        at = endpoint.listen(path)
        return await asyncio.start_server(handler, sock=at.listener), at.secret
    server = await asyncio.start_unix_server(handler, str(path))
    path.chmod(0o600)
    return server, None


def admit(request: Json, secret: str | None) -> None:
    """Let a request pass that shows the secret, if there is one.

    Raises:
        ConnectionRefusedError: It does not; nothing is said to whoever sent it.
    """
    shown = request.pop("stateId", None)
    if secret is not None and not (isinstance(shown, str) and hmac.compare_digest(shown.encode(), secret.encode())):
        raise ConnectionRefusedError("the secret is missing")
