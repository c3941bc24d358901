"""The team daemon's control socket: one request per connection, answered by a stream of events and an end.

Frames are those of the wire (docs/protocol.md, "Framing"). A request is `{"type": "apply" | "add" | "kill" |
"restart" | "stop" | "ping", ...}`; the answer is any number of `{"type": "event", ...}` and one `{"type": "done"}` or
`{"type": "failed", "kind", "error"}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.errors import (
    BrokerError,
    DeliveryError,
    IntercomError,
    LayoutError,
    MultiplexerError,
    TeamError,
    TeardownError,
)
from intercom_mux.host import endpoint
from intercom_mux.host.address import place
from intercom_mux.wire.frames import Splitter, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

_KINDS = (TeamError, MultiplexerError, BrokerError, LayoutError, TeardownError, DeliveryError)


def control_socket(team_id: str) -> Path:
    """Return the address of a team's control connection: a socket, or an endpoint file (`host/endpoint.py`)."""
    return place(paths.team_runtime_dir(team_id), "control")


def request(team_id: str, frame: Json, *, timeout_s: float) -> Iterator[Json]:
    """Make one request of the team's daemon and yield its events; returns when it is done.

    Raises:
        ConnectionError: No daemon listens.
        TeamError: The daemon dies, or is silent for `timeout_s`.
        IntercomError: The daemon reports it as its failure.
    """
    try:
        sock, keys = endpoint.dial(control_socket(team_id), timeout_s)
    except (OSError, BrokerError) as error:
        raise ConnectionRefusedError(f"no daemon of team {team_id} listens") from error
    with sock:
        try:
            sock.sendall(encode({**frame, **keys}))
        except OSError as error:
            raise ConnectionRefusedError(f"no daemon of team {team_id} listens") from error
        splitter = Splitter()
        while True:
            try:
                data = sock.recv(65_536)
            except TimeoutError as error:
                raise _lost(team_id, f"did not answer for {timeout_s:g} s") from error
            except ConnectionError:
                data = b""
            if not data:
                raise _lost(team_id, "ended before it was done")
            for payload in splitter.feed(data):
                answer = decode(payload)
                if answer["type"] == "done":
                    return
                if answer["type"] == "failed":
                    raise failure(answer)
                yield answer


def _lost(team_id: str, what: str) -> TeamError:
    log = paths.team_state_dir(team_id) / "daemon.log"
    return TeamError(f"the team daemon {what}", code="E_DAEMON", hint=f"see {log}", log=str(log))


def failed(error: IntercomError) -> Json:
    """Return the frame that reports `error`; `failure` is its inverse."""
    return {"type": "failed", "kind": type(error).__name__, **error.to_json()}


def failure(frame: Json) -> IntercomError:
    """Return the error that the daemon reported, of the class it had there."""
    error = frame["error"]
    facts = {k: v for k, v in error.items() if k not in {"code", "message", "hint"}}
    kinds = {kind.__name__: kind for kind in _KINDS}
    kind = kinds.get(frame["kind"], TeamError)
    return kind(error["message"], code=error["code"], hint=error.get("hint"), **facts)
