"""What proves to the broker that somebody speaks for a peer.

It is made of the session's id and a secret of this user, and not by chance: the broker keeps an id for whoever has its
token, and a team whose state was lost, by a power cut or because it was removed by hand, would never have its ids
again.
"""

from __future__ import annotations

import hmac
import os

from intercom_mux import paths
from intercom_mux.host import files, lock

_SECRET_BYTES = 32
_TOKEN_CHARS = 32


def token_of(session_id: str) -> str:
    """Return the token of a peer's session, the same at any time.

    Raises:
        OSError: The secret can be neither read nor made.
        IntercomError: The state directory cannot be used.
    """
    return hmac.new(_secret(), session_id.encode(), "sha256").hexdigest()[:_TOKEN_CHARS]


def _secret() -> bytes:
    """Return this user's secret; the first caller makes it."""
    file = paths.private_dir(paths.state_dir()) / "team.secret"
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | files.EXACT, 0o600), "r+b") as stream:
        lock.lock(stream.fileno())
        secret = stream.read()
        if not secret:
            secret = os.urandom(_SECRET_BYTES)
            stream.write(secret)
            stream.flush()
            os.fsync(stream.fileno())
        lock.release(stream.fileno())
    return secret
