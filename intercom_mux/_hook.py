"""`intercom-mux hook AGENT EVENT [JSON]`: what an agent's hook runs, many times in a turn. A pipe, and a cheap one.

It hands the event to the daemon of its team and prints what that answers; all meaning lies there (`team/hook_call.py`).
It fails open: without a team, without a daemon, with any trouble, or without an answer in time it prints nothing, and
it always exits with 0, so that no agent is ever held up or broken by us. The identity file and the payload are passed
on as they are; no JSON is read here but the text to print.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

PATIENCE_S = 2.0
"""Longest time from start to answer."""
ACKNOWLEDGE_S = 1.0
PAYLOAD_MAX_BYTES = 900_000
"""A larger payload is left out: the event alone still tells the state."""
ANSWER_MAX_BYTES = 1_048_576
_PRINTED = b'{"type":"printed"}'

if sys.platform == "win32":
    from intercom_mux.host.hook_call import connect, set_alarm
else:
    from _signal import (  # type: ignore[import-not-found]  # typeshed has no stub; `signal` would import enum
        ITIMER_REAL,
        SIGALRM,
        setitimer,
        signal,
    )
    from _socket import AF_UNIX, SOCK_STREAM
    from _socket import socket as new_socket

    def set_alarm(seconds: float) -> None:
        """Raise `TimeoutError` when `seconds` are over; 0 calls that off."""
        signal(SIGALRM, _give_up)
        setitimer(ITIMER_REAL, seconds)

    def _give_up(*_: object) -> None:
        raise TimeoutError

    def connect(identity_file: str) -> tuple[socket, bytes]:
        """Return a connection to the daemon beside an identity file, and the JSON pairs it wants: none."""
        sock = new_socket(AF_UNIX, SOCK_STREAM)
        sock.connect(identity_file.rpartition("/")[0] + "/control.sock")
        return sock, b""  # type: ignore[return-value]  # what `socket.socket` derives from


def run(arguments: list[str]) -> int:
    """Carry one hook call out; always 0. Must run in the main thread, for it sets an alarm."""
    try:
        set_alarm(PATIENCE_S)
        try:
            _call(arguments)
        finally:
            set_alarm(0)
    except BaseException:
        return 0
    return 0


def _call(arguments: list[str]) -> None:
    file = os.environ.get("INTERCOM_MUX_IDENTITY")
    agent, event, *rest = arguments
    if not file or not (agent + event).isalnum() or len(rest) > 1:
        return
    payload = rest[0].encode("utf-8", "surrogateescape") if rest else _read_stdin()
    with open(file, "rb") as stream:
        identity = stream.read()
    sock, keys = connect(file)
    request = b'{%b"payload":%b,"identity":%b,"agent":"%b","event":"%b","type":"hook"}' % (
        keys,
        _json_or_null(payload),
        identity,
        agent.encode(),
        event.encode(),
    )
    sock.sendall(len(request).to_bytes(4, "big") + request)
    answer = _read_exactly(sock, int.from_bytes(_read_exactly(sock, 4), "big"))
    set_alarm(0)
    text = _text_of(answer)
    if not text:
        return
    while text:
        text = text[os.write(1, text) :]
    set_alarm(ACKNOWLEDGE_S)
    sock.sendall(len(_PRINTED).to_bytes(4, "big") + _PRINTED)


def _read_stdin() -> bytes:
    """Read to the end, whatever the size: an agent may not like to write into a closed pipe."""
    if os.isatty(0):
        return b""
    payload = b""
    while chunk := os.read(0, 65_536):
        if len(payload) <= PAYLOAD_MAX_BYTES:
            payload += chunk
    return payload


def _json_or_null(payload: bytes) -> bytes:
    payload = payload.strip()
    is_object = payload.startswith(b"{") and payload.endswith(b"}")
    return payload if is_object and len(payload) <= PAYLOAD_MAX_BYTES else b"null"


def _read_exactly(sock: socket, size: int) -> bytes:
    if size > ANSWER_MAX_BYTES:
        raise ValueError("too large")
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise ConnectionResetError
        data += chunk
    return data


def _text_of(answer: bytes) -> bytes:
    """Return what is to be printed: the daemon writes `stdout` as the last key."""
    head, key, quoted = answer.partition(b'"stdout":"')
    if not key or b'"hook_output"' not in head or quoted == b'"}':
        return b""
    from _json import scanstring

    text: str = scanstring(quoted.decode(), 0, True)[0]
    return text.encode("utf-8", "replace")
