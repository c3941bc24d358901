"""A stand-in for the stock broker, run as a program: v1 in memory, in pi's runtime directory, nothing of ours.

Written from the protocol's facts, with the stock broker's own faults: what it does not like it cuts without a word, a
takeover is never damped, its memory dies with it, and a client that hangs up with unread input ends it, as a broken
stderr pipe does there. Left out: limits, scopes, the extension bus, `supersedes`, expiry.
It behaves at start and end as the stock one does: refuses while `broker.pid` names a live process, replaces any socket
without looking, cleans up on SIGTERM. A second argument is how long it takes to start, in seconds, as node does.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from intercom_mux.wire.frames import encode

Json = dict[str, Any]

ASK_TIMEOUT_MS = 600_000
SESSION_KEYS = (
    "name",
    "cwd",
    "model",
    "pid",
    "startedAt",
    "lastActivity",
    "status",
    "tmuxPane",
    "runtimeFallbackAlias",
)
FEATURES = ["extension-bus-v1", "exact-send-v1"]


class Breach(Exception):
    """The client broke the protocol: its socket is destroyed."""


@dataclass
class Session:
    """One registered session; `writer` is None once it has left."""

    info: Json
    writer: asyncio.StreamWriter | None

    def post(self, frame: Json) -> None:
        assert self.writer is not None
        self.writer.write(encode(frame))


@dataclass
class Ask:
    """Who asked whom."""

    asker: str
    asked: str


@dataclass
class Connection:
    """One socket; `session` is None until it has registered."""

    writer: asyncio.StreamWriter
    session: Session | None = None

    def post(self, frame: Json) -> None:
        self.writer.write(encode(frame))


@dataclass
class StockBroker:
    """Sessions, ask edges, receipt routes, mailbox and delivery records, all of them in memory."""

    asks_dir: Path
    live: dict[str, Session] = field(default_factory=dict)
    away: dict[str, Session] = field(default_factory=dict)
    asks: dict[str, Ask] = field(default_factory=dict)
    routes: dict[str, tuple[str, str]] = field(default_factory=dict)
    mail: list[tuple[Json, str, Json]] = field(default_factory=list)
    """(from, id of the target, message) that waits for a session to come back."""
    records: dict[tuple[str, str], tuple[Any, Json]] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(writer)
        try:
            while True:
                size = struct.unpack(">I", await reader.readexactly(4))[0]
                if size > 1_048_576:
                    raise Breach("too large")
                self._take(connection, json.loads(await reader.readexactly(size)))
        except ConnectionResetError:
            # The client closed with unread input; the stock broker logs that to a pipe whose reader may be gone.
            os.write(1, b"crashed: a client hung up with unread input\n")
            os._exit(1)
        except (OSError, ValueError, KeyError, Breach, asyncio.IncompleteReadError):
            self._leave(connection)
            writer.close()

    # -- one frame ------------------------------------------------------------------------------------------------

    def _take(self, connection: Connection, frame: Json) -> None:
        kind = frame["type"]
        if kind == "health":
            request = _text(frame["requestId"])
            connection.post({"type": "health_ok", "requestId": request, "protocol": "pi-intercom", "version": 1})
            return
        if (connection.session is None) != (kind == "register"):
            raise Breach("registration comes first, and once")
        if connection.session is not None and connection.session.writer is None:
            self._take_from_displaced(connection, frame)
            return
        handlers = {
            "register": self._register,
            "unregister": lambda one, _: self._leave(one),
            "list": self._list,
            "send": self._send,
            "presence": self._presence,
            "message_receipt": self._receipt,
            "cancel_message": self._cancel_message,
            "cancel_ask": self._cancel_ask,
        }
        if kind not in handlers:
            raise Breach(f"unknown frame {kind}")
        handlers[kind](connection, frame)

    def _take_from_displaced(self, connection: Connection, frame: Json) -> None:
        if frame["type"] == "send":
            connection.post(_failed(frame["message"]["id"], "E_SENDER_NOT_FOUND", "Sender session not found"))
        elif frame["type"] == "list":
            raise Breach("displaced")

    def _register(self, connection: Connection, frame: Json) -> None:
        session = _checked_session(frame["session"])
        me = frame.get("sessionId", str(uuid.uuid4()))
        if not _text(me).strip():
            raise Breach("empty session id")
        info = {**session, "id": me, "endpointEpoch": str(uuid.uuid4()), "trustedLocal": True}
        before = self.live.pop(me, None)
        if before is not None and before.writer is not None:
            self._drop_routes(me)
            before.writer.write_eof()
            before.writer = None
        self.away.pop(me, None)
        connection.session = self.live[me] = Session(info, connection.writer)
        connection.post({"type": "registered", "sessionId": me, "features": FEATURES})
        self._tell_others(me, {"type": "session_joined", "session": info})
        self._flush(connection.session)

    def _leave(self, connection: Connection) -> None:
        session, connection.session = connection.session, None
        if session is None or self.live.get(session.info["id"]) is not session:
            return
        me = session.info["id"]
        self.away[me] = Session(self.live.pop(me).info, None)
        self._drop_routes(me)
        self._tell_others(me, {"type": "session_left", "sessionId": me})

    def _list(self, connection: Connection, frame: Json) -> None:
        self._own(connection)
        rows = [session.info for session in self.live.values()]
        connection.post({"type": "sessions", "requestId": _text(frame["requestId"]), "sessions": rows})

    def _presence(self, connection: Connection, frame: Json) -> None:
        info = self._own(connection).info
        for key in ("name", "status", "model"):
            if key in frame:
                info[key] = _text(frame[key])
        if "runtimeFallbackAlias" in frame:
            info["runtimeFallbackAlias"] = frame["runtimeFallbackAlias"]
        self._tell_others(info["id"], {"type": "presence_update", "session": info})

    def _receipt(self, connection: Connection, frame: Json) -> None:
        me, receipt = self._own(connection).info, frame["receipt"]
        _text(receipt["messageId"]), _text(receipt["status"]), float(receipt["timestamp"])
        sender, receiver = self.routes.get(receipt["messageId"], ("", ""))
        if receiver == me["id"] and sender in self.live:
            self.live[sender].post({"type": "message_receipt", "from": me, "receipt": receipt})

    def _cancel_ask(self, connection: Connection, frame: Json) -> None:
        me, ask_id = self._own(connection).info["id"], _text(frame["messageId"])
        if ask_id in self.asks and self.asks[ask_id].asker == me:
            self._end_ask(ask_id)

    def _cancel_message(self, connection: Connection, frame: Json) -> None:
        me, message_id = self._own(connection).info, _text(frame["messageId"])
        waiting = [item for item in self.mail if item[0]["id"] == me["id"] and item[2]["id"] == message_id]
        sender, receiver = self.routes.get(message_id, ("", ""))
        if waiting:
            self.mail.remove(waiting[0])
        elif sender == me["id"] and receiver in self.live:
            control = {"messageId": message_id, "action": "cancel", "timestamp": _now()}
            self.live[receiver].post({"type": "message_control", "from": me, "control": control})
            self._end_ask(message_id)
        else:
            reason = "Message cannot be cancelled by this session"
            connection.post({"type": "delivery_failed", "messageId": message_id, "reason": reason})
            return
        connection.post({"type": "delivered", "messageId": message_id})

    # -- sending --------------------------------------------------------------------------------------------------

    def _send(self, connection: Connection, frame: Json) -> None:
        message = frame["message"]
        try:
            _text(message["id"]), float(message["timestamp"]), _text(message["content"]["text"])
        except (KeyError, TypeError, Breach):
            connection.post(_failed("unknown", "E_INVALID_MESSAGE", "Invalid message format"))
            return
        connection.post(self._deliver(self._own(connection), frame, message))

    def _deliver(self, me: Session, frame: Json, message: Json) -> Json:
        """Carry one message out and return the answer to its sender."""
        message_id = message["id"]
        if "targetId" in frame:
            exact = self.live.get(frame["targetId"])
            if exact is None:
                return _failed(message_id, "E_TARGET_NOT_FOUND", "Session not found")
            if exact.info["endpointEpoch"] != frame["targetEpoch"]:
                reason = "Target endpoint changed before delivery"
                return {**_failed(message_id, "E_TARGET_REBOUND", reason), "retryable": True}
        to: str = frame.get("targetId") or frame["to"]
        found = _ladder(self.live, to) or _ladder(self.away, to)
        if len(found) != 1:
            several = f'Multiple sessions named "{to}" are connected. Use the session ID instead.'
            code, reason = ("E_AMBIGUOUS_TARGET", several) if found else ("E_TARGET_NOT_FOUND", "Session not found")
            return _failed(message_id, code, reason)
        target = found[0]
        return self._refusal(me, target, message) or self._recorded(me, target, message)

    def _refusal(self, me: Session, target: Session, message: Json) -> Json | None:
        mine, theirs, answered = me.info["id"], target.info["id"], message.get("replyTo")
        if answered is not None:
            edge = self.asks.get(answered)
            if edge is None:
                return _failed(message["id"], "E_REPLY_TARGET", "Reply target does not match a pending ask")
            if (edge.asker, edge.asked) != (theirs, mine):
                return _failed(message["id"], "E_REPLY_TARGET", "Reply target does not match the pending ask")
        if not message.get("expectsReply"):
            return None
        if target.writer is None:
            reason = "Target session is not currently connected; blocking asks are not queued"
            return _failed(message["id"], "E_TARGET_DISCONNECTED", reason)
        others = [edge for ask_id, edge in self.asks.items() if ask_id != answered]
        if any((edge.asker, edge.asked) == (theirs, mine) for edge in others):
            reason = "Mutual ask refused: target session is already waiting for a reply from this session."
            return _failed(message["id"], "E_MUTUAL_ASK", reason)
        return None

    def _recorded(self, me: Session, target: Session, message: Json) -> Json:
        key = (me.info["id"], message["id"])
        authored = [target.info["id"], message["content"], message.get("replyTo"), message.get("expectsReply")]
        if key in self.records:
            before, answer = self.records[key]
            reuse = "Message id was reused with different authored content"
            return answer if before == authored else _failed(message["id"], "E_MESSAGE_ID_REUSE", reuse)
        answer = self._hand_over(me, target, message)
        self.records[key] = (authored, answer)
        return answer

    def _hand_over(self, me: Session, target: Session, message: Json) -> Json:
        mine, theirs, message_id = me.info["id"], target.info["id"], message["id"]
        if message.get("expectsReply"):
            self.asks[message_id] = Ask(mine, theirs)
            self._write_record(me.info, target.info, message)
        if target.writer is None:
            self.mail.append((dict(me.info), theirs, message))
        else:
            stamped = {**message, "brokerReceivedAt": _now(), "brokerDeliveredAt": _now()}
            target.post({"type": "message", "from": me.info, "message": stamped})
            self.routes[message_id] = (mine, theirs)
        if "replyTo" in message:
            self._end_ask(message["replyTo"])
        delivery = "queued" if target.writer is None else "socket_delivered"
        details = {"delivery": delivery, "retryable": False, "outcomeKnown": True}
        return {"type": "delivered", "messageId": message_id, **details}

    def _flush(self, session: Session) -> None:
        """Hand over what waits for this id, or for this name and directory of which no other holder is connected."""
        mailbox = _mailbox(session.info)
        is_only = mailbox is not None and [_mailbox(one.info) for one in self.live.values()].count(mailbox) == 1
        for item in list(self.mail):
            sender, target_id, message = item
            known = self.away.get(target_id)
            is_heir = is_only and known is not None and _mailbox(known.info) == mailbox and _mailbox(sender) != mailbox
            if target_id == session.info["id"] or is_heir:
                self.mail.remove(item)
                stamped = {**message, "brokerReceivedAt": _now(), "brokerDeliveredAt": _now()}
                session.post({"type": "message", "from": sender, "message": stamped})
                self.routes[message["id"]] = (sender["id"], session.info["id"])

    # -- what is kept ---------------------------------------------------------------------------------------------

    def _own(self, connection: Connection) -> Session:
        assert connection.session is not None
        return connection.session

    def _tell_others(self, me: str, frame: Json) -> None:
        for session_id, session in self.live.items():
            if session_id != me:
                session.post(frame)

    def _drop_routes(self, me: str) -> None:
        self.routes = {key: ends for key, ends in self.routes.items() if me not in ends}

    def _end_ask(self, ask_id: str) -> None:
        if self.asks.pop(ask_id, None) is not None:
            _record_file(self.asks_dir, ask_id).unlink(missing_ok=True)

    def _write_record(self, asker: Json, target: Json, message: Json) -> None:
        self.asks_dir.mkdir(mode=0o700, exist_ok=True)
        ends = {
            key: {"sessionId": info["id"], "name": info.get("name")}
            for key, info in (("asker", asker), ("target", target))
        }
        times = {"createdAt": _now(), "expiresAt": _now() + ASK_TIMEOUT_MS}
        ids = {"askId": message["id"], "messageId": message["id"]}
        record = {**ids, **ends, "question": message["content"]["text"], **times}
        file = _record_file(self.asks_dir, message["id"])
        file.write_text(json.dumps(record, indent=2))
        file.chmod(0o600)


def _ladder(sessions: dict[str, Session], to: str) -> list[Session]:
    if to in sessions:
        return [sessions[to]]
    named = [one for one in sessions.values() if one.info.get("name", "").lower() == to.lower()]
    return named or [one for session_id, one in sessions.items() if session_id.startswith(to)]


def _mailbox(info: Json) -> tuple[str, str] | None:
    if info.get("runtimeFallbackAlias") or not info.get("name"):
        return None
    return info["name"].lower(), os.path.realpath(info["cwd"])


def _checked_session(session: Json) -> Json:
    for key in ("cwd", "model"):
        _text(session[key])
    for key in ("pid", "startedAt", "lastActivity"):
        if type(session[key]) not in (int, float):
            raise Breach(f"{key} is no number")
    for key in ("name", "status", "tmuxPane"):
        _text(session.get(key, ""))
    return {key: session[key] for key in SESSION_KEYS if key in session}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Breach(f"{value!r} is no string")
    return value


def _failed(message_id: str, code: str, reason: str) -> Json:
    details = {"delivery": "failed", "retryable": False, "outcomeKnown": True}
    return {"type": "delivery_failed", "messageId": message_id, "reason": reason, "code": code, **details}


def _record_file(directory: Path, ask_id: str) -> Path:
    return directory / (quote(ask_id, safe="!'()*~") + ".json")


def _now() -> int:
    return time.time_ns() // 1_000_000


async def main(runtime: Path) -> None:
    """Serve until SIGTERM."""
    pid_file, path = runtime / "broker.pid", runtime / "broker.sock"
    if pid_file.exists() and Path(f"/proc/{pid_file.read_text()}").exists():
        sys.exit(f"Refusing to replace live intercom broker process {pid_file.read_text()}")
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(StockBroker(runtime / "pending-asks").serve, path)
    path.chmod(0o600)
    pid_file.write_text(str(os.getpid()))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(f"Intercom broker started (pid: {os.getpid()})", flush=True)
    await stopped.wait()
    server.close()
    path.unlink(missing_ok=True)
    pid_file.unlink(missing_ok=True)
    os._exit(0)


if __name__ == "__main__":
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0)
    asyncio.run(main(Path(sys.argv[1])))
