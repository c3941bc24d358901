"""`intercom-mux hook AGENT EVENT [JSON]`: what an agent's hook runs, many times in a turn. A pipe, and a cheap one.

It hands the event to the daemon of its team and prints what that answers; all meaning lies there (`team/hook_call.py`).
It fails open: without a team, without a daemon, with any trouble, or without an answer in time it prints nothing, and
it always exits with 0, so that no agent is ever held up or broken by us. The identity file and the payload are passed
on as they are; no JSON is read here but the text to print.
"""

from __future__ import annotations

import os
from _signal import (  # type: ignore[import-not-found]  # typeshed has no stub; `signal` would import enum
    ITIMER_REAL,
    SIGALRM,
    setitimer,
    signal,
)
from _socket import AF_UNIX, SOCK_STREAM, socket

PATIENCE_S = 2.0
"""Longest time from start to answer."""
ACKNOWLEDGE_S = 1.0
PAYLOAD_MAX_BYTES = 900_000
"""A larger payload is left out: the event alone still tells the state."""
ANSWER_MAX_BYTES = 1_048_576
_PRINTED = b'{"type":"printed"}'


def run(arguments: list[str]) -> int:
    """Carry one hook call out; always 0. Must run in the main thread, for it sets an alarm."""
    try:
        signal(SIGALRM, _give_up)
        setitimer(ITIMER_REAL, PATIENCE_S)
        try:
            _call(arguments)
        finally:
            setitimer(ITIMER_REAL, 0)
    except BaseException:
        return 0
    return 0


def _give_up(*_: object) -> None:
    raise TimeoutError


def _call(arguments: list[str]) -> None:
    file = os.environ.get("INTERCOM_MUX_IDENTITY")
    agent, event, *rest = arguments
    if not file or not (agent + event).isalnum() or len(rest) > 1:
        return
    payload = rest[0].encode("utf-8", "surrogateescape") if rest else _read_stdin()
    with open(file, "rb") as stream:
        identity = stream.read()
    request = b'{"payload":%b,"identity":%b,"agent":"%b","event":"%b","type":"hook"}' % (
        _json_or_null(payload),
        identity,
        agent.encode(),
        event.encode(),
    )
    sock = socket(AF_UNIX, SOCK_STREAM)
    sock.connect(file.rpartition("/")[0] + "/control.sock")
    sock.sendall(len(request).to_bytes(4, "big") + request)
    answer = _read_exactly(sock, int.from_bytes(_read_exactly(sock, 4), "big"))
    setitimer(ITIMER_REAL, 0)
    text = _text_of(answer)
    if not text:
        return
    while text:
        text = text[os.write(1, text) :]
    setitimer(ITIMER_REAL, ACKNOWLEDGE_S)
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
