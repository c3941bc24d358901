"""The control connection on TCP: who lacks the secret hears nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.client.aio import read_frame
from intercom_mux.host import endpoint
from intercom_mux.team import control, control_server
from intercom_mux.wire.frames import encode

if TYPE_CHECKING:
    from pathlib import Path


async def _with_server(file: Path, requests: list[tuple[dict[str, Any], bool]]) -> list[list[Any]]:
    secret: str | None = None

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            control_server.admit(await read_frame(reader), secret)
            writer.write(encode({"type": "event", "n": 1}) + encode({"type": "done"}))
        except ConnectionRefusedError:
            pass
        writer.close()

    server, secret = await control_server.listen(file, handle)
    async with server:
        return [await asyncio.to_thread(_call, *each) for each in requests]


def _call(frame: dict[str, Any], knows_secret: bool) -> list[Any]:
    if knows_secret:
        return list(control.request("t", frame, timeout_s=5))
    at = endpoint.read(control.control_socket("t"))
    import socket

    with socket.create_connection((at.host, at.port), 5) as sock:
        sock.sendall(encode(frame))
        return [sock.recv(100)]


def test_only_who_can_read_the_file_is_answered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`request` reads it at each call; a missing, wrong or strange secret ends the connection without a word."""
    file = home / "control.port.json"
    monkeypatch.setattr(control, "control_socket", lambda _team: file)
    wrong: list[Any] = ["wrong", "", None, 1, "é"]
    calls = [({"type": "ping"}, True), ({"type": "ping"}, False)]
    calls += [({"type": "ping", "stateId": value}, False) for value in wrong]
    answers = asyncio.run(_with_server(file, calls))
    assert answers == [[{"type": "event", "n": 1}], *[[b""]] * 6]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_left_over_is_no_daemon(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on its port any more."""
    file = home / "control.port.json"
    listening = endpoint.listen(file)
    listening.listener.close()
    monkeypatch.setattr(control, "control_socket", lambda _team: file)
    with pytest.raises(ConnectionRefusedError, match="no daemon of team t listens"):
        list(control.request("t", {"type": "ping"}, timeout_s=1))
