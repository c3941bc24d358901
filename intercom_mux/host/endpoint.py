"""Where a service of this machine is reached: the path of its Unix socket, or of an endpoint file for one on TCP.

Systems without Unix sockets have the second. The file is private, names host, port and secret in the shape of
pi-intercom (docs/protocol.md, "TCP"), and is written anew with each start. The secret takes the place of the uid that a
Unix socket reports; it goes from that file into the frames that need it and nowhere else.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux.errors import BrokerError
from intercom_mux.host import files, unix
from intercom_mux.host.address import is_tcp

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

HOST = "127.0.0.1"


class TcpEndpoint(NamedTuple):
    """What an endpoint file says; its text form keeps the secret."""

    host: str
    port: int
    secret: str

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}"


class Listening(NamedTuple):
    """A listening socket, and what a client must name as `stateId` to be heard."""

    listener: socket.socket
    secret: str


def dial(path: Path, timeout_s: float) -> tuple[socket.socket, Json]:
    """Return a connected socket, and the keys that the first frame needs there.

    Raises:
        OSError: Nobody listens.
        BrokerError: The endpoint file is refused (`E_ENDPOINT`), or a sandbox forbids the connection (`E_SANDBOX`).
    """
    if is_tcp(path):
        endpoint = read(path)
        return socket.create_connection((endpoint.host, endpoint.port), timeout_s), {"stateId": endpoint.secret}
    return unix.dial(path, timeout_s), {}


def read(file: Path) -> TcpEndpoint:
    """Return where the service of an endpoint file listens; read anew for every connection, as each start changes it.

    Raises:
        OSError: There is no such file.
        BrokerError: Others could have read or written it, or it is not one (`E_ENDPOINT`).
    """
    descriptor = os.open(file, os.O_RDONLY | files.EXACT)
    with os.fdopen(descriptor) as stream:
        _check_private(file, os.fstat(descriptor))
        text = stream.read(65_536)
    try:
        value = json.loads(text)
        host, port, secret = value["host"], value["port"], value["stateId"]
        is_valid = value["transport"] == "tcp" and host == HOST and type(port) is int and 0 < port < 65_536
    except (ValueError, LookupError, TypeError):
        is_valid = False
    if not is_valid or not (isinstance(secret, str) and secret):
        raise _refused(file, "it does not name a TCP endpoint of this machine", "name the broker.port.json of a broker")
    return TcpEndpoint(host, port, secret)


def _check_private(file: Path, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode) or files.owner_problem(info):
        raise _refused(file, f"it belongs to uid {info.st_uid}, or is no file", "use an endpoint file of your own")
    if files.mode_problem(info):
        mode = f"{stat.S_IMODE(info.st_mode):04o}"
        raise _refused(file, f"its mode is {mode}: others may know the secret", "stop that broker and start it again")


def _refused(file: Path, why: str, hint: str) -> BrokerError:
    return BrokerError(f"refusing {file}: {why}", code="E_ENDPOINT", hint=hint, path=str(file))


def listen(file: Path) -> Listening:
    """Listen on a free port of this machine with a new secret; the endpoint file tells of it on return.

    Raises:
        BrokerError: No port can be had, or the file cannot be written.
    """
    import uuid

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        listener.bind((HOST, 0))
        listener.listen(512)
        secret = str(uuid.uuid4())
        _write(file, {"transport": "tcp", "host": HOST, "port": listener.getsockname()[1], "stateId": secret})
    except OSError as error:
        listener.close()
        raise BrokerError(f"cannot listen on {HOST}: {error.strerror or error}") from error
    return Listening(listener, secret)


def _write(file: Path, value: dict[str, object]) -> None:
    temporary = file.with_name(f"{file.stem}.{os.getpid()}")
    files.remove(temporary)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | files.EXACT, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(json.dumps(value) + "\n")
    files.replace(temporary, file)
