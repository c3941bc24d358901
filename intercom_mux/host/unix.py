"""Unix sockets, and what the kernel tells of who is at the other end. Windows has none, as far as Python goes."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

from intercom_mux.errors import BrokerError

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN_PID = 0

if sys.platform == "win32":
    ARE_THERE = False
    """Whether there are any."""

    def dial(path: Path, _timeout_s: float) -> socket.socket:
        """Return a connected socket. Raises `OSError`: nobody listens."""
        raise ConnectionRefusedError(errno.ECONNREFUSED, "no Unix sockets here", str(path))

    def listen(path: Path) -> socket.socket:
        """Bind a listening socket. Raises `BrokerError`: it cannot be bound."""
        raise BrokerError(f"cannot listen on {path}: no Unix sockets here", path=str(path))

    def listening_pid(_path: Path) -> int | None:
        """Return the pid of the process that listens on a Unix socket; None: nobody does."""
        return None

    def peer_uid(_sock: socket.socket) -> int | None:
        """Return the uid of the process behind a Unix socket, None when it is not told."""
        return None

else:
    ARE_THERE = True
    """Whether there are any."""

    def dial(path: Path, timeout_s: float) -> socket.socket:
        """Return a connected socket.

        Raises:
            OSError: Nobody listens.
            BrokerError: A sandbox forbids the connection (`E_SANDBOX`).
        """
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
        return sock

    def listen(path: Path) -> socket.socket:
        """Bind a 0600 listening Unix socket at `path`, replacing a stale one; the caller holds the broker's lock.

        Raises:
            BrokerError: The path cannot be bound.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old_mask = os.umask(0o177)
        try:
            path.unlink(missing_ok=True)
            sock.bind(str(path))
        except OSError as error:
            sock.close()
            raise BrokerError(f"cannot listen on {path}: {error.strerror or error}", path=str(path)) from error
        finally:
            os.umask(old_mask)
        sock.listen(512)
        return sock

    def listening_pid(path: Path) -> int | None:
        """Return the pid of the process that listens on a Unix socket, `UNKNOWN_PID` if not told; None: nobody does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            try:
                sock.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            except OSError:
                return UNKNOWN_PID
            if hasattr(socket, "SO_PEERCRED"):
                raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                return int(struct.unpack("3i", raw)[0])
            if sys.platform == "darwin":
                return int(struct.unpack("i", sock.getsockopt(0, 2, 4))[0])
            return UNKNOWN_PID

    def peer_uid(sock: socket.socket) -> int | None:
        """Return the uid of the process behind a Unix socket: SO_PEERCRED on Linux, LOCAL_PEERCRED on macOS."""
        if hasattr(socket, "SO_PEERCRED"):
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", raw)[1])
        if sys.platform == "darwin":
            return int(struct.unpack_from("II", sock.getsockopt(0, 1, 76))[1])
        return None
