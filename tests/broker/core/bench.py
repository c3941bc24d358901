"""A workbench for the pure core: a fake clock, connections as objects, frames decoded, effects in a real journal."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

from intercom_mux.broker.core.core import Core
from intercom_mux.broker.core.model import Close, Limits, SaveState, SessionKey
from intercom_mux.broker.journal import Journal
from intercom_mux.wire.frames import dump

Json = dict[str, Any]

HOUR = 3_600_000
BLUE = {"id": "team-blue", "name": "blue", "dir": "/src/shop"}
GREEN = {"id": "team-green", "name": "green", "dir": "/src/auth"}


class Wire:
    """One client's connection. `frames` holds what it was sent and has not looked at yet."""

    def __init__(self, bench: Bench, number: int) -> None:
        self.bench = bench
        self.number = number
        self.frames: list[Json] = []
        self.is_closed = False
        self.is_stalled = False

    def post(self, **frame: Any) -> Wire:
        """Send one frame; what the broker does about it is done on return."""
        return self.post_raw(dump(frame))

    def post_raw(self, payload: bytes) -> Wire:
        self.bench.core.receive_all(self.number, [payload], self.bench.now)
        self.bench.settle()
        return self

    def close(self) -> None:
        """Hang up, as a process that ends does."""
        self.is_closed = True
        self.bench.core.disconnect(self.number, self.bench.now)
        self.bench.settle()

    def take(self, *kinds: str) -> list[Json]:
        """Return and forget the frames of these types, of all types when none is named."""
        taken = [frame for frame in self.frames if not kinds or frame["type"] in kinds]
        self.frames = [frame for frame in self.frames if kinds and frame["type"] not in kinds]
        return taken

    def one(self, *kinds: str) -> Json:
        """Return the only waiting frame of these types."""
        (frame,) = self.take(*kinds)
        return frame

    def messages(self) -> list[Json]:
        """Return and forget the messages that came."""
        return [frame["message"] for frame in self.take("message")]

    def texts(self) -> list[str]:
        """Return and forget the texts of the messages that came."""
        return [message["content"]["text"] for message in self.messages()]

    def send(self, to: str, text: str = "hello", *, frame: Json | None = None, **keys: Any) -> Json:
        """Send a message and return the broker's answer; `frame` adds keys beside the message."""
        message_id = keys.pop("id", None) or self.bench.new_id()
        message = {"id": message_id, "timestamp": self.bench.now, "content": {"text": text}, **keys}
        self.take("delivered", "delivery_failed")
        self.post(type="send", to=to, message=message, **(frame or {}))
        return self.one("delivered", "delivery_failed")

    def ask(self, to: str, text: str = "how?", *, blocking: bool = False, group: str = "", **keys: Any) -> Json:
        """Ask and return the broker's answer; `blocking` as a client of ours that waits for the reply."""
        frame: Json = {"blocking": True, "group": group} if blocking else {}
        return self.send(to, text, frame=frame, expectsReply=True, **keys)

    def confirm(self, message_id: str, status: str = "acknowledged") -> None:
        """Send a receipt."""
        receipt = {"messageId": message_id, "status": status, "timestamp": self.bench.now}
        self.post(type="message_receipt", receipt=receipt)

    def confirm_all(self) -> list[str]:
        """Acknowledge every waiting message and return the texts."""
        messages = self.messages()
        for message in messages:
            self.confirm(message["id"])
        return [message["content"]["text"] for message in messages]

    def op(self, operation: str, **fields: Any) -> Any:
        """Make one of our requests; return its value, or its error as {code, message}."""
        request_id = self.bench.new_id()
        self.post(type="mux", requestId=request_id, op=operation, **fields)
        answer = self.one("mux_result")
        assert answer["requestId"] == request_id
        return answer["value"] if answer["ok"] else answer["error"]

    def reply(self, text: str, to: str = "", **keys: Any) -> Any:
        """Reply by the operation, as the command does."""
        message_id = keys.pop("id", None) or self.bench.new_id()
        message = {"id": message_id, "timestamp": self.bench.now, "content": {"text": text}, **keys}
        return self.op("reply", to=to, message=message)

    def names(self) -> list[str]:
        """Return the names of the roster as this viewer sees them."""
        self.post(type="list", requestId="r")
        return [row.get("name", row["id"]) for row in self.one("sessions")["sessions"]]


class Bench:
    """A broker without sockets. `crash` loses everything but the journal."""

    def __init__(self, limits: Limits | None = None, journal: Path | None = None) -> None:
        self.limits = limits or Limits()
        self.now = 1_700_000_000_000
        self.journal = Journal(journal or Path(tempfile.mkdtemp(dir=Path.home())) / "journal.sqlite3")
        self.core = Core(self.limits)
        self.wires: dict[int, Wire] = {}
        self.saves: list[SaveState] = []
        self.keeps_state = True
        self.paused: set[int] = set()
        self.committed: list[tuple[Any, ...]] = []
        self._numbers = itertools.count(1)
        self._ids = itertools.count(1)

    def new_id(self) -> str:
        return f"m{next(self._ids):04d}"

    def settle(self) -> None:
        """Carry effects out as the server does: journal, frames, lookups."""
        while effects := self.core.take_effects():
            records = [*effects.late, *effects.records]
            if records:
                self.journal.write(records)
                self.committed += records
            self.saves += effects.saves
            for order in effects.saves:
                self.core.saved(order, is_kept=self.keeps_state)
            for number, is_paused in effects.pauses.items():
                (self.paused.add if is_paused else self.paused.discard)(number)
            written = set()
            for item in effects.output:
                wire = self.wires[item[0]]
                if wire.is_closed:
                    continue
                if isinstance(item, Close):
                    wire.is_closed = True
                    self.core.disconnect(wire.number, self.now)
                else:
                    wire.frames.append(_decoded(item[1]))
                    written.add(wire)
            for lookup in effects.lookups:
                value = {"looked": "up"} if lookup.kind == "status" else self.journal.look_up(lookup)
                answer: Json = {"type": "mux_result", "requestId": lookup.request_id, "ok": value is not None}
                error = {"code": "E_NOT_FOUND", "message": f"No {lookup.kind}"}
                answer |= {"value": value} if value is not None else {"error": error}
                self.wires[lookup.connection].frames.append(answer)
            for wire in written:
                if not wire.is_stalled:
                    self.core.drained(wire.number, self.now)

    def open(self) -> Wire:
        """Connect without registering."""
        wire = Wire(self, next(self._numbers))
        self.wires[wire.number] = wire
        self.core.connect(wire.number, 1000, self.now)
        self.settle()
        return wire

    def register(self, session_id: str | None, name: str | None, mux: Json | None = None, **more: Any) -> Wire:
        """Connect and register; the `registered` or `error` frame is the first of its frames."""
        session: Json = {"cwd": "/repo", "model": "m", "pid": 7, "startedAt": 1, "lastActivity": 1}
        session.update(more.pop("session", {}))
        if name is not None:
            session["name"] = name
        frame: Json = {"type": "register", "session": session, **more}
        if session_id is not None:
            frame["sessionId"] = session_id
        if mux is not None:
            frame["mux"] = mux
        return self.open().post(**frame)

    def pi(self, name: str, session_id: str | None = None, **more: Any) -> Wire:
        """Register an unmodified pi session; its id is `id-<name>` unless given."""
        wire = self.register(session_id or f"id-{name}", name, **more)
        assert wire.frames[0]["type"] == "registered"
        wire.frames.pop(0)
        return wire

    def old(self, name: str) -> Wire:
        """Register a 0.6-era client, which names no session id."""
        wire = self.register(None, name)
        wire.take("registered")
        return wire

    def peer(self, name: str, team: Json = BLUE, *, events: bool = False, **more: Any) -> Wire:
        """Register the endpoint of a team's peer, as its daemon does; its id is `<team>-<name>`."""
        mux = {"version": 1, "team": team, "role": more.pop("role", "worker"), "token": "secret", "events": events}
        wire = self.register(f"{team['name']}-{name}", name, mux, **more)
        wire.take("registered")
        return wire

    def handle(self, name: str, team: Json = BLUE, token: str = "secret") -> Wire:
        """Connect a command in a peer's pane, which acts as that peer."""
        wire = self.register(None, None, {"version": 1, "as": f"{team['name']}-{name}", "token": token})
        wire.take("registered")
        return wire

    def shell(self, session_id: str = "shell-1", name: str | None = "shell-pts1", view: str | None = None) -> Wire:
        """Connect a command in a terminal outside any team."""
        wire = self.register(None, name, {"version": 1, "as": session_id, "shell": True, "view": view})
        wire.take("registered")
        return wire

    def wait(self, ms: int) -> None:
        """Let time pass, with every timer at its moment."""
        until = self.now + ms
        while (due := self.core.next_timer()) is not None and due <= until:
            self.now = max(self.now, due)
            self.core.tick(self.now)
            self.settle()
        self.now = until

    def crash(self) -> None:
        """Kill the broker and start the next one on the same journal; every connection is gone."""
        for wire in self.wires.values():
            wire.is_closed = True
        snapshot = self.journal.load(self.now, self.limits.record_ttl, self.limits.records)
        self.core = Core(self.limits, snapshot, self.now)
        self.settle()

    def mailbox(self, session_id: str, scope: str = "") -> list[str]:
        """Return the ids that the broker holds for a session, in order."""
        return [d.id for d in self.core.state.sessions[SessionKey(scope, session_id)].mailbox.values()]


def _decoded(data: bytes) -> Json:
    import json

    size = int.from_bytes(data[:4], "big")
    assert len(data) == 4 + size
    assert size <= 1_048_576
    frame: Json = json.loads(data[4:])
    return frame
