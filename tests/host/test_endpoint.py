"""Addresses: endpoint files and who may have read them, and what refuses a connection."""

from __future__ import annotations

import errno
import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.client import address
from intercom_mux.errors import BrokerError
from intercom_mux.host import endpoint

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {"transport": "tcp", "host": "127.0.0.1", "port": 4711, "stateId": "s3cret"}


def written(home: Path, value: object, mode: int = 0o600) -> Path:
    """Return an endpoint file with this content and mode."""
    file = home / "broker.port.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    file.chmod(mode)
    return file


def test_an_endpoint_file_says_where_and_hides_the_secret(home: Path) -> None:
    """What is printed of it by accident is host and port."""
    at = endpoint.read(written(home, GOOD))
    assert (at.host, at.port, at.secret) == ("127.0.0.1", 4711, "s3cret")
    assert "s3cret" not in f"{at} {at!r}"


@pytest.mark.parametrize(
    "change",
    [
        {"host": "127.0.0.2"},
        {"host": "example.org"},
        {"port": 0},
        {"port": 65_536},
        {"port": True},
        {"port": "4711"},
        {"stateId": ""},
        {"stateId": None},
        {"transport": "unix"},
    ],
    ids=str,
)
def test_what_is_no_endpoint_of_this_machine_is_refused(home: Path, change: dict[str, Any]) -> None:
    """Nobody is dialled, and the error does not repeat what stood there."""
    file = written(home, GOOD | change)
    with pytest.raises(BrokerError, match="does not name a TCP endpoint") as refused:
        endpoint.dial(file, 1)
    assert refused.value.code == "E_ENDPOINT"
    assert "s3cret" not in json.dumps(refused.value.to_json())


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_file_without_an_object_is_refused(home: Path, text: str) -> None:
    """Whatever else it holds."""
    with pytest.raises(BrokerError, match="does not name a TCP endpoint"):
        endpoint.read(written(home, text))


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o602])
def test_a_file_that_others_could_use_is_refused(home: Path, mode: int) -> None:
    """They may know the secret, or have chosen the port; `health` says so too."""
    file = written(home, GOOD, mode)
    for use in (endpoint.read, address.health):
        with pytest.raises(BrokerError, match=f"its mode is {mode:04o}") as refused:
            use(file)
        assert refused.value.hint == "stop that broker and start it again"


def test_a_symbolic_link_is_not_followed(home: Path) -> None:
    """It might lead to somebody else's file."""
    link = home / "link.json"
    link.symlink_to(written(home, GOOD))
    with pytest.raises(OSError, match="symbolic link"):
        endpoint.read(link)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(home: Path) -> None:
    """Even with the right mode."""
    file = written(home, GOOD)
    os.chown(file, 12_345, -1)
    with pytest.raises(BrokerError, match="belongs to uid 12345"):
        endpoint.read(file)


def test_a_sandbox_that_forbids_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connect that is refused with EPERM, as codex's sandbox does, says so and names the MCP tools."""

    class Sandboxed(socket.socket):
        def connect(self, _: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", Sandboxed)
    with pytest.raises(BrokerError) as caught:
        endpoint.dial(tmp_path / "broker.sock", 1)
    assert caught.value.code == "E_SANDBOX"
    assert "intercom_reply" in (caught.value.hint or "")
