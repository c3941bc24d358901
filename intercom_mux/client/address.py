"""Where a broker is reached: the path of a Unix socket, or of the endpoint file of one that listens on TCP.

`broker.port.json` holds host, port and secret of a TCP endpoint (docs/protocol.md, "TCP"); the secret goes from that
file into the frames that need it and nowhere else. docs/ARCHITECTURE.md, "Which broker", has the rule of `chosen`.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any, NamedTuple

from intercom_mux import paths
from intercom_mux.broker import places
from intercom_mux.errors import BrokerError
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


class TcpEndpoint(NamedTuple):
    """What an endpoint file says; its text form keeps the secret."""

    host: str
    port: int
    secret: str

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}"


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
        sock, keys = dial(path, timeout_s)
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


def is_tcp(path: Path) -> bool:
    """Return whether an address is an endpoint file."""
    return path.suffix == ".json"


def dial(path: Path, timeout_s: float) -> tuple[socket.socket, Json]:
    """Return a connected socket, and the keys that `health` and `register` need there.

    Raises:
        OSError: Nobody listens.
        BrokerError: The endpoint file is refused (`E_ENDPOINT`), or a sandbox forbids the connection (`E_SANDBOX`).
    """
    if is_tcp(path):
        endpoint = read_endpoint(path)
        return socket.create_connection((endpoint.host, endpoint.port), timeout_s), {"stateId": endpoint.secret}
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout_s)
    try:
        sock.connect(str(path))
    except OSError as error:
        sock.close()
        if error.errno == errno.EPERM:
            # A socket that is not ours to use is EACCES; this is a sandbox, codex's for example.
            raise BrokerError(
                f"the sandbox that this command runs in may not connect to the broker at {path}",
                code="E_SANDBOX",
                hint="use the MCP tools of the server `intercom` (intercom_reply, intercom_send, …) instead",
            ) from error
        raise
    return sock, {}


def read_endpoint(file: Path) -> TcpEndpoint:
    """Return where the broker of an endpoint file listens; read anew for every connection, as each start changes it.

    Raises:
        OSError: There is no such file.
        BrokerError: Others could have read or written it, or it is not one (`E_ENDPOINT`).
    """
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor) as stream:
        if hasattr(os, "getuid"):
            _check_private(file, os.fstat(descriptor))
        text = stream.read(65_536)
    try:
        value = json.loads(text)
        host, port, secret = value["host"], value["port"], value["stateId"]
        is_valid = value["transport"] == "tcp" and host == "127.0.0.1" and type(port) is int and 0 < port < 65_536
    except (ValueError, LookupError, TypeError):
        is_valid = False
    if not is_valid or not (isinstance(secret, str) and secret):
        raise _refused(file, "it does not name a TCP endpoint of this machine", "name the broker.port.json of a broker")
    return TcpEndpoint(host, port, secret)


def _check_private(file: Path, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode) or info.st_uid != os.getuid():
        raise _refused(file, f"it belongs to uid {info.st_uid}, or is no file", "use an endpoint file of your own")
    if stat.S_IMODE(info.st_mode) & 0o077:
        mode = f"{stat.S_IMODE(info.st_mode):04o}"
        raise _refused(file, f"its mode is {mode}: others may know the secret", "stop that broker and start it again")


def _refused(file: Path, why: str, hint: str) -> BrokerError:
    return BrokerError(f"refusing {file}: {why}", code="E_ENDPOINT", hint=hint, path=str(file))
