"""Which broker a shell talks to (docs/ARCHITECTURE.md, "Which broker"), and whether one answers at an address."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from intercom_mux import paths
from intercom_mux.broker import places
from intercom_mux.errors import BrokerError
from intercom_mux.host import endpoint
from intercom_mux.wire.frames import Splitter, decode, encode

Json = dict[str, Any]

VARIABLE = "INTERCOM_MUX_SOCKET"
"""The environment variable that names the broker a shell talks to: a socket, or an endpoint file."""

HEALTH_TIMEOUT_S = 1.0


class Broker(NamedTuple):
    """A broker to talk to. `is_foreign`: it speaks v1 and nothing of ours. `is_explicit`: named, so never started."""

    path: Path
    is_foreign: bool = False
    is_explicit: bool = False


def chosen() -> Broker:
    """Return the broker a shell talks to: the one `VARIABLE` names, else ours, else a foreign one in ours' absence.

    Raises:
        BrokerError: No v1 broker answers at the address that was named, or its endpoint file is refused.
    """
    named = os.environ.get(VARIABLE, "").strip()
    if named:
        return _named(Path(os.path.abspath(os.path.expanduser(named))))
    own = Broker(paths.broker_socket())
    if paths.broker_file().exists() or any(paths.team_state_dir("*").parent.glob("*/state.json")):
        return own
    return next(
        (Broker(path, is_foreign=True) for path in map(places.socket_of, places.known()) if _is_foreign(path)), own
    )


def _named(path: Path) -> Broker:
    answer = health(path)
    if answer is None:
        raise BrokerError(
            f"no broker answers on {path}",
            hint=f"unset {VARIABLE} to use your own broker",
            code="E_NO_BROKER",
            path=str(path),
        )
    return Broker(path, is_foreign=not is_ours(answer), is_explicit=True)


def _is_foreign(path: Path) -> bool:
    answer = health(path)
    return answer is not None and not is_ours(answer)


def is_ours(answer: Json) -> bool:
    """Return whether a `health_ok` is that of a broker of ours."""
    return answer.get("broker") == "intercom-mux"


def health(path: Path, timeout_s: float = HEALTH_TIMEOUT_S) -> Json | None:
    """Return the `health_ok` of the broker at an address, None when no v1 broker answers in time.

    Raises:
        BrokerError: The endpoint file is refused.
    """
    try:
        sock, keys = endpoint.dial(path, timeout_s)
        with sock:
            sock.sendall(encode({"type": "health", "requestId": "probe", **keys}))
            splitter = Splitter()
            payloads: list[bytes] = []
            while not payloads:
                data = sock.recv(65_536)
                if not data:
                    return None
                payloads = splitter.feed(data)
            answer = decode(payloads[0])
    except (OSError, BrokerError) as error:
        if isinstance(error, BrokerError) and error.code == "E_ENDPOINT":
            raise
        return None
    return answer if answer.get("protocol") == "pi-intercom" and answer.get("version") == 1 else None
