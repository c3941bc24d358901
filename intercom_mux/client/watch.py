"""A client that waits: for what becomes of a message, or for peers to reach a state. Driven by the broker's events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from intercom_mux.client import failures, tasks
from intercom_mux.client.blocking import Client, new_id
from intercom_mux.client.link import RECONNECT_S, now_ms
from intercom_mux.errors import DeliveryError, PeerExited, UnknownFate, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Json = dict[str, Any]

STATES = ("idle", "blocked", "exited", "reply")
"""What can be waited for of peers."""

STEADY_MS = 1000
"""How long a peer must have been idle: one that was just given a message has not begun yet."""
SOON_S = 0.25
SWEEP_S = 5.0
"""How often to look without any event."""
MAIL_S = 0.2
"""How often to look for mail, whose coming no event tells to a handle."""
_UNKNOWN = "outcome unknown"


class Watcher(Client):
    """What a session can wait for, one blocking call each."""

    wants_events = True

    def follow(
        self,
        to: str,
        text: str,
        *,
        timeout_s: float,
        attachments: Sequence[Json] = (),
        message_id: str | None = None,
        on_receipt: Callable[[Json], None] | None = None,
    ) -> Json:
        """Send, and wait until the agent has the message; return messageId, to and outcome.

        The outcome is "submitted", or "queued": it stands in the agent's own queue. Survives a broker that dies and
        comes back.

        Raises:
            WaitTimeout: It still waits after `timeout_s`, and goes on waiting; `reason` says why.
            DeliveryError: It was refused, or has ended otherwise.
            UnknownFate: It was typed, and nobody saw what became of it.
        """
        deadline = time.monotonic() + timeout_s
        message = self._message(text, attachments, message_id or new_id())
        frame = {"type": "send", "to": to, "message": message, "watch": True}
        answer = self._deliver(frame)
        reason = answer.get("status") or ""
        while True:
            try:
                got = self._next(deadline)
            except TimeoutError:
                why = f": {reason}" if reason else ""
                facts = {"message_id": message["id"], "reason": reason}
                hint = f"it goes on waiting; withdraw it with `intercom-mux cancel {message['id'][:8]}`"
                raise WaitTimeout(
                    f"the message to {answer['to']} still waits{why}", code="E_STILL_WAITING", hint=hint, **facts
                ) from None
            except OSError:
                self._open(time.monotonic() + RECONNECT_S)
                self._deliver(frame)
                continue
            if got.get("event") == "message_ended" and got["messageId"] == message["id"]:
                return _fate(answer, got)
            if got["type"] == "message_receipt" and got["receipt"]["messageId"] == message["id"]:
                reason = failures.heard(got["receipt"])
                if on_receipt is not None:
                    on_receipt(got["receipt"])

    def wait(self, names: Sequence[str], until: str, *, timeout_s: float, is_any: bool = False) -> list[Json]:
        """Wait until all of the named sessions, or any, have reached `until`; return name, id, status, reached of each.

        "idle" means idle for a second, with no message waiting; "reply" that none of our asks to it is open. After the
        broker was lost the others come back as we do, one by one: who is not there yet is not taken to have left.

        Raises:
            DeliveryError: There is no such session.
            WaitTimeout: Not in `timeout_s`; `peers` says how they are.
            PeerExited: It cannot come about any more, because a peer has exited.
        """
        deadline = time.monotonic() + timeout_s
        targets = self._ids(names)
        owed = {row["to_id"] for row in self._asks()}
        dials, all_back_by = self.dials, 0.0
        while True:
            rows, is_close = self._look(targets, until, owed, may_come_back=time.monotonic() < all_back_by)
            if self.dials != dials:
                dials, all_back_by = self.dials, time.monotonic() + RECONNECT_S
                continue
            reached = [row for row in rows if row["reached"]]
            lost = [row for row in rows if row["is_over"] and not row["reached"]]
            if reached if is_any else len(reached) == len(rows):
                return rows
            if len(lost) == len(rows) or (lost and not is_any):
                names_lost = ", ".join(row["name"] for row in lost)
                raise PeerExited(f"{names_lost} has exited", hint="`intercom-mux up` starts it again", peers=rows)
            if time.monotonic() >= deadline:
                shown = ", ".join(f"{row['name']} is {row['status']}" for row in rows if not row["reached"])
                raise WaitTimeout(f"not {until} within {timeout_s:g} s: {shown}", peers=rows)
            self._until_news(targets, min(deadline, time.monotonic() + (SOON_S if is_close else SWEEP_S)))

    def wait_task(
        self, task: str, until: str, *, timeout_s: float, on_absent: Callable[[], None] | None = None
    ) -> Json:
        """Wait until a task is `until` (done, failed or blocked) and return it; before it is there, for that too.

        Raises:
            DeliveryError: Several tasks begin so.
            WaitTimeout: Not in `timeout_s`.
            PeerExited: It ended otherwise (`E_TASK_ENDED`).
        """
        deadline = time.monotonic() + timeout_s
        task = self._task_id(task, deadline, timeout_s, on_absent)
        while (row := tasks.show(self, task))["state"] != until:
            if row["state"] in ("done", "failed"):
                reason = f"task {task} is {row['state']}{': ' if row['note'] else ''}{row['note']}"
                raise PeerExited(reason, code="E_TASK_ENDED", hint=f"see `intercom-mux task show {task}`")
            if time.monotonic() >= deadline:
                shown = f"task {task} is {row['state']}, {row['percent']} %"
                raise WaitTimeout(f"not {until} within {timeout_s:g} s: {shown}", state=row["state"])
            self._until_news({}, min(deadline, time.monotonic() + SWEEP_S))
        return row

    def _task_id(self, wanted: str, deadline: float, timeout_s: float, on_absent: Callable[[], None] | None) -> str:
        """Return the id of the task that `wanted` means: one that is there by its start too, one that comes exactly."""
        if row := self._task(wanted):
            return str(row["id"])
        if on_absent is not None:
            on_absent()
        while not (row := self._task(wanted)) or row["id"] != wanted:
            if time.monotonic() >= deadline:
                hint = "`intercom-mux tasks` shows those that are there"
                raise WaitTimeout(f'within {timeout_s:g} s no task "{wanted}" came', hint=hint, state=None)
            self._until_news({}, min(deadline, time.monotonic() + SWEEP_S))
        return wanted

    def _task(self, wanted: str) -> Json | None:
        try:
            return tasks.show(self, wanted)
        except DeliveryError as error:
            if error.code != "E_NO_TASK":
                raise
        return None

    def answered(self) -> dict[str, list[str]]:
        """Return id of a session → asks of ours to which its replies wait unread."""
        found: dict[str, list[str]] = {}
        for row in self.request("inbox", peek=True)["messages"]:
            if ask_id := row["message"].get("replyTo"):
                found.setdefault(row["from"]["id"], []).append(ask_id)
        return found

    def mail(self, timeout_s: float) -> list[Json]:
        """Wait until a message is in our mailbox and return all of them, as `inbox` does, unread.

        Raises:
            WaitTimeout: None came in `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while not (letters := self.inbox(peek=True)):
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"no message within {timeout_s:g} s")
            self._until_news({}, min(deadline, time.monotonic() + MAIL_S))
        return letters

    def _ids(self, names: Sequence[str]) -> dict[str, str]:
        """Return id → shown name, for exact ids, names and unique starts of ids."""
        rows = [row for row in self.sessions() if not row["self"]]
        found: dict[str, str] = {}
        for name in names:
            rungs = (
                [row for row in rows if row["id"] == name],
                [row for row in rows if (row["name"] or "").casefold() == name.casefold()],
                [row for row in rows if row["id"].startswith(name)],
            )
            fitting = next((rung for rung in rungs if rung), [])
            # A name of the own team means that peer, as for the broker.
            mates = [row for row in fitting if row["team_id"] and row["team_id"] == self.identity.team]
            fitting = mates if len(mates) == 1 and fitting is rungs[1] else fitting
            if len(fitting) != 1:
                known = [row["name"] or row["id"] for row in rows]
                code = "E_AMBIGUOUS_TARGET" if fitting else "E_TARGET_NOT_FOUND"
                reason = f'Several sessions match "{name}"' if fitting else "Session not found"
                raise failures.refused(reason, code, known, name)
            found[fitting[0]["id"]] = fitting[0]["name"] or fitting[0]["id"]
        return found

    def _asks(self) -> list[Json]:
        me = self.identity.session_id
        return [row for row in self.request("waits")["asks"] if row["from_id"] == me]

    def _look(
        self, targets: dict[str, str], until: str, owed: set[str], *, may_come_back: bool
    ) -> tuple[list[Json], bool]:
        """Return how the targets are, and whether one is about to be another way, which no event will tell."""
        standing = self.request("waits")
        still_owed = {row["to_id"] for row in standing["asks"] if row["from_id"] == self.identity.session_id}
        sessions = {row["id"]: row for row in self.sessions()}
        rows, is_close = [], False
        for session_id, name in targets.items():
            session = sessions.get(session_id)
            status = (session["status"] or "unknown") if session else "gone"
            is_awaited = status == "gone" and may_come_back
            is_over = (status == "gone" and not is_awaited) or status.startswith("exited")
            since = (session and session["status_since"]) or 0
            is_quiet = now_ms() - since >= STEADY_MS and not standing["mail"].get(session_id)
            reached = {
                "idle": status == "idle" and is_quiet,
                "blocked": status.startswith("blocked"),
                "exited": is_over,
                "reply": session_id not in still_owed and not (is_over and session_id in owed),
            }[until]
            is_close |= is_awaited or (until == "idle" and status == "idle" and not reached)
            rows.append({"name": name, "id": session_id, "status": status, "reached": reached, "is_over": is_over})
        return rows, is_close

    def _until_news(self, targets: dict[str, str], give_up_at: float) -> None:
        """Return when something happened that may matter, or at `give_up_at`."""
        while True:
            try:
                got = self._next(give_up_at)
            except TimeoutError:
                return
            except OSError:
                self._open(time.monotonic() + RECONNECT_S)
                return
            subject = got.get("sessionId") or got.get("session", {}).get("id")
            if subject in targets or got.get("event") in ("ask_closed", "task"):
                return


def _fate(answer: Json, ended: Json) -> Json:
    """Return what became of a message, from the event that tells its end."""
    message_id, whom, note = answer["messageId"], answer["to"], ended["note"]
    if ended["state"] != "done":
        reason = f"the message to {whom} was not delivered: {ended['state']}"
        raise DeliveryError(reason, code="E_DELIVERY_FAILED", message_id=message_id, state=ended["state"])
    if note.startswith(_UNKNOWN):
        hint = f"look at {whom} before you send it again"
        raise UnknownFate(f"the message to {whom}: {note}", hint=hint, message_id=message_id)
    return {"messageId": message_id, "to": whom, "outcome": "queued" if note == "queued" else "submitted"}
