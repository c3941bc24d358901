"""What the core remembers, and what it asks the server to do. Pure data; times are Unix milliseconds.

`BrokerState` is the only place that holds anything; every rule is a function over it in a sibling module.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappush
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux.wire.frames import dump, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intercom_mux.broker.core.extensions import Owner, SharedState

Json = dict[str, Any]


class SessionKey(NamedTuple):
    """A session's identity: its scope (empty = unscoped) and its id."""

    scope: str
    id: str


MAILBOX_WAIT_MAX = 8_000
"""Longest `mailbox_wait`: clients of ours give up on an answer after ten seconds."""


@dataclass(slots=True, frozen=True)
class Limits:
    """Every bound of the core; docs/protocol.md, "Limits". Times in milliseconds."""

    message_ttl: int = 24 * 3_600_000
    session_memory: int = 24 * 3_600_000
    ask_timeout: int = 600_000
    ask_resume: int = 5_000
    record_ttl: int = 3_600_000
    records: int = 4_096
    redeliveries: int = 5
    mailbox_messages: int = 10_000
    mailbox_bytes: int = 64 * 1_048_576
    mailbox_wait: int = 5_000
    register_within: int = 1_000
    unregistered: int = 32
    v1_burst: int = 240
    v1_per_second: int = 120
    read_burst: int = 100_000
    read_per_second: int = 20_000
    sessions: int = 4_096
    presence_interval: int = 1_000
    takeovers: int = 3
    takeover_window: int = 10_000
    takeover_guard: int = 60_000


@dataclass(slots=True, frozen=True)
class Team:
    """The team that a session belongs to."""

    id: str
    name: str
    dir: str


class Held(NamedTuple):
    """A frame that is not handled before those in front of it; at `due` it is decided, full mailbox or not."""

    payload: bytes
    due: int


@dataclass(slots=True, eq=False)
class Connection:
    """One open socket.

    `generation` is "old" (0.6-era, registered without `sessionId`), "v1", or "mux" (asked for our additions).
    `is_handle`: acts as `session` without being its endpoint. `view` is the team whose bare names it uses.
    `secret`: what `health` and `register` must name as `stateId`, over TCP only.
    `wants_events`: is told when others join, change or leave. `carried`: what was written to it and is not done yet.
    `has_backlog`: its mailbox holds more than it could be given at once; the rest follows when it has read.
    `receipts_due`: how many receipts it may send beyond its rate, because it was given the messages.
    `held`: what it sent and what must wait, because the mailbox of `waits_for` was full (`backpressure`).
    """

    id: int
    uid: int | None
    opened_at: int
    tokens: float
    refilled_at: int
    secret: str | None = None
    session: Session | None = None
    is_handle: bool = False
    generation: str = "v1"
    view: str | None = None
    wants_events: bool = True
    is_closing: bool = False
    has_backlog: bool = False
    receipts_due: int = 0
    carried: dict[int, Delivery] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    held_bytes: int = 0
    waits_for: Session | None = None
    has_turn: bool = False
    is_paused: bool = False


@dataclass(slots=True, eq=False)
class Session:
    """Anything registered: a team's peer, a pi session, a shell; also when its connection is gone.

    `endpoint` receives its messages; `handles` are short-lived connections that act as it. `kind` is "peer", "shell"
    or "agent" (any other registered program). `active_ask` is the ask that the agent's current turn works on;
    `expiry_at` is when its mailbox is looked through next, 0 = no need. `takeovers` are the times of late at which
    another process took its endpoint; until `guarded_until` none may. `capabilities` are its extensions by namespace,
    and whether it may own them. `waiting_senders` wait for room in its mailbox, in order of arrival. `status_since` is
    when its status became what it is.
    Only where the agent's own client may come (`is_native`): `keeper` is the team's connection, which holds the
    session, `kept_info` what it says of the agent; while `is_yielding` it has not told yet which messages it finishes.
    """

    key: SessionKey
    kind: str
    order: int
    info: Json
    seen_at: int
    epoch: str = ""
    name: str | None = None
    team: Team | None = None
    role: str | None = None
    token: str | None = None
    endpoint: Connection | None = None
    handles: set[int] = field(default_factory=set)
    mailbox: dict[int, Delivery] = field(default_factory=dict)
    mailbox_bytes: int = 0
    waiting_senders: dict[int, Connection] = field(default_factory=dict)
    expiry_at: int = 0
    active_ask: tuple[SessionKey, str] | None = None
    broadcast_at: int = 0
    status_since: int = 0
    takeovers: list[int] = field(default_factory=list)
    guarded_until: int = 0
    capabilities: dict[str, bool] = field(default_factory=dict)
    info_cache: dict[str | None, bytes] = field(default_factory=dict)
    addressee_cache: dict[str | None, bytes] = field(default_factory=dict)
    is_native: bool = False
    keeper: Connection | None = None
    kept_info: Json = field(default_factory=dict)
    is_yielding: bool = False

    def owns(self, connection: Connection) -> bool:
        """Whether `connection` speaks for this session; a displaced endpoint does not."""
        return connection in (self.endpoint, self.keeper) or connection.id in self.handles

    def receiver_of(self, delivery: Delivery) -> Connection | None:
        """Return the connection that has a message of this mailbox, or would be given it."""
        keeper = self.keeper
        return keeper if keeper is not None and delivery.sent_to == keeper.id else self.endpoint

    @property
    def is_connected(self) -> bool:
        """Whether an endpoint or a keeper is there, or a handle for a session that never has one.

        A shell that a team has adopted counts as there: what comes waits for its next command.
        """
        is_there = self.endpoint is not None or self.keeper is not None
        return is_there or (self.kind == "shell" and (bool(self.handles) or self.team is not None))

    @property
    def holds_mail(self) -> bool:
        """Whether asks may wait in its mailbox: our own peers and shells come back, a foreign session may not."""
        return self.kind != "agent"

    @property
    def status(self) -> str:
        """The status it last told, or an empty string."""
        return str(self.info.get("status", ""))


@dataclass(slots=True, eq=False)
class Delivery:
    """One accepted message for one session; `body` is its JSON, `sent_to` the connection it was written to.

    `note` is the last detail its receiver gave in a receipt, such as why it is held; `watcher` the connection that
    asked to hear what becomes of it, 0 for none. Neither is journaled.
    """

    seq: int
    id: str
    sender: SessionKey
    target: SessionKey
    sender_info: bytes
    body: bytes
    fingerprint: bytes
    accepted_at: int
    expires_at: int
    state: str
    expects_reply: bool = False
    reply_to: str | None = None
    attempts: int = 0
    sent_to: int = 0
    hold_until: int = 0
    finished_at: int = 0
    is_notice: bool = False
    superseded_by: str = "a later message"
    note: str = ""
    watcher: int = 0


@dataclass(slots=True, eq=False)
class Ask:
    """An open question: an edge asker → asked until `deadline`.

    `waiter` is the connection that blocks on it, 0 when nobody does (a ticket, or an asker that is being resumed).
    `turn` is what the asked peer's courier last told of a turn that brought no answer; it is not journaled.
    """

    id: str
    asker: SessionKey
    asked: SessionKey
    created_at: int
    deadline: int
    text: str
    is_blocking: bool
    waiter: int = 0
    group: str = ""
    resume_until: int = 0
    turn: Json | None = None

    @property
    def key(self) -> tuple[SessionKey, str]:
        """What tells it from every other ask: ids are the askers' own choice."""
        return self.asker, self.id


@dataclass(slots=True, eq=False)
class Task:
    """A piece of work and how far it is; `percent` 0 to 100.

    `assigner_id` is the session that hears how it goes, empty in records of old. `history` has what it was after each
    of its latest changes, oldest first; `messages` the ids of the latest messages that are about it.
    """

    scope: str
    id: str
    title: str = ""
    owner: str = ""
    assigner: str = ""
    assigner_id: str = ""
    state: str = "assigned"
    percent: int = 0
    note: str = ""
    team: str = ""
    created_at: int = 0
    updated_at: int = 0
    history: list[Json] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


class Close(NamedTuple):
    """Order to end a connection after what was written before it."""

    connection: int


class SaveState(NamedTuple):
    """Order to write the state of an extension to the store and to tell the core how that went.

    `key` is the namespace's name in the store, `payload` its JSON, `at` Unix milliseconds.
    """

    connection: int
    scope: str
    namespace: str
    key: str
    revision: int
    payload: bytes
    at: int


class Lookup(NamedTuple):
    """Order to answer `request_id` on a connection from the journal, after the commit."""

    connection: int
    request_id: str
    kind: str
    session: SessionKey
    argument: str


@dataclass(slots=True)
class Effects:
    """What the server must do, in this order: commit `records`, then `saves`, `output`, `lookups`.

    `output` is whole frames by connection, one or several in each item, and orders to close.
    `late` are records that those on disk imply (`Journal.load` draws the conclusion): any later commit may take them.
    `warnings` are for the log. `pauses`: whether to read from a connection, the last word counts.
    """

    records: list[tuple[Any, ...]] = field(default_factory=list)
    output: list[tuple[int, bytes] | Close] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)
    late: list[tuple[Any, ...]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    saves: list[SaveState] = field(default_factory=list)
    pauses: dict[int, bool] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.records or self.output or self.lookups or self.late or self.saves or self.pauses)


class BrokerState:
    """Everything the broker knows, and the effects of the events handled since they were last taken."""

    def __init__(self, limits: Limits, new_epoch: Iterator[str], real_dir: Callable[[str], str]) -> None:
        self.limits = limits
        self.new_epoch = new_epoch
        self.real_dir = real_dir
        self.connections: dict[int, Connection] = {}
        self.listeners: dict[int, Connection] = {}
        """Handles that asked for events."""
        self.sessions: dict[SessionKey, Session] = {}
        self.by_name: dict[tuple[str, str], set[Session]] = {}
        self.teams: dict[str, Team] = {}
        self.records: dict[tuple[SessionKey, str], Delivery] = {}
        self.inbound: dict[tuple[SessionKey, str], Delivery] = {}
        self.finished: deque[Delivery] = deque()
        self.asks: dict[tuple[SessionKey, str], Ask] = {}
        self.asks_of: dict[SessionKey, dict[str, Ask]] = {}
        """The open asks of each asker by id: the edges along which a waiting cycle is looked for."""
        self.tasks: dict[tuple[str, str, str], Task] = {}
        self.owners: dict[tuple[str, str], Owner] = {}
        self.shared: dict[str, SharedState] = {}
        self.timers: list[tuple[int, int, str, Any]] = []
        self.next_seq = 1
        self.next_order = 1
        self.roomy: list[Session] = []
        self.effects = Effects()
        self._timer_count = 0

    def write(self, connection: int, value: Json) -> None:
        """Send one frame to a connection."""
        self.effects.output.append((connection, frame(dump(value))))

    def write_raw(self, connection: int, payload: bytes) -> None:
        """Send one frame whose JSON is already encoded."""
        self.effects.output.append((connection, frame(payload)))

    def close(self, connection: int) -> None:
        """End a connection once its output is written; nothing more is taken from it."""
        link = self.connections.get(connection)
        if link is not None:
            link.is_closing = True
        self.effects.output.append(Close(connection))

    def record(self, *operation: Any) -> None:
        """Have the journal write one operation, of plain values only, in the next commit."""
        self.effects.records.append(operation)

    def record_late(self, *operation: Any) -> None:
        """Have the journal write one operation some time: what it holds already implies it."""
        self.effects.late.append(operation)

    def set_timer(self, at: int, kind: str, subject: Any) -> None:
        """Have `Core.tick` look at `subject` once `at` has come; the look decides whether anything is due."""
        self._timer_count += 1
        heappush(self.timers, (at, self._timer_count, kind, subject))

    def take_effects(self) -> Effects:
        """Return what happened since the last call and start afresh; the value is read at once, and not kept."""
        taken = self.effects
        if taken:
            self.effects = Effects()
        return taken
