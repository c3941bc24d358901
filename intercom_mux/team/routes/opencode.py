"""A client of the HTTP server that an opencode brings along. Blocking; every call is bounded in time and in size."""

from __future__ import annotations

import base64
import json
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

CALL_S = 5.0
ANSWER_MAX_BYTES = 4_000_000
TURN_MAX_MESSAGES = 30
"""How far back the beginning of a turn is looked for."""


class ServerError(Exception):
    """No usable answer; the server may have done what was asked. `is_refusal`: it has surely not."""

    def __init__(self, text: str, *, is_refusal: bool = False) -> None:
        super().__init__(text)
        self.is_refusal = is_refusal


class Turn(NamedTuple):
    """The last turn of a session: what was submitted, the last words, and whether it is over."""

    prompt: str
    words: str
    is_over: bool


class OpencodeServer:
    """The server on a port of the loopback, with its password, for the project directory `cwd`."""

    def __init__(self, port: int, password: str, cwd: Path) -> None:
        self._port = port
        self._cwd = str(cwd)
        self._login = "Basic " + base64.b64encode(f"opencode:{password}".encode()).decode()

    def status(self) -> str:
        """Return what it does: `idle`, `thinking`, `blocked:permission` or `blocked:question`."""
        if self._list("/permission"):
            return "blocked:permission"
        if self._list("/question"):
            return "blocked:question"
        rows = self._call("GET", "/session/status")
        if not isinstance(rows, dict):
            raise ServerError("strange status")
        is_busy = any(not isinstance(row, dict) or row.get("type") != "idle" for row in rows.values())
        return "thinking" if is_busy else "idle"

    def session(self, since: float) -> str | None:
        """Return the session that was last used after `since`, in epoch seconds; sub-agents' are none."""
        found: list[tuple[float, str]] = []
        for row in self._list("/session"):
            times = row.get("time")
            updated = times.get("updated") if isinstance(times, dict) else None
            is_ours = not row.get("parentID") and row.get("directory") == self._cwd and isinstance(row.get("id"), str)
            if is_ours and isinstance(updated, int | float) and updated >= since * 1000:
                found.append((updated, row["id"]))
        return max(found)[1] if found else None

    def open_session(self) -> str:
        """Begin a session, show it on the screen and return its id."""
        answer = self._call("POST", "/session", {})
        session = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(session, str):
            raise ServerError("no session was begun")
        self._call("POST", "/tui/select-session", {"sessionID": session})
        return session

    def running_tool(self, session: str) -> str | None:
        """Return the name of the tool that runs in the session, None when none does."""
        for row in self._list(f"/session/{session}/message?limit=1"):
            for part in row["parts"] if isinstance(row.get("parts"), list) else []:
                state = part.get("state") if isinstance(part, dict) and part.get("type") == "tool" else None
                if isinstance(state, dict) and state.get("status") == "running":
                    return str(part.get("tool"))
        return None

    def submit(self, session: str, text: str) -> None:
        """Submit a prompt; on return the server has it."""
        self._call("POST", f"/session/{session}/prompt_async", {"parts": [{"type": "text", "text": text}]})

    def last_turn(self, session: str) -> Turn | None:
        """Return the turn of the last prompt, None when there was none."""
        prompt: str | None = None
        words, is_over = "", False
        for row in self._list(f"/session/{session}/message?limit={TURN_MAX_MESSAGES}"):
            info = row.get("info")
            if not isinstance(info, dict):
                continue
            if info.get("role") == "user":
                prompt, words, is_over = _text(row), "", False
            elif prompt is not None:
                words, is_over = _text(row), _is_complete(info)
        return None if prompt is None else Turn(prompt, words, is_over)

    def has_prompt(self, session: str, needle: str) -> bool:
        """Return whether a recent prompt holds `needle`."""
        rows = self._list(f"/session/{session}/message?limit={TURN_MAX_MESSAGES}")
        return any(needle in _text(row) for row in rows)

    def _list(self, path: str) -> list[Json]:
        rows = self._call("GET", path)
        if not isinstance(rows, list):
            raise ServerError(f"strange answer to {path}")
        return [row for row in rows if isinstance(row, dict)]

    def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        """Return the answer's JSON, None when it is empty."""
        import http.client  # every daemon knows this route, and few teams need it

        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=CALL_S)
        try:
            connection.connect()
        except OSError as error:
            raise ServerError(f"no server on port {self._port}: {error}", is_refusal=True) from None
        # The connection's own limit is per packet; a server that drips is cut off by this one.
        limit = threading.Timer(CALL_S, _cut, [connection.sock])
        limit.daemon = True
        limit.start()
        try:
            headers = {"Authorization": self._login, "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            if response.status >= 300:
                raise ServerError(f"{method} {path}: HTTP {response.status}", is_refusal=response.status < 500)
            data = response.read(ANSWER_MAX_BYTES + 1)
            if len(data) > ANSWER_MAX_BYTES:
                raise ServerError(f"{method} {path}: the answer is too long")
            return json.loads(data) if data.strip() else None
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise ServerError(f"{method} {path}: {error!r}") from None
        finally:
            limit.cancel()
            connection.close()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _text(row: Json) -> str:
    parts = row.get("parts")
    texts = (
        [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
        if (isinstance(parts, list))
        else []
    )
    return "\n".join(text for text in texts if isinstance(text, str))


def _is_complete(info: Json) -> bool:
    times = info.get("time")
    is_ended = isinstance(times, dict) and times.get("completed") is not None
    return is_ended and info.get("finish") != "tool-calls"
