"""A foreign v1 client: what a pi session does on the wire, written from the protocol's description alone.

A thread keeps it connected: it registers, beats, reconnects with backoff, checks every frame as strictly as the
original and answers messages with its receipts. Times are scaled down. What would kill the original is kept in
`failures`, and leaving the context with one raises.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Self

from tests.support import SCALE, wait_until
from tests.v1.strict import FRAMES, OLD_FRAMES, ProtocolFailure, Wire, strictly

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Json = dict[str, Any]

BACKOFF_S = (0.05, 0.1, 0.25, 0.5, 1.5)
"""A twentieth of the original's."""
HEARTBEAT_S = 1.0
ANSWER_S = 5.0 * SCALE


class NotDelivered(Exception):
    """The broker, or the client itself, refused to send; `code` is the broker's."""

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.code = code


class AskLost(Exception):
    """The connection went while an ask waited: asks of the original do not survive that."""


class V1Client:
    """One session. Use as a context manager; connected on entry."""

    def __init__(
        self, path: Path, name: str, *, session_id: str | None = None, scope: str = "", is_old: bool = False
    ) -> None:
        """`is_old` makes it a 0.6-era client: no session id, no heartbeat answer to receipts, fewer known frames."""
        self.path = str(path)
        self.name = name
        self.session_id = session_id or f"{name}-{uuid.uuid4()}"
        self.scope = scope
        self.is_old = is_old
        self.on_ask: Callable[[str], str] | None = None
        """Answers questions at once, in the reader's thread; without it they wait in `pending`."""
        self.features: list[str] = []
        self.inbox: list[tuple[Json, Json]] = []
        """(from, message) of everything taken, each id of a sender once."""
        self.repeats = 0
        self.pending: dict[str, tuple[Json, Json]] = {}
        self.receipts: list[tuple[str, str]] = []
        """(message id, status) of receipts for messages of ours."""
        self.controls: list[Json] = []
        self.events: list[Json] = []
        self.failures: list[str] = []
        self.connections = 0
        self._wire: Wire | None = None
        self._connected = threading.Event()
        self._is_over = threading.Event()
        self._changed = threading.Condition()
        self._answers: dict[str, Json] = {}
        self._seen: set[tuple[str, str]] = set()
        self._ask: tuple[str, str, str] | None = None
        self._reply: Json | None = None
        self._sequence = 0
        self._write_lock = threading.Lock()
        self._threads = [threading.Thread(target=self._live), threading.Thread(target=self._beat)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        try:
            self.wait_connected()
        except AssertionError:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        assert not self.failures, f"{self.name}: {self.failures}"

    def _end(self) -> None:
        self._is_over.set()
        with contextlib.suppress(OSError, ConnectionError):
            self._post({"type": "unregister"})
        wire = self._wire
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(2)
        for thread in self._threads:
            thread.join(10)

    # -- the connection -------------------------------------------------------------------------------------------

    def _is_still(self, connection: int) -> bool:
        return self.connections == connection and self._connected.is_set()

    def wait_connected(self, connections: int = 1) -> None:
        """Return once connected for the nth time."""
        wait_until(lambda: self.connections >= connections and self._connected.is_set(), what=f"{self.name} connected")

    def _live(self) -> None:
        attempt = 0
        while not self._is_over.is_set():
            wire = None
            try:
                if not self._is_healthy():
                    raise ConnectionError("no healthy broker")
                wire = Wire(self.path, ANSWER_S)
                self._register(wire)
                attempt = 0
                self._read(wire)
            except ProtocolFailure as failure:
                self.failures.append(str(failure))
            except OSError:
                pass
            finally:
                self._lose(wire)
            self._is_over.wait(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
            attempt += 1

    def _is_healthy(self) -> bool:
        """Ask on a connection of its own, as the original does before each connect; 0.6 had no such frame."""
        if self.is_old:
            return True
        probe = Wire(self.path, 1.0 * SCALE)
        try:
            request_id = str(uuid.uuid4())
            probe.write({"type": "health", "requestId": request_id})
            answer = probe.read()
        finally:
            probe.close()
        wanted = {"type": "health_ok", "requestId": request_id, "protocol": "pi-intercom", "version": 1}
        return answer is not None and wanted.items() <= answer.items()

    def _register(self, wire: Wire) -> None:
        now = time.time_ns() // 1_000_000
        session: Json = {"name": self.name, "cwd": "/", "model": "v1", "pid": os.getpid()}
        session |= {"startedAt": now, "lastActivity": now}
        frame: Json = {"type": "register", "session": session}
        if not self.is_old:
            frame["sessionId"] = self.session_id
        if self.scope:
            frame["scopeId"] = self.scope
        wire.write(frame)
        first = wire.read()
        if first is None:
            raise ConnectionError("hung up")
        strictly(first)
        if first["type"] == "error":
            raise ConnectionError(first["error"])
        if first["type"] != "registered":
            raise ProtocolFailure(f"first frame: {first}")
        self.session_id = first["sessionId"]
        self.features = first.get("features", [])
        wire.sock.settimeout(None)
        self._wire = wire
        self.connections += 1
        self._connected.set()

    def _lose(self, wire: Wire | None) -> None:
        self._connected.clear()
        self._wire = None
        if wire is not None:
            wire.close()
        with self._changed:
            self._changed.notify_all()

    def _beat(self) -> None:
        """Ask for the roster now and then; a broker that is silent is left and dialled again."""
        while not self._is_over.wait(HEARTBEAT_S):
            wire = self._wire
            if wire is None:
                continue
            try:
                self.roster()
            except (OSError, TimeoutError):
                with contextlib.suppress(OSError):
                    wire.sock.shutdown(2)

    def _post(self, frame: Json) -> None:
        wire = self._wire
        if wire is None:
            raise ConnectionError("Intercom not connected")
        with self._write_lock:
            wire.write(frame)

    # -- what comes in --------------------------------------------------------------------------------------------

    def _read(self, wire: Wire) -> None:
        known = OLD_FRAMES if self.is_old else FRAMES
        while (frame := wire.read()) is not None:
            strictly(frame, known)
            if frame["type"] == "registered":
                raise ProtocolFailure("registered twice")
            self._take(frame)

    def _take(self, frame: Json) -> None:
        match frame["type"]:
            case "sessions":
                self._answered(frame["requestId"], frame)
            case "delivered" | "delivery_failed":
                self._answered(frame["messageId"], frame)
            case "message":
                self._take_message(frame["from"], frame["message"])
            case "message_receipt":
                self.receipts.append((frame["receipt"]["messageId"], frame["receipt"]["status"]))
            case "message_control":
                self._take_control(frame["control"])
            case _:
                self.events.append(frame)

    def _answered(self, key: str, frame: Json) -> None:
        with self._changed:
            self._answers[key] = frame
            self._changed.notify_all()

    def _take_message(self, sender: Json, message: Json) -> None:
        message_id = message["id"]
        self._receipt(message_id, "receiver_received")
        if (sender["id"], message_id) in self._seen:
            self.repeats += 1
            self._receipt(message_id, "acknowledged", "duplicate message id suppressed")
            return
        self._seen.add((sender["id"], message_id))
        if self._is_reply(sender, message):
            self._receipt(message_id, "acknowledged", "matched reply waiter")
            with self._changed:
                self._reply = message
                self._changed.notify_all()
            return
        self._receipt(message_id, "acknowledged", "accepted by receiver")
        if message.get("expectsReply"):
            self.pending[message_id] = (sender, message)
        self.inbox.append((sender, message))
        self._receipt(message_id, "injected")
        if message.get("expectsReply") and self.on_ask is not None:
            self.pending.pop(message_id, None)
            self._post(self._send_frame(sender["id"], self.on_ask(message["content"]["text"]), replyTo=message_id))

    def _is_reply(self, sender: Json, message: Json) -> bool:
        if self._ask is None or message.get("replyTo") != self._ask[0]:
            return False
        return bool(self._ask[1] == sender["id"] or self._ask[2] == (sender.get("name") or sender["id"]))

    def _take_control(self, control: Json) -> None:
        self.controls.append(control)
        self.pending.pop(control["messageId"], None)
        status = "superseded" if control["action"] == "supersede" else "cancellation_requested"
        self._receipt(control["messageId"], status)

    def _receipt(self, message_id: str, status: str, detail: str = "") -> None:
        if self.is_old:
            return
        receipt = {"messageId": message_id, "status": status, "timestamp": time.time_ns() // 1_000_000}
        if detail:
            receipt["detail"] = detail
        self._post({"type": "message_receipt", "receipt": receipt})

    # -- what a session does --------------------------------------------------------------------------------------

    def roster(self) -> list[Json]:
        """Return the sessions of the scope, ourselves included."""
        request_id = str(uuid.uuid4())
        self._post({"type": "list", "requestId": request_id})
        rows: list[Json] = self._await(request_id)["sessions"]
        return rows

    def names(self) -> set[str]:
        return {row.get("name", "") for row in self.roster()}

    def resolve(self, address: str) -> Json | None:
        """Return the one session meant: id, then name, then prefix; None if there is none.

        Raises:
            NotDelivered: Several are meant, or ourselves.
        """
        rows = self.roster()
        found = [row for row in rows if row["id"] == address]
        found = found or [row for row in rows if row.get("name", "").lower() == address.lower()]
        if not found and not self.is_old:
            found = [row for row in rows if row["id"].startswith(address)]
        if len(found) > 1:
            raise NotDelivered(f'Multiple sessions named "{address}" are connected')
        if found and found[0]["id"] == self.session_id:
            raise NotDelivered("Cannot message the current session")
        return found[0] if found else None

    def send(self, to: str, words: str, *, message_id: str | None = None, **keys: Any) -> Json:
        """Send as the original's tool does: resolved here, replies inferred, exact where the broker can.

        Raises:
            NotDelivered: Refused.
        """
        target = self.resolve(to)
        if target is not None and "replyTo" not in keys and (inferred := self._asked_by(target)):
            keys["replyTo"] = inferred
        frame = self._send_frame(target["id"] if target else to, words, message_id, **keys)
        is_exact = target is not None and "replyTo" not in keys and "exact-send-v1" in self.features
        answer = self._exact(frame, to) if is_exact else self._deliver(frame)
        self.pending.pop(keys.get("replyTo", ""), None)
        return answer

    def _exact(self, frame: Json, to: str) -> Json:
        for is_last in (False, True):
            target = self.resolve(to)
            if target is None:
                break
            frame.update(to=target["id"], targetId=target["id"], targetEpoch=target["endpointEpoch"])
            try:
                return self._deliver(frame)
            except NotDelivered as refusal:
                if refusal.code != "E_TARGET_REBOUND" or is_last:
                    raise
        return self._deliver({key: value for key, value in frame.items() if not key.startswith("target")})

    def _asked_by(self, target: Json) -> str | None:
        asks = [message_id for message_id, (sender, _) in self.pending.items() if sender["id"] == target["id"]]
        return asks[0] if len(asks) == 1 else None

    def ask(self, to: str, words: str, timeout_s: float = 20) -> str:
        """Ask one session and return its reply; one at a time.

        Raises:
            NotDelivered: Refused, away, or already waiting.
            AskLost: The connection went meanwhile.
            TimeoutError: No reply.
        """
        if self._ask is not None:
            raise NotDelivered("Already waiting for a reply")
        target = self.resolve(to)
        if target is None:
            raise NotDelivered(f'Session "{to}" is not currently connected')
        frame = self._send_frame(target["id"], words, expectsReply=True)
        ask_id = frame["message"]["id"]
        self._ask, self._reply = (ask_id, target["id"], to), None
        connection = self.connections
        try:
            self._deliver(frame)
            with self._changed:
                self._changed.wait_for(lambda: self._reply or not self._is_still(connection), timeout_s * SCALE)
                if self._reply is not None:
                    return str(self._reply["content"]["text"])
            if not self._is_still(connection):
                raise AskLost("Disconnected while waiting for reply")
            self._post({"type": "cancel_ask", "messageId": ask_id})
            raise TimeoutError(f"no reply to {ask_id}")
        finally:
            self._ask = None

    def cancel(self, message_id: str) -> None:
        """Take a message back.

        Raises:
            NotDelivered: It is not ours.
        """
        self._answers.pop(message_id, None)
        self._deliver({"type": "cancel_message", "messageId": message_id}, message_id)

    def _send_frame(self, to: str, words: str, message_id: str | None = None, **keys: Any) -> Json:
        message: Json = {"id": message_id or str(uuid.uuid4()), "timestamp": time.time_ns() // 1_000_000, **keys}
        if not self.is_old:
            self._sequence += 1
            message["senderSequence"] = self._sequence
        message["content"] = {"text": words}
        return {"type": "send", "to": to, "message": message}

    def _deliver(self, frame: Json, key: str = "") -> Json:
        self._post(frame)
        answer = self._await(key or frame["message"]["id"])
        if answer["type"] == "delivery_failed":
            raise NotDelivered(answer["reason"], answer.get("code", ""))
        return answer

    def _await(self, key: str) -> Json:
        connection = self.connections
        with self._changed:
            self._changed.wait_for(lambda: key in self._answers or not self._is_still(connection), ANSWER_S)
            if key in self._answers:
                return self._answers.pop(key)
        if not self._is_still(connection):
            raise ConnectionError("Intercom connection lost")
        raise TimeoutError(f"no answer for {key}")

    def texts(self) -> list[str]:
        """Return the texts taken so far, in order."""
        return [message["content"]["text"] for _, message in self.inbox]
