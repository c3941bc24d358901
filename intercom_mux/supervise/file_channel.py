"""The file channel by which pi's sub-agents reach their supervisor: what waits in it, and answering it.

It is looked at when somebody asks what is pending, never polled. Directories and files count only if they are this
user's, are no symbolic links and cannot be written by others. Source of the rules:
docs/protocol.md, "The file channel of pi's sub-agents".
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intercom_mux.errors import DeliveryError
from intercom_mux.supervise import child_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intercom_mux.supervise.child_request import ChildRequest, Json

VARIABLE = "PI_SUBAGENT_SUPERVISOR_CHANNEL_DIR"
"""In the environment of a child: its channel."""
_OLD_S = 7 * 86_400
"""Files older than this are left from children that are long gone."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request and the channel directory in which its child waits for the reply."""

    channel: str
    request: ChildRequest


def root() -> str:
    """Return the directory of the channels of this user's children; it need not be there."""
    base = os.environ.get("PI_SUBAGENTS_TEMP_ROOT", "").strip()
    if not base:
        temporary = next(filter(None, map(os.environ.get, ("TMPDIR", "TMP", "TEMP"))), "/tmp")  # noqa: S108
        base = os.path.join(temporary, f"pi-subagents-uid-{os.getuid()}")
    return os.path.join(os.path.abspath(base), "supervisor-channels")


def waiting(now: float) -> list[Waiting]:
    """Return the requests that nobody has answered and that are not over at `now` (Unix ms), oldest first."""
    found: list[Waiting] = []
    with suppress(OSError), _directory(os.path.dirname(root())) as base, _directory("supervisor-channels", base) as top:
        for name in os.listdir(top):
            with suppress(OSError), _directory(name, top) as channel:
                place = os.path.join(root(), name)
                found += [Waiting(place, each) for each in _requests(channel) if each.expires_at > now]
    return sorted(found, key=lambda one: (one.request.created_at, one.request.id))


def reply(one: Waiting, text: str, attachments: Sequence[Json], now: float) -> None:
    """Answer a request; the reply stands there whole, or not at all, and a request is answered once.

    Raises:
        IntercomError: It does not fit the request, see `child_request.answer`.
        DeliveryError: The request is over or was answered (`E_ASK_ENDED`), or the channel cannot be written
            (`E_DELIVERY_FAILED`).
    """
    data = child_request.answer(one.request, text, attachments, now)
    file = f"{one.request.id}.json"
    try:
        with _directory(one.channel) as channel:
            with _directory("requests", channel) as requests:
                os.stat(file, dir_fd=requests, follow_symlinks=False)
            with suppress(FileExistsError):
                os.mkdir("replies", 0o700, dir_fd=channel)
            with _directory("replies", channel) as replies:
                _place(data, file, replies)
    except FileExistsError as error:
        raise _over(one, "has been answered already") from error
    except FileNotFoundError as error:
        raise _over(one, "has been taken back, its child waits no more") from error
    except OSError as error:
        reason = f"the reply to {one.request.sender} cannot be written: {error.strerror or error}"
        raise DeliveryError(reason, code="E_DELIVERY_FAILED", hint=f"see {one.channel}") from error


def _over(one: Waiting, what: str) -> DeliveryError:
    reason = f"request {one.request.id[:8]} of {one.request.sender} {what}"
    return DeliveryError(reason, code="E_ASK_ENDED", hint="see `intercom-mux pending`")


def _place(data: bytes, name: str, directory: int) -> None:
    """Write a file that appears under `name` when it is whole.

    Raises:
        FileExistsError: There is one; it stays as it is.
    """
    part = f".{name}.{os.getpid()}-{time.monotonic_ns()}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        os.link(part, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    finally:
        os.unlink(part, dir_fd=directory)


def _requests(channel: int) -> Iterator[ChildRequest]:
    with _directory("requests", channel) as requests:
        names = [name for name in os.listdir(requests) if name.endswith(".json")]
        for name in names:
            request_id = name.removesuffix(".json")
            if not child_request.is_id(request_id) or _is_answered(name, channel):
                continue
            data = _read(name, requests)
            request = child_request.read(data, request_id, wait_ms=_wait_ms()) if data is not None else None
            if request is not None:
                yield request


def _is_answered(name: str, channel: int) -> bool:
    try:
        os.stat(f"replies/{name}", dir_fd=channel, follow_symlinks=False)
    except OSError:
        return False
    return True


def _wait_ms() -> float:
    value = os.environ.get("PI_INTERCOM_ASK_TIMEOUT_MS", "")
    return float(value) if value.isascii() and value.isdigit() and int(value) else child_request.ASK_MS


def _read(name: str, directory: int) -> bytes | None:
    """Return what stands in a file of ours; None if it is anybody else's, no plain file, too large or too old."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=directory)
    except OSError:
        return None
    try:
        facts = os.fstat(descriptor)
        is_old = facts.st_mtime < time.time() - _OLD_S
        if not stat.S_ISREG(facts.st_mode) or not _is_ours(facts) or is_old or facts.st_size > child_request.MAX_BYTES:
            return None
        return os.read(descriptor, facts.st_size)
    except OSError:
        return None
    finally:
        os.close(descriptor)


@contextmanager
def _directory(name: str, at: int | None = None) -> Iterator[int]:
    """Yield a descriptor of a directory of ours.

    Raises:
        OSError: It is not there, is a symbolic link, or belongs to or can be written by somebody else.
    """
    descriptor = os.open(name, _DIRECTORY, dir_fd=at)
    try:
        if not _is_ours(os.fstat(descriptor)):
            raise PermissionError(f"{name} is not this user's alone")
        yield descriptor
    finally:
        os.close(descriptor)


def _is_ours(facts: os.stat_result) -> bool:
    return facts.st_uid == os.getuid() and not facts.st_mode & 0o022
