"""The blocking client against a broker that is not ours: plain pi-intercom v1, without what that one lacks.

Each command registers the terminal's session, does its work, unregisters and waits for the broker to hang up: a stock
broker may die of a client that leaves unread input behind. What comes meanwhile is shown at once, as no mailbox would
keep it. docs/ARCHITECTURE.md, "Which broker".
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import IO, TYPE_CHECKING, Any, Self

from intercom_mux import paths
from intercom_mux.client import failures, pending_asks, shell_name
from intercom_mux.client import identity as identities
from intercom_mux.client.blocking import ASK_TIMEOUT_S, Client, Reply
from intercom_mux.client.link import now_ms
from intercom_mux.errors import BrokerError, DeliveryError
from intercom_mux.host.lock import try_lock
from intercom_mux.wire import letter

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator, Iterable, Sequence

    from intercom_mux.client.identity import Identity

Json = dict[str, Any]

HANG_UP_S = 1.0
"""How long the broker may take to hang up after `unregister`."""


class StockClient(Client):
    """What a session can do at a stock broker. What needs ours raises `E_STOCK_BROKER`.

    `on_letter` is told every message that is not a reply waited for, as `letter.facts`.
    """

    is_foreign = True

    def __init__(self, identity: Identity, on_letter: Callable[[Json], None] = lambda _: None) -> None:
        self._terminal = identity.session_id
        name = shell_name.of(self._terminal)
        self._lock = _only_holder(self._terminal)
        self._has_own_name = name is not None and self._lock is not None
        name = name or identity.name
        if self._lock is None:
            suffix = f"-{os.getpid()}"
            identity = dataclasses.replace(identity, session_id=identity.session_id + suffix)
            name = f"{name}{suffix}"
        super().__init__(dataclasses.replace(identity, name=name))
        self._on_letter = on_letter
        self._asked: dict[str, Json] = {}
        """Ask id → the row of whom it was put to."""
        self._features: list[str] = []
        self._is_leaving = False

    @classmethod
    def connect(cls, identity: Identity | None = None, on_letter: Callable[[Json], None] = lambda _: None) -> Self:
        """Return a registered client; starts nothing.

        Raises:
            BrokerError: The broker does not answer, or refuses this session.
        """
        client = cls(identity or identities.current(), on_letter)
        client._open(time.monotonic())
        return client

    # -- connection ----------------------------------------------------------------------------------------------

    def _open(self, give_up_at: float) -> None:
        del give_up_at  # a broker of somebody else's is there or not
        try:
            self._dial()
        except OSError as error:
            self.close()
            raise BrokerError(
                f"the broker does not answer on {self.identity.socket}: {error.strerror or error}",
                hint="see `intercom-mux broker status`",
            ) from error

    def _registration(self) -> Json:
        """Return a v1 registration; a name made of the terminal's is marked, so that it receives no stranger's mail."""
        frame = super()._registration()
        del frame["mux"]
        if not self._has_own_name:
            frame["session"]["runtimeFallbackAlias"] = True
        if pane := os.environ.get("TMUX_PANE"):
            frame["session"]["tmuxPane"] = pane
        return {**frame, "sessionId": self.identity.session_id}

    def _registered(self, answer: Json) -> None:
        self._features = answer.get("features", [])

    def close(self) -> None:
        """Leave the roster, read to the end and hang up. Idempotent; gives up after `HANG_UP_S`."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._is_leaving = True
            try:
                self._leave(sock)
            except (OSError, BrokerError):
                pass
            finally:
                sock.close()
        if self._lock is not None:
            os.unlink(self._lock.name)
            self._lock.close()
            self._lock = None

    def _leave(self, sock: socket.socket) -> None:
        import socket as sockets

        from intercom_mux.wire.frames import decode, encode

        give_up_at = time.monotonic() + HANG_UP_S
        sock.settimeout(HANG_UP_S)
        sock.sendall(encode({"type": "unregister"}))
        sock.shutdown(sockets.SHUT_WR)
        while (left := give_up_at - time.monotonic()) > 0:
            sock.settimeout(left)
            data = sock.recv(65_536)
            if not data:
                return
            for payload in self._splitter.feed(data):
                self._take(decode(payload))

    def _exchange(self, frame: Json, is_answer: Callable[[Json], bool]) -> Json:
        """Post and wait once: a stock broker that comes back knows nothing, so nothing is repeated."""
        self._post(frame)
        return self._await(is_answer)

    # -- what comes in -------------------------------------------------------------------------------------------

    def _read(self, give_up_at: float) -> None:
        before = len(self._frames)
        super()._read(give_up_at)
        self._frames[before:] = [frame for frame in self._frames[before:] if self._take(frame)]

    def _take(self, frame: Json) -> bool:
        """Acknowledge and show a message, unless it is a reply waited for; return whether the frame is for others."""
        if frame["type"] in {"session_joined", "session_left", "presence_update"}:
            return False
        if frame["type"] == "message_control":
            control = frame["control"]
            status = "superseded" if control["action"] == "supersede" else "cancellation_requested"
            self._confirm(control["messageId"], status, "it has been shown")
            return False
        if frame["type"] != "message":
            return True
        message_id = frame["message"]["id"]
        self._confirm(message_id, "receiver_received")
        if self._is_reply(frame):
            self._confirm(message_id, "acknowledged", "matched reply waiter")
            return True
        self._confirm(message_id, "acknowledged", "accepted by receiver")
        self._on_letter(letter.facts(frame))
        self._confirm(message_id, "injected")
        return False

    def _is_reply(self, frame: Json) -> bool:
        target = self._asked.get(frame["message"].get("replyTo", ""))
        sender = frame["from"]
        return target is not None and (sender["id"] == target["id"] or _shown(sender) == _shown(target))

    def _confirm(self, message_id: str, status: str, detail: str = "") -> None:
        if self._is_leaving:
            return
        receipt: Json = {"messageId": message_id, "status": status, "timestamp": now_ms()}
        if detail:
            receipt["detail"] = detail
        try:
            self._post({"type": "message_receipt", "receipt": receipt})
        except OSError:
            self.close()

    # -- talking -------------------------------------------------------------------------------------------------

    def ask_many(
        self,
        targets: Sequence[str],
        text: str,
        *,
        timeout_s: float = ASK_TIMEOUT_S,
        attachments: Sequence[Json] = (),
        on_receipt: Callable[[Json], None] | None = None,
        message_id: str | None = None,
    ) -> Generator[tuple[str, Reply | Exception], None, None]:
        """As `Client.ask_many`, but what is still open when the caller leaves, whatever the reason, is withdrawn."""
        replies = super().ask_many(
            targets, text, timeout_s=timeout_s, attachments=attachments, on_receipt=on_receipt, message_id=message_id
        )
        try:
            yield from replies
        finally:
            self._withdraw(list(self._asked))

    def _outcome(
        self, frame: Json, open_asks: dict[str, tuple[str, Json]], timeout_s: float
    ) -> tuple[str, Reply | Exception] | None:
        outcome = super()._outcome(frame, open_asks, timeout_s)
        if outcome is not None:
            self._asked.pop(outcome[0], None)
        return outcome

    def _withdraw(self, ask_ids: Iterable[str]) -> None:
        ask_ids = list(ask_ids)
        super()._withdraw(ask_ids)
        for ask_id in ask_ids:
            self._asked.pop(ask_id, None)

    def _come_back(self, open_asks: dict[str, tuple[str, Json]], deadline: float) -> None:
        """The broker is lost and its asks with it: let each end as ours would tell it."""
        del deadline
        reason = "the broker was lost, and it keeps no asks"
        end = {"type": "mux_event", "event": "ask_ended", "code": "E_ASK_ENDED", "reason": reason}
        self._frames += [{**end, "messageId": ask_id} for ask_id in open_asks]

    def _late(self, ask_id: str) -> None:
        """Nothing is kept for us."""

    def _deliver(self, frame: Json) -> Json:
        """Resolve the address as v1 clients do, and send to exactly that endpoint."""
        message, to = frame["message"], frame["to"]
        is_ask = bool(message.get("expectsReply"))
        if is_ask and not frame.get("blocking"):
            raise failures.needs_our_broker("ask --async", self.identity.socket)
        plain: Json = {"type": "send", "to": to, "message": {k: v for k, v in message.items() if k != "deadline"}}
        target = self._resolve(to)
        if target is None and is_ask:
            raise self._unknown(to)
        if target is not None and is_ask:
            self._asked[message["id"]] = target
        try:
            answer = self._send_to(target, plain)
        except BaseException:
            if is_ask:
                self._withdraw([message["id"]])
            raise
        status = {"status": target["status"]} if target and "status" in target else {}
        return {"delivery": "socket_delivered", **answer, "to": _shown(target) if target else to, **status}

    def _send_to(self, target: Json | None, frame: Json) -> Json:
        to = frame["to"]
        if target is None:
            return self._send_to_absent(frame)
        is_exact = "exact-send-v1" in self._features and "replyTo" not in frame["message"]
        if not is_exact:
            return super()._deliver({**frame, "to": target["id"]})
        try:
            return super()._deliver(_exactly(frame, target))
        except DeliveryError as error:
            if error.code != "E_TARGET_REBOUND":
                raise
        again = self._resolve(to)
        if again is None:
            raise self._unknown(to)
        if frame["message"].get("expectsReply"):
            self._asked[frame["message"]["id"]] = again
        return super()._deliver(_exactly(frame, again))

    def _send_to_absent(self, frame: Json) -> Json:
        """Let the broker judge: it also knows the sessions that have left, and keeps their mail for a while."""
        try:
            return super()._deliver(frame)
        except DeliveryError as error:
            if error.code != "E_TARGET_NOT_FOUND":
                raise
        raise self._unknown(frame["to"])

    def _resolve(self, to: str) -> Json | None:
        """Return the row of the one connected session that `to` names: id, then name, then start of an id.

        Raises:
            DeliveryError: Several fit, or it is ourselves.
        """
        rows = self._roster()
        found = [row for row in rows if row["id"] == to]
        found = found or [row for row in rows if row.get("name", "").casefold() == to.casefold()]
        found = found or [row for row in rows if to and row["id"].startswith(to)]
        if len(found) > 1:
            ids = ", ".join(row["id"] for row in found)
            raise DeliveryError(
                f'several sessions fit "{to}"', code="E_AMBIGUOUS_TARGET", hint=f"address one by its id: {ids}"
            )
        if found and found[0]["id"] == self.identity.session_id:
            raise DeliveryError("Cannot message the current session", code="E_SELF_TARGET")
        return found[0] if found else None

    def _unknown(self, to: str) -> DeliveryError:
        names = sorted(_shown(row) for row in self._roster() if row["id"] != self.identity.session_id)
        return failures.refused("Session not found", "E_TARGET_NOT_FOUND", names, to)

    def reply(
        self, text: str, *, to: str | None = None, attachments: Sequence[Json] = (), message_id: str | None = None
    ) -> Json:
        """Answer the only ask that waits for this terminal, or the one `to` names, told by the broker's own records."""
        self._check_alone()
        ask = pending_asks.to_answer(self._records().to_me, to or "")
        message = {**self._message(text, attachments, message_id), "replyTo": ask["id"]}
        frame = {"type": "send", "to": ask["with_id"], "message": message}
        answer = super()._deliver(frame)
        facts = {"messageId": message["id"], "askId": ask["id"], "to": ask["with"], "isLate": False}
        return {**facts, "delivery": answer.get("delivery", "socket_delivered")}

    def cancel(self, message_id: str) -> None:
        """Withdraw a message or an ask of this terminal, as far as the broker still knows it."""
        self._withdraw([message_id])
        is_ask = any(row["id"] == message_id for row in self._records().from_me)
        try:
            super().cancel(message_id)
        except DeliveryError:
            if not is_ask:
                raise

    # -- requests of ours ----------------------------------------------------------------------------------------

    def request(self, op: str, **fields: Any) -> Any:
        """Do what can be done of our requests: `pending` and `name`.

        Raises:
            BrokerError: `E_STOCK_BROKER`, for every other one.
        """
        if op == "pending":
            records = self._records()
            return {"to_me": records.to_me, "from_me": records.from_me}
        if op == "name":
            return self._rename(str(fields["name"]).strip())
        raise failures.needs_our_broker(op, self.identity.socket)

    def _check_alone(self) -> None:
        if self._lock is None:
            raise DeliveryError(
                "another command of this terminal holds its session", code="E_BUSY", hint="try again when it has ended"
            )

    def _rename(self, name: str) -> Json:
        others = [row for row in self._roster() if row["id"] != self.identity.session_id]
        shell_name.check(name, [_shown(row) for row in others])
        self._check_alone()
        shell_name.keep(self._terminal, name)
        self._post({"type": "presence", "name": name, "runtimeFallbackAlias": False})
        self.name = name
        return {"name": name, "sessionId": self.identity.session_id, "is_shell": True}

    def acknowledge(self, reply: Reply) -> None:
        """Nothing to do: a v1 client acknowledges a reply when it comes."""

    def _records(self) -> pending_asks.Records:
        return pending_asks.of(self.identity.socket.parent, self._terminal, now_ms())


def _exactly(frame: Json, target: Json) -> Json:
    pair = {"targetId": target["id"], "targetEpoch": target["endpointEpoch"]} if "endpointEpoch" in target else {}
    return {**frame, "to": target["id"], **pair}


def _shown(row: Json) -> str:
    return str(row.get("name") or row["id"])


def _only_holder(session_id: str) -> IO[str] | None:
    """Take a terminal's session for this process; None while another one has it, as two would displace each other."""
    directory = paths.private_dir(paths.private_dir(paths.runtime_dir()) / "shells")
    file = directory / f"{session_id}.lock"
    while True:
        lock = file.open("w")
        try:
            if not try_lock(lock.fileno()):
                lock.close()
                return None
            # Its last holder may have removed the file between our opening and our locking it.
            if os.path.samestat(os.fstat(lock.fileno()), file.stat()):
                return lock
        except FileNotFoundError:
            pass
        lock.close()
