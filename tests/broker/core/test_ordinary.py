"""Ordinary traffic is handled exactly as everything else is, only faster.

Two brokers get the same frames at the same times: one takes runs of ordinary frames at once, the other every frame by
the general rules. Both must write the same bytes to everybody, journal the same and remember the same.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intercom_mux.broker.core import ordinary
from intercom_mux.broker.core.core import Core
from intercom_mux.broker.core.model import Close, Limits
from intercom_mux.wire import ordinary as shapes
from intercom_mux.wire import states
from intercom_mux.wire.frames import Splitter

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

NOW = 1_700_000_000_000
LIMITS = Limits(mailbox_messages=4, mailbox_bytes=3_000, records=4, redeliveries=2)
BLUE = {"id": "team-blue", "name": "blue", "dir": "/src"}
PLANNER, WORKER, SCOUT, PI, HANDLE, SHELL = range(1, 7)
TEXTS = (
    "hello",
    "",
    'two\nlines \\ "said"\t/',
    "grüße 🙂",
    "[task] do it",
    "[ta\nsk]",
    "\x7f",
    "\x00",
    "\ud800",
    "long" * 300,
)


Step = tuple[str, int, list[bytes] | None]


def compact(value: object, *, ascii_only: bool = False) -> bytes:
    """Return the JSON that a client writes."""
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)
    return written.encode(errors="surrogatepass")


def spaced(value: object) -> bytes:
    """Return the JSON that an unusual client writes."""
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")


def registration(number: int) -> Json:
    """Return how the session on this connection registers; each again as itself when it is back."""
    session: Json = {"cwd": "/repo", "model": "m", "pid": 7, "startedAt": 1, "lastActivity": 1}
    peer = {"version": 1, "team": BLUE, "role": "worker", "token": "secret", "events": False}
    names = {PLANNER: "planner", WORKER: "worker", SCOUT: "scout"}
    if number in names:
        me = {"sessionId": f"blue-{names[number]}", "session": session | {"name": names[number]}, "mux": peer}
    elif number == PI:
        me = {"sessionId": "pi-1", "session": session | {"name": "pi"}}
    elif number == HANDLE:
        me = {"session": session, "mux": {"version": 1, "as": "blue-planner", "token": "secret"}}
    else:
        me = {"session": session | {"name": "shell"}, "mux": {"version": 1, "as": "shell-1", "shell": True}}
    return {"type": "register", **me}


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy that is odd now and then: a run is to get somewhere before it meets an exception."""
    return st.integers(0, 7).flatmap(lambda die: odd if die == 7 else usual)


ids = mostly(st.sampled_from("abcdefgh"), st.sampled_from(["ä", 'q"', "x" * 300, ""]))
texts = mostly(st.just("hello"), st.sampled_from(TEXTS) | st.text(max_size=20))
addresses = mostly(
    st.sampled_from(["worker", "scout"]),
    st.sampled_from(["planner", "blue-worker", "pi", "shell-1", "nobody", "blue/worker", ""]),
)
statuses = mostly(
    st.sampled_from(["acknowledged", "injected", "receiver_received", "queued"]),
    st.sampled_from(["expired", "cancelled", "odd"]),
)
moments = mostly(st.just(17), st.sampled_from([0, 1.5, -1, 10**20]))
relations = st.sampled_from([{"expectsReply": True}, {"replyTo": "a"}, {"supersedes": "a"}, {"retryOf": "b"}, {"x": 1}])
beside = mostly(st.just({}), st.sampled_from([{"watch": True}, {"blocking": True}]))


def frames(who: int, *run: bytes) -> Step:
    return "frames", who, list(run)


@st.composite
def sends(draw: st.DrawFn) -> Json:
    message = {"id": draw(ids), "timestamp": draw(moments), "content": {"text": draw(texts)}}
    message |= draw(st.sampled_from([{}, {}, {}, {"expectsReply": True}]) | mostly(st.just({}), relations))
    return {"type": "send", "to": draw(addresses), "message": message, **draw(beside)}


@st.composite
def asks(draw: st.DrawFn) -> Json:
    beside = draw(mostly(st.sampled_from([{}, {"blocking": True, "group": "g"}]), st.just({"blocking": 1, "group": 2})))
    deadline: st.SearchStrategy[Json] = st.just({}) | st.builds(lambda at: {"deadline": at}, moments)
    more = {"expectsReply": True, **draw(deadline)}
    return {"type": "send", "to": draw(addresses), "message": related(draw, more), **beside}


@st.composite
def replies(draw: st.DrawFn, asked: st.SearchStrategy[str] = ids, to: str = "planner") -> Json:
    whom = draw(mostly(st.just(to), addresses))
    return {"type": "send", "to": whom, "message": related(draw, {"replyTo": draw(asked)})}


def related(draw: st.DrawFn, more: Json) -> Json:
    """Return a message with `more` before its content or behind it: clients write either."""
    head = {"id": draw(ids), "timestamp": draw(moments)}
    content = {"content": {"text": draw(texts)}}
    return {**head, **more, **content} if draw(st.booleans()) else {**head, **content, **more}


@st.composite
def receipts(draw: st.DrawFn) -> Json:
    receipt = {"messageId": draw(ids), "status": draw(statuses), "timestamp": draw(moments)}
    return {"type": "message_receipt", "receipt": receipt | draw(mostly(st.just({}), st.just({"detail": "held"})))}


others = st.sampled_from(
    [
        {"type": "mux", "requestId": "r", "op": "inbox"},
        {"type": "mux", "requestId": "r", "op": "pending"},
        {"type": "presence", "status": "thinking"},
        {"type": "cancel_message", "messageId": "a"},
        {"type": "cancel_ask", "messageId": "a"},
        {"type": "list", "requestId": "r"},
        {"type": "unregister"},
        {"type": "nonsense"},
    ]
)


@st.composite
def written(draw: st.DrawFn, frames: st.SearchStrategy[Json]) -> bytes:
    frame = draw(mostly(frames, others))
    form: Callable[[Json], bytes] = draw(
        mostly(st.just(compact), st.sampled_from([lambda f: compact(f, ascii_only=True), spaced]))
    )
    return form(frame)


def runs(frames: st.SearchStrategy[Json]) -> st.SearchStrategy[list[bytes]]:
    return st.lists(written(frames), min_size=1, max_size=6)


steps = st.one_of(
    st.tuples(st.just("frames"), st.sampled_from([PLANNER, SCOUT, HANDLE]), runs(sends())),
    st.tuples(st.just("frames"), st.sampled_from([WORKER, SCOUT]), runs(receipts())),
    st.tuples(st.just("frames"), st.sampled_from([PLANNER, SCOUT, HANDLE]), runs(asks())),
    st.tuples(st.just("frames"), st.sampled_from([WORKER, SCOUT]), runs(replies() | receipts())),
    st.tuples(st.just("again"), st.just(WORKER), st.none()),
    st.tuples(st.just("frames"), st.integers(PLANNER, SHELL), runs(sends() | receipts())),
    st.tuples(st.sampled_from(["again", "drained"]), st.integers(PLANNER, SHELL), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([1, 5_000, 60_000, 3_600_000]), st.none()),
)


@st.composite
def talks(draw: st.DrawFn) -> list[Step]:
    """Return a question, whatever may come between, and what answers it if all is well."""
    asker, name = draw(st.sampled_from([(PLANNER, "planner"), (HANDLE, "planner"), (SCOUT, "scout")]))
    question = draw(asks())
    asked = mostly(st.just(question["message"]["id"]), ids)
    question["to"] = draw(mostly(st.just("worker"), addresses))
    between = draw(st.lists(steps, max_size=2))
    return [frames(asker, compact(question)), *between, ("frames", WORKER, draw(runs(replies(asked, name))))]


scripts = st.lists(steps.map(lambda step: [step]) | talks(), min_size=1, max_size=12)


class Broker:
    """A core whose connections come again under new numbers; `said` is what it did in the last step, in plain words."""

    def __init__(self, *, at_once: bool) -> None:
        self.core = Core(LIMITS)
        self.core.state.new_epoch = (f"epoch-{number}" for number in itertools.count())
        self.at_once = at_once
        self.now = NOW
        self.numbers: dict[int, int] = {}
        self._next = itertools.count(1)
        for who in range(PLANNER, SHELL + 1):
            self.comes(who)
        self.said()

    def comes(self, who: int) -> None:
        if who in self.numbers:
            self.core.disconnect(self.numbers[who], self.now)
        self.numbers[who] = next(self._next)
        self.core.connect(self.numbers[who], 1000, self.now)
        self.core.receive(self.numbers[who], compact(registration(who)), self.now)

    def does(self, step: str, who: int, frames: list[bytes] | None) -> None:
        self.now += 1
        if step == "frames" and self.at_once:
            self.core.receive_all(self.numbers[who], frames or [], self.now)
        elif step == "frames":
            for payload in frames or []:
                self.core.receive(self.numbers[who], payload, self.now)
        elif step == "again":
            self.comes(who)
        elif step == "drained":
            self.core.drained(self.numbers[who], self.now)
        else:
            self.now += who
            self.core.tick(self.now)

    def said(self) -> Json:
        """Return the effects since the last call: what each connection is written, whole, and the journal."""
        written: dict[int, bytes] = defaultdict(bytes)
        effects = self.core.take_effects()
        closed = [item.connection for item in effects.output if isinstance(item, Close)]
        for item in effects.output:
            if not isinstance(item, Close):
                written[item[0]] += item[1]
        return {
            "written": {number: Splitter().feed(data) for number, data in written.items()},
            "closed": closed,
            "journal": effects.records,
            "late": effects.late,
            "lookups": effects.lookups,
            "pauses": effects.pauses,
        }

    def remembers(self) -> Json:
        """Return all that decides what comes next."""
        state = self.core.state
        return {
            "records": {key: dataclasses.asdict(one) for key, one in state.records.items()},
            "inbound": [(key, one.seq) for key, one in state.inbound.items()],
            "finished": [one.seq for one in state.finished],
            "mailboxes": {key: (list(s.mailbox), s.mailbox_bytes, s.expiry_at) for key, s in state.sessions.items()},
            "turns": {key: session.active_ask for key, session in state.sessions.items()},
            "asks": [dataclasses.asdict(ask) for ask in state.asks.values()],
            "tasks": [dataclasses.asdict(task) for task in state.tasks.values()],
            "carried": {n: (list(c.carried), c.receipts_due, len(c.held)) for n, c in state.connections.items()},
            "timers": sorted((at, kind, subject) for at, _, kind, subject in state.timers if kind != "register"),
            "next_seq": state.next_seq,
        }


def message(message_id: str, text: str = "hello", to: str = "worker", **more: Any) -> bytes:
    return compact(
        {"type": "send", "to": to, "message": {"id": message_id, "timestamp": 1, "content": {"text": text}, **more}}
    )


def receipt(message_id: str, status: str = "acknowledged") -> bytes:
    return compact({"type": "message_receipt", "receipt": {"messageId": message_id, "status": status, "timestamp": 1}})


def behave_alike(script: list[Step]) -> None:
    quick, general = Broker(at_once=True), Broker(at_once=False)
    for step in script:
        for broker in (quick, general):
            broker.does(*step)
        assert quick.said() == general.said()
        assert quick.remembers() == general.remembers()


@settings(max_examples=400, deadline=None)
@given(scripts)
def test_a_run_at_once_does_what_each_frame_alone_does(script: list[list[Step]]) -> None:
    """Whatever is sent, in whatever state of mailboxes, connections and asks."""
    behave_alike([step for part in script for step in part])


HELD = receipt("a").replace(b'"status"', b'"detail":"a draft","status"').replace(b"acknowledged", b"queued")
BLOCKING = message("q", expectsReply=True)[:-1] + b',"blocking":true,"group":"g"}'


@pytest.mark.parametrize(
    "script",
    {
        "receipts for two senders": [
            frames(PLANNER, message("a"), message("b")),
            frames(SCOUT, message("c"), message("d")),
            frames(WORKER, receipt("a"), receipt("c"), receipt("b"), receipt("d")),
        ],
        "on its way for the second time": [
            frames(PLANNER, message("a")),
            ("again", WORKER, None),
            frames(WORKER, receipt("a", "queued")),
            ("again", WORKER, None),
            frames(WORKER, receipt("a", "receiver_received"), receipt("a"), receipt("a", "queued")),
        ],
        "behind one that is held": [
            frames(PLANNER, message("a")),
            frames(WORKER, HELD),
            frames(SCOUT, message("b"), message("c")),
        ],
        "a full mailbox": [
            frames(PLANNER, *(message(name) for name in "abcdef")),
            frames(PLANNER, message("g"), message("h", to="scout")),
            frames(SCOUT, message("i")),
            frames(WORKER, receipt("a"), receipt("b"), receipt("c")),
            frames(PLANNER, message("j")),
        ],
        "a question among messages": [
            frames(HANDLE, message("a"), BLOCKING, message("b")),
            frames(WORKER, receipt("a"), receipt("q", "injected"), receipt("b")),
            frames(WORKER, message("r", to="planner", replyTo="q"), message("c", to="planner"), receipt("q")),
        ],
    }.items(),
    ids=lambda script: script[0],
)
def test_what_is_hard_to_come_by(script: tuple[str, list[Step]]) -> None:
    """Cases that chance seldom leads to, each with a rule of its own."""
    behave_alike(script[1])


def taken(broker: Broker, who: int, frames: list[bytes]) -> int:
    """Return how many of the frames were taken as ordinary from the start."""
    connection = broker.core.state.connections[broker.numbers[who]]
    return ordinary.take(broker.core.state, connection, frames, 0, broker.now)


@pytest.mark.parametrize("text", ["hello", "", "two\nlines", 'a "word" and a \\ \t', "grüße 🙂", "\x7f"])
def test_what_people_write_is_ordinary(text: str) -> None:
    """Escapes and any script are no reason to be slow; a run goes out as one write to each side."""
    broker = Broker(at_once=True)
    frames = [message(f"m{number}", text) for number in range(4)]
    assert taken(broker, PLANNER, frames) == 4
    written = [item for item in broker.core.take_effects().output if not isinstance(item, Close)]
    assert [number for number, _ in written] == [broker.numbers[WORKER], broker.numbers[PLANNER]]
    assert [len(Splitter().feed(data)) for _, data in written] == [4, 4]
    assert taken(broker, WORKER, [receipt(f"m{number}") for number in range(4)]) == 4
    assert {one.state for one in broker.core.state.records.values()} == {states.DONE}


def test_a_question_and_its_answer_are_ordinary() -> None:
    """With a deadline, and somebody who blocks on it, or without."""
    broker = Broker(at_once=True)
    assert taken(broker, HANDLE, [BLOCKING]) == 1
    assert taken(broker, WORKER, [message("r", to="planner", replyTo="q"), receipt("q")]) == 1
    assert taken(broker, PLANNER, [message("p", expectsReply=True, deadline=NOW + 9)]) == 1
    assert taken(broker, WORKER, [message("s", "[task] no mark in an answer", to="planner", replyTo="p")]) == 1
    assert [one.state for one in broker.core.state.records.values()] == [states.DONE, states.SENT] * 2


def test_one_run_follows_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came in one read is ordinary to its end: messages, a question, messages to another, receipts."""
    broker = Broker(at_once=True)
    general: list[bytes] = []
    monkeypatch.setattr(broker.core, "receive", lambda _number, payload, _now: general.append(payload))
    mixed = [message("a"), message("b"), message("q", expectsReply=True), message("c", to="scout")]
    broker.does("frames", PLANNER, mixed)
    broker.does("frames", WORKER, [receipt("a"), message("r", to="planner", replyTo="q"), receipt("q"), receipt("b")])
    assert general == []
    assert [one.state for one in broker.core.state.records.values()] == [states.DONE] * 3 + [states.SENT] * 2


def test_which_question_is_not_ordinary() -> None:
    """One to or from somebody who waits, to who has exited, or with a task; and an answer to nothing."""
    broker = Broker(at_once=True)
    core, number = broker.core, broker.numbers
    assert taken(broker, PLANNER, [message("m1", "[task] do it", expectsReply=True)]) == 0
    assert taken(broker, WORKER, [message("m1", to="planner", replyTo="q")]) == 0
    assert taken(broker, WORKER, [message("w", to="scout", expectsReply=True)]) == 1
    assert taken(broker, PLANNER, [message("m1", expectsReply=True)]) == 0
    assert taken(broker, PLANNER, [message("m1", to="worker", replyTo="w")]) == 0
    assert taken(broker, HANDLE, [BLOCKING]) == 0
    assert taken(broker, HANDLE, [BLOCKING.replace(b"worker", b"scout")]) == 1
    assert taken(broker, HANDLE, [BLOCKING.replace(b"worker", b"scout").replace(b'"q"', b'"q2"')]) == 0
    core.receive(number[SCOUT], compact({"type": "presence", "status": "exited:1"}), NOW)
    assert taken(broker, PLANNER, [message("m1", to="scout", expectsReply=True)]) == 0


@pytest.mark.parametrize(
    "odd",
    [
        message("m1"),
        message("m2", "[task] go"),
        message("m2", to="scout"),
        message("m2", expectsReply=True),
        message("m2", "x" * shapes.MAX_BYTES),
        message("m2").replace(b'"content"', b'"content" '),
        message("m2").replace(b"hello", b"\xff"),
        message("m2").replace(b"hello", b"\\u0041"),
        compact({"type": "presence", "status": "idle"}),
    ],
)
def test_what_is_not_ordinary_ends_the_run(odd: bytes) -> None:
    """It is left to the general rules, and what stands before it is not."""
    assert taken(Broker(at_once=True), PLANNER, [message("m1"), odd, message("m3")]) == 1


def test_who_is_never_ordinary() -> None:
    """Sessions of others, who have a rate, and receivers that are away, behind, or wait for room."""
    broker = Broker(at_once=True)
    assert taken(broker, PI, [message("m1")]) == 0
    assert taken(broker, PLANNER, [message("m1", to="shell-1")]) == 0
    assert taken(broker, PLANNER, [message("m1", to="planner")]) == 0
    assert taken(broker, PLANNER, [message("m1", to="nobody")]) == 0
    broker.core.state.connections[broker.numbers[WORKER]].has_backlog = True
    assert taken(broker, PLANNER, [message("m1")]) == 0
    broker.core.receive(broker.numbers[PLANNER], message("m1"), NOW)
    assert taken(broker, WORKER, [receipt("m1")]) == 0


def test_who_used_the_id_before() -> None:
    """Neither the sender nor another may have used it towards this receiver; what is watched is not ordinary."""
    broker = Broker(at_once=True)
    assert taken(broker, SCOUT, [message("m1")]) == 1
    assert taken(broker, PLANNER, [message("m1")]) == 0
    broker.core.receive(
        broker.numbers[PLANNER], message("m2").replace(b'{"type":"send"', b'{"watch":true,"type":"send"'), NOW
    )
    assert taken(broker, WORKER, [receipt("m2")]) == 0
    assert taken(broker, WORKER, [receipt("m1")]) == 1
