"""The broker's one thread: a selector loop between sockets, core and journal.

Each turn reads what is ready, lets the core decide, commits the journal once, and only then writes. A plain selector
loop instead of asyncio: docs/ARCHITECTURE.md, "Processes", says why.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

from intercom_mux import __version__
from intercom_mux.broker.core.model import Close, Lookup
from intercom_mux.errors import BrokerError, ProtocolError
from intercom_mux.wire.frames import Splitter, encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intercom_mux.broker.core.core import Core
    from intercom_mux.broker.core.model import SaveState
    from intercom_mux.broker.extension_store import ExtensionStore
    from intercom_mux.broker.journal import Journal
    from intercom_mux.broker.places import Places

log = logging.getLogger("intercom_mux.broker")

READ_BYTES = 65_536
OUTPUT_PAUSE_BYTES = 1_048_576
"""A client that has this much unread gets nothing more read from it."""

OUTPUT_MAX_BYTES = 16 * 1_048_576
"""A client that has this much unread is cut; what it has not confirmed is redelivered."""

QUIET_S = 0.1
"""When nothing has happened for this long, SQLite catches up with what was accepted."""

ROUNDS = 4
"""How often one turn reads before it commits, as long as there is something to read."""

PRUNE_EVERY_S = 600.0
PRUNE_PAUSE_S = 0.1
"""How long after one batch of history the next one is removed."""

LINGER_S = 1.0
"""How long a refused client may take to read the reason: closing with unread input would reset the connection."""


class Link:
    """One client socket."""

    __slots__ = ("id", "is_closing", "linger_until", "mask", "output", "output_bytes", "sock", "splitter")

    def __init__(self, link_id: int, sock: socket.socket) -> None:
        self.id = link_id
        self.sock = sock
        self.splitter = Splitter()
        self.output: list[bytes] = []
        self.output_bytes = 0
        self.is_closing = False
        self.linger_until = 0.0
        self.mask = selectors.EVENT_READ


def peer_uid(sock: socket.socket) -> int | None:
    """Return the uid of the process behind a Unix socket: SO_PEERCRED on Linux, LOCAL_PEERCRED on macOS."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[1])
    if sys.platform == "darwin":
        return int(struct.unpack_from("II", sock.getsockopt(0, 1, 76))[1])
    return None


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
        self._listeners = listeners
        self._places = places
        self._review_at = time.monotonic() + places.pause_s
        self._prune_at, self._pruned_to = time.monotonic() + PRUNE_EVERY_S, 0
        self._idle_exit_s = idle_exit_s
        self._selector = selectors.DefaultSelector()
        self._links: dict[int, Link] = {}
        self._lingering: set[Link] = set()
        self._dirty: dict[int, Link] = {}
        self._next_id = 1
        self._used_at = time.monotonic()
        self._started_at = time.time()
        self._is_stopping = False
        self._wake, wake_end = socket.socketpair()
        for end in (self._wake, wake_end):
            end.setblocking(False)
        self._wake_end = wake_end
        signal.set_wakeup_fd(wake_end.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)

    def run(self) -> None:
        """Serve; on return every client is closed and the journal holds everything accepted."""
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
        _, self._pruned_to = self._journal.prune(now_ms(), after=self._pruned_to)
        self._prune_at = time.monotonic() + (PRUNE_PAUSE_S if self._pruned_to else PRUNE_EVERY_S)

    def _review_places(self) -> None:
        lost, opened = self._places.review()
        for listener in lost:
            self._selector.unregister(listener)
            listener.close()
        for listener in opened:
            self._listen_on(listener)
        self._review_at = time.monotonic() + self._places.pause_s

    def _turn(self) -> None:
        events = self._selector.select(self._timeout())
        if not events and self._journal.is_behind:
            self._journal.catch_up()
        for _ in range(ROUNDS):
            for key, mask in events:
                handle: Callable[[int], None] = key.data
                handle(mask)
            # What has arrived meanwhile shares the commit.
            events = self._selector.select(0) if self._core.has_records else []
            if not events:
                break
        now = now_ms()
        due = self._core.next_timer()
        if due is not None and due <= now:
            self._core.tick(now)
        self._carry_out()
        self._end_lingering()
        if time.monotonic() >= self._review_at:
            self._review_places()
        if time.monotonic() >= self._prune_at:
            self._prune()
        self._check_idle()

    def _timeout(self) -> float:
        due = self._core.next_timer()
        timeout = 60.0 if due is None else min(60.0, max(0.0, (due - now_ms()) / 1000))
        if self._lingering:
            timeout = min(timeout, 0.1)
        if self._journal.is_behind:
            timeout = min(timeout, QUIET_S)
        if self._idle_exit_s:
            timeout = min(timeout, self._idle_exit_s)
        return min(timeout, max(0.0, min(self._review_at, self._prune_at) - time.monotonic()))

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError as error:
            log.warning("accept failed: %s", error)
            return
        sock.setblocking(False)
        is_tcp = sock.family == socket.AF_INET
        if is_tcp:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        uid = None if is_tcp else peer_uid(sock)
        if uid is not None and uid != os.getuid():
            log.warning("refused a connection of uid %s", uid)
            sock.close()
            return
        link = Link(self._next_id, sock)
        self._next_id += 1
        self._links[link.id] = link
        self._selector.register(sock, selectors.EVENT_READ, lambda mask, link=link: self._ready(link, mask))
        self._core.connect(link.id, uid, now_ms(), self._tcp_secret if is_tcp else None)

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
        if link.is_closing:
            return
        now = now_ms()
        try:
            for payload in link.splitter.feed(data):
                self._core.receive(link.id, payload, now)
        except ProtocolError as error:
            log.info("connection %s broke the framing: %s", link.id, error)
            self._core.disconnect(link.id, now)
            self._begin_close(link)

    def _carry_out(self) -> None:
        """Do what the core decided: commit, then write, then answer from the journal."""
        core = self._core
        while (effects := core.take_effects()) or self._dirty:
            self._journal.write_late(effects.late)
            if effects.records:
                self._journal.write(effects.records)
            for order in effects.saves:
                core.saved(order, is_kept=self._keeps(order))
            for item in effects.output:
                link = self._links.get(item[0])
                if link is None or link.is_closing:
                    continue
                if isinstance(item, Close):
                    self._begin_close(link)
                else:
                    link.output.append(item[1])
                    link.output_bytes += len(item[1])
                    self._dirty[link.id] = link
            for warning in effects.warnings:
                log.warning("%s", warning)
            for lookup in effects.lookups:
                self._answer(lookup)
            dirty, self._dirty = self._dirty, {}
            for link in dirty.values():
                self._flush(link)

    def _keeps(self, order: SaveState) -> bool:
        try:
            self._store.save(order)
        except OSError as error:
            log.error("the state of extension %s cannot be kept: %s", order.namespace, error)
            return False
        return True

    def _answer(self, lookup: Lookup) -> None:
        link = self._links.get(lookup.connection)
        if link is None or link.is_closing:
            return
        value = self._look_up(lookup)
        answer: dict[str, object] = {"type": "mux_result", "requestId": lookup.request_id, "ok": value is not None}
        if value is not None:
            answer["value"] = value
        else:
            what = "message" if lookup.kind == "message" else "ask"
            problem = f'No {what} "{lookup.argument[:64]}" of this session'
            answer["error"] = {"code": "E_NOT_FOUND", "message": problem}
        data = encode(answer)
        link.output.append(data)
        link.output_bytes += len(data)
        self._dirty[link.id] = link

    def _look_up(self, lookup: Lookup) -> dict[str, object] | None:
        if lookup.kind == "status":
            return self._status(lookup)
        if lookup.kind == "prune":
            removed, after = self._journal.prune(now_ms(), **json.loads(lookup.argument))
            return {"removed": removed, "after": after}
        return self._journal.look_up(lookup)

    def _status(self, lookup: Lookup) -> dict[str, object]:
        return {
            **json.loads(lookup.argument),
            "pid": os.getpid(),
            "version": __version__,
            "uptime_s": round(time.time() - self._started_at, 1),
            "journal_bytes": self._journal.size_bytes(),
            "journal": str(self._journal.path),
            "durability": self._journal.durability,
        }

    def _flush(self, link: Link) -> None:
        """Write what the socket takes; ask for more room when some is left.

        A client that hung up may have left something to read, its last receipts: only the read side ends a link.
        """
        if link.output:
            data = link.output[0] if len(link.output) == 1 else b"".join(link.output)
            try:
                sent = link.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                sent = len(data)
            link.output = [data[sent:]] if sent < len(data) else []
            link.output_bytes = len(data) - sent
        if link.output_bytes > OUTPUT_MAX_BYTES:
            log.warning("connection %s reads too slowly; cut with %s bytes unread", link.id, link.output_bytes)
            self._drop(link)
            return
        if not link.output:
            if link.is_closing:
                self._half_close(link)
            else:
                self._core.drained(link.id, now_ms())
        self._watch(link)

    def _watch(self, link: Link) -> None:
        if link.id not in self._links:
            return
        mask = selectors.EVENT_READ if link.output_bytes < OUTPUT_PAUSE_BYTES else 0
        mask |= selectors.EVENT_WRITE if link.output else 0
        if link.mask != mask:
            link.mask = mask
            self._selector.modify(link.sock, mask, self._selector.get_key(link.sock).data)

    def _begin_close(self, link: Link) -> None:
        """End a connection politely: its output first, then FIN, then a moment for it to hang up."""
        if not link.is_closing:
            link.is_closing = True
            link.linger_until = time.monotonic() + LINGER_S
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
        self._selector.unregister(link.sock)
        link.sock.close()
        self._core.disconnect(link.id, now_ms())

    def _check_idle(self) -> None:
        if not self._idle_exit_s:
            return
        if not self._core.is_unused:
            self._used_at = time.monotonic()
        elif time.monotonic() - self._used_at >= self._idle_exit_s:
            log.info("nobody is registered; stopping")
            self._is_stopping = True


def listen(path: Path) -> socket.socket:
    """Bind a 0600 listening Unix socket at `path`, replacing a stale one; the caller holds the broker's lock.

    Raises:
        BrokerError: The path cannot be bound.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old_mask = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise BrokerError(f"cannot listen on {path}: {error.strerror or error}", path=str(path)) from error
    finally:
        os.umask(old_mask)
    sock.listen(512)
    return sock
