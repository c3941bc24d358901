"""The broker's one thread: a selector loop between sockets, core and journal.

Each turn reads what is ready, lets the core decide, commits the journal once, and only then writes. A plain selector
loop instead of asyncio: docs/ARCHITECTURE.md, "Processes", says why.
"""

from __future__ import annotations

import gc
import logging
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING

from intercom_mux.broker import refused_commit
from intercom_mux.broker.ask_files import AskFiles
from intercom_mux.broker.brisk import BriskWait
from intercom_mux.broker.core.model import Close
from intercom_mux.broker.journal import BATCH_RECORDS
from intercom_mux.broker.link import Link
from intercom_mux.broker.lookups import Lookups
from intercom_mux.broker.throttle import Throttle
from intercom_mux.errors import BrokerError, ProtocolError
from intercom_mux.host import signals
from intercom_mux.host.files import is_own
from intercom_mux.host.unix import peer_uid

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.broker.core.core import Core
    from intercom_mux.broker.core.model import Effects, Lookup, SaveState
    from intercom_mux.broker.extension_store import ExtensionStore
    from intercom_mux.broker.journal import Journal
    from intercom_mux.broker.places import Places

log = logging.getLogger("intercom_mux.broker")

READ_BYTES = 65_536
QUIET_S = 0.1
"""When nothing has happened for this long, SQLite catches up with what was accepted."""

ROUNDS = 4
"""How often one turn reads before it commits, as long as somebody sends faster than it reads."""

GC_THRESHOLD = 20_000
"""How many more objects may live before Python looks for cycles, of which the broker makes few."""

PRUNE_EVERY_S = 600.0
PRUNE_PAUSE_S = 0.1
"""How long after one batch of history the next one is removed."""


def now_ms() -> int:
    """Return the time as the core counts it."""
    return time.time_ns() // 1_000_000


class Server:
    """Serves until a signal, or until nobody has been registered for `idle_exit_s` (0 = for ever)."""

    def __init__(
        self,
        core: Core,
        journal: Journal,
        store: ExtensionStore,
        listeners: list[socket.socket],
        idle_exit_s: float,
        places: Places,
        tcp_secret: str | None = None,
    ) -> None:
        self._core = core
        self._tcp_secret = tcp_secret
        self._store = store
        self._journal = journal
        self._lookups = Lookups(journal)
        self._listeners = listeners
        self._places = places
        self._ask_files = AskFiles(core.state)
        self._ask_files.serve(places.directories)
        self._review_at = time.monotonic() + places.pause_s
        self._prune_at, self._pruned_to = time.monotonic() + PRUNE_EVERY_S, 0
        self._idle_exit_s = idle_exit_s
        self._selector = selectors.DefaultSelector()
        self._wait = BriskWait(self._selector)
        self._links: dict[int, Link] = {}
        self._throttle = Throttle(core.limits.read_burst, core.limits.read_per_second)
        self._lingering: set[Link] = set()
        self._dirty: dict[int, Link] = {}
        self._next_id = 1
        self._now = now_ms()
        self._used_at = time.monotonic()
        self._has_more = False
        self._is_stopping = self._is_refused = False
        self._wake, wake_end = socket.socketpair()
        for end in (self._wake, wake_end):
            end.setblocking(False)
        self._wake_end = wake_end
        signal.set_wakeup_fd(wake_end.fileno(), warn_on_full_buffer=False)
        for number in signals.STOP:
            signal.signal(number, self._stop)

    def run(self) -> None:
        """Serve; on return every client is closed and the journal holds everything accepted."""
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        self._selector.register(self._wake, selectors.EVENT_READ, self._drain_wake)
        for listener in self._listeners:
            self._listen_on(listener)
        try:
            self._carry_out()
            while not self._is_stopping:
                self._turn()
        except Exception:
            log.exception("the broker failed")
            raise
        finally:
            for link in list(self._links.values()):
                self._drop(link)
            last = self._core.take_effects()
            if not self._is_refused:
                self._journal.write([*last.late, *last.records])
            signal.set_wakeup_fd(-1)
            self._selector.close()
            self._wake.close()
            self._wake_end.close()

    def _stop(self, _number: int, _frame: object) -> None:
        self._is_stopping = True

    def _drain_wake(self, _mask: int) -> None:
        self._wake.recv(64)

    def _listen_on(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, lambda _mask: self._accept(listener))

    def _prune(self) -> None:
        """Remove one batch of history; soon the next one, as long as there is more to look at."""
        try:
            _, self._pruned_to = self._journal.prune(now_ms(), after=self._pruned_to)
        except BrokerError as error:
            log.error("history was not pruned: %s", error)
            self._pruned_to = 0
        self._prune_at = time.monotonic() + (PRUNE_PAUSE_S if self._pruned_to else PRUNE_EVERY_S)

    def _review_places(self) -> None:
        lost, opened = self._places.review()
        for listener in lost:
            self._selector.unregister(listener)
            listener.close()
        for listener in opened:
            self._listen_on(listener)
        self._ask_files.serve(self._places.directories)
        self._review_at = time.monotonic() + self._places.pause_s

    def _turn(self) -> None:
        events = self._wait.select(self._timeout())
        if not events:
            events = self._catch_up_until_needed()
        for _ in range(ROUNDS):
            self._has_more = False
            self._now = now_ms()
            for key, mask in events:
                handle: Callable[[int], None] = key.data
                handle(mask)
            # In a burst, what has arrived meanwhile shares the commit.
            events = self._selector.select(0) if self._has_more else []
            if not events:
                break
        due = self._core.next_timer()
        if due is not None and due <= self._now:
            self._core.tick(self._now)
        self._carry_out()
        for link in self._throttle.rested():
            self._watch(link)
        self._end_lingering()
        at = time.monotonic()
        if at >= self._review_at:
            self._review_places()
        if at >= self._prune_at:
            self._prune()
        self._check_idle()

    def _catch_up_until_needed(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Let SQLite catch up, a batch at a time, until somebody wants something: return who."""
        while self._journal.is_behind and self._journal.try_to_catch_up(BATCH_RECORDS):
            if events := self._selector.select(0):
                return events
        return []

    def _timeout(self) -> float:
        due = self._core.next_timer()
        timeout = 60.0 if due is None else min(60.0, max(0.0, (due - now_ms()) / 1000))
        if self._lingering:
            timeout = min(timeout, 0.1)
        if self._journal.is_behind:
            timeout = min(timeout, QUIET_S)
        if self._idle_exit_s:
            timeout = min(timeout, self._idle_exit_s)
        timeout = self._throttle.timeout(timeout)
        return min(timeout, max(0.0, min(self._review_at, self._prune_at) - time.monotonic()))

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError as error:
            log.warning("accept failed: %s", error)
            return
        is_tcp = sock.family == socket.AF_INET
        if is_tcp:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        uid = None if is_tcp else peer_uid(sock)
        if uid is not None and not is_own(uid):
            log.warning("refused a connection of uid %s", uid)
            sock.close()
            return
        link = Link(self._next_id, sock)
        self._next_id += 1
        self._links[link.id] = link
        self._watch_for(link, link.mask)
        self._core.connect(link.id, uid, self._now, self._tcp_secret if is_tcp else None)

    def _ready(self, link: Link, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush(link)
        if mask & selectors.EVENT_READ and link.id in self._links:
            self._read(link)

    def _read(self, link: Link) -> None:
        try:
            data = link.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(link)
            return
        self._has_more |= len(data) == READ_BYTES
        if link.is_closing:
            return
        try:
            payloads = link.splitter.feed(data)
            self._core.receive_all(link.id, payloads, self._now)
            if self._throttle.spend(link, len(payloads)):
                self._watch(link)
        except ProtocolError as error:
            log.info("connection %s broke the framing: %s", link.id, error)
            self._core.disconnect(link.id, self._now)
            self._begin_close(link)

    def _carry_out(self) -> None:
        """Do what the core decided: commit, then write, then answer from the journal."""
        core = self._core
        while (effects := core.take_effects()) or self._dirty:
            if effects.records:
                self._commit(effects)
            self._journal.write_late(effects.late)
            self._ask_files.follow(effects.records, effects.late)
            for order in effects.saves:
                core.saved(order, is_kept=self._keeps(order))
            for item in effects.output:
                link = self._links.get(item[0])
                if link is None or link.is_closing:
                    continue
                if isinstance(item, Close):
                    self._begin_close(link)
                else:
                    link.put(item[1])
                    self._dirty[link.id] = link
            for number, is_paused in effects.pauses.items():
                self._pause(number, is_paused=is_paused)
            for warning in effects.warnings:
                log.warning("%s", warning)
            for lookup in effects.lookups:
                self._answer(lookup)
            dirty, self._dirty = self._dirty, {}
            for link in dirty.values():
                self._flush(link)

    def _commit(self, effects: Effects) -> None:
        """Write to the journal; if it refuses, tell the senders and end: the core is ahead of what is stored."""
        try:
            self._journal.write(effects.records)
        except BrokerError as error:
            self._is_refused = True
            for number, frame in refused_commit.answers(effects, error):
                if (link := self._links.get(number)) is not None:
                    link.put(frame)
                    link.flush()
            raise

    def _pause(self, number: int, *, is_paused: bool) -> None:
        link = self._links.get(number)
        if link is not None:
            link.is_paused = is_paused
            self._watch(link)

    def _keeps(self, order: SaveState) -> bool:
        try:
            self._store.save(order)
        except OSError as error:
            log.error("the state of extension %s cannot be kept: %s", order.namespace, error)
            return False
        return True

    def _answer(self, lookup: Lookup) -> None:
        link = self._links.get(lookup.connection)
        if link is not None and not link.is_closing:
            link.put(self._lookups.answer(lookup, now_ms()))
            self._dirty[link.id] = link

    def _flush(self, link: Link) -> None:
        """Write what the socket takes; ask for more room when some is left."""
        link.flush()
        if not link.output:
            if link.is_closing:
                self._half_close(link)
            else:
                self._core.drained(link.id, self._now)
        elif link.is_too_slow:
            log.warning("connection %s reads too slowly; cut with %s bytes unread", link.id, link.output_bytes)
            self._drop(link)
            return
        if link.output or link.mask != selectors.EVENT_READ:
            self._watch(link)

    def _watch(self, link: Link) -> None:
        mask = link.wanted_mask
        if link.mask == mask or link.id not in self._links:
            return
        # Unwatched rather than watched for nothing: not every selector can, and epoll would tell of a hang-up for ever.
        if not mask:
            self._selector.unregister(link.sock)
        elif link.mask:
            self._selector.modify(link.sock, mask, self._selector.get_key(link.sock).data)
        else:
            self._watch_for(link, mask)
        link.mask = mask

    def _watch_for(self, link: Link, mask: int) -> None:
        self._selector.register(link.sock, mask, lambda mask: self._ready(link, mask))

    def _begin_close(self, link: Link) -> None:
        if not link.is_closing:
            link.begin_close()
            self._lingering.add(link)
            self._dirty[link.id] = link

    def _half_close(self, link: Link) -> None:
        try:
            link.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(link)

    def _end_lingering(self) -> None:
        if self._lingering:
            now = time.monotonic()
            for link in [link for link in self._lingering if link.linger_until <= now]:
                self._drop(link)
            self._carry_out()

    def _drop(self, link: Link) -> None:
        if self._links.pop(link.id, None) is None:
            return
        self._lingering.discard(link)
        self._dirty.pop(link.id, None)
        self._throttle.forget(link)
        if link.mask:
            self._selector.unregister(link.sock)
        link.sock.close()
        self._core.disconnect(link.id, self._now)

    def _check_idle(self) -> None:
        if not self._idle_exit_s:
            return
        if not self._core.is_unused:
            self._used_at = time.monotonic()
        elif time.monotonic() - self._used_at >= self._idle_exit_s:
            log.info("nobody is registered; stopping")
            self._is_stopping = True
