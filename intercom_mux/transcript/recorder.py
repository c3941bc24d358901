"""The recorder: one process per team, which writes down what the programs in all its panes print.

`python -I -m intercom_mux.transcript.recorder DIRECTORY KEEP_DAYS LOCK`, started by the team's daemon (`recording`),
from which it inherits the lock that makes it the only one, and not ended with it.
In DIRECTORY, which is private:

    NAME.pipe    a named pipe, into which a peer's pane is copied
    NAME.json    whose it is: `directory` of the transcript, `limit` in bytes, `secrets`, and `at`, when the program was
                 started; written anew before each start
    bell         a pipe; `!` in it ends the recorder when all pipes are empty, any other byte has it look for new peers
    recorder.pid its pid, locked as long as it lives

Every pipe is held open at both ends, here and by who writes, so that neither's death breaks it or loses what is in it.
TERM ends the recorder as `!` does.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from intercom_mux.transcript import keeping
from intercom_mux.transcript.masking import Masker
from intercom_mux.transcript.store import Writer

READ_BYTES = 65_536
GATHER_S = 0.02
"""What comes within this time is written at once, unless it is so much that a pipe could become full."""
MUCH_BYTES = 16_384
END = b"!"
IDLE_S = 30.0
"""How often to look whether the directory is still there."""
DRAIN_S = 1.0
QUIET_S = 0.005


class Peer:
    """One peer's pipe and transcript."""

    def __init__(self, pipe: Path) -> None:
        self.descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._spec_file = pipe.with_suffix(".json")
        self._seen: tuple[int, int] | None = None
        self._writer: Writer | None = None
        self._masker = Masker([])
        self._lost = 0

    def take(self) -> int:
        """Record what is in the pipe, up to `READ_BYTES`; return how much there was."""
        try:
            data = os.read(self.descriptor, READ_BYTES)
        except BlockingIOError:
            data = b""
        # After reading: what a program prints comes after its file was written.
        self._look_at_spec()
        self._write(self._masker.feed(data))
        return len(data)

    def close(self) -> None:
        """Write what is held back, and let go."""
        self._write(self._masker.end())
        if self._writer is not None:
            self._writer.close()
        os.close(self.descriptor)

    def _look_at_spec(self) -> None:
        try:
            info = self._spec_file.stat()
            seen = (info.st_ino, info.st_mtime_ns)
            if seen == self._seen:
                return
            spec = json.loads(self._spec_file.read_bytes())
        except (OSError, ValueError):
            return
        self._write(self._masker.end())
        if self._writer is not None:
            self._writer.close()
        directory = Path(spec["directory"])
        with suppress(OSError):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        writer = Writer(directory, spec["limit"])
        self._masker = Masker([(name, value) for name, value in spec["secrets"]])
        is_told = writer.last_mark("started") >= spec["at"]
        self._writer, self._seen = writer, seen
        self._mark("resumed" if is_told else "started")

    def _mark(self, word: str) -> None:
        if self._writer is not None:
            try:
                self._writer.mark(word, _now())
            except OSError:
                self._writer.close()

    def _write(self, data: bytes) -> None:
        """Append `data`; what the disk does not take is counted, and told by a mark once it takes something again."""
        if not data or self._writer is None:
            return
        try:
            if self._lost:
                self._writer.mark(f"lost {self._lost}", _now())
                self._lost = 0
            self._writer.add(data, _now())
        except OSError as error:
            if not self._lost:
                _say(f"{self._spec_file.stem}: cannot write: {os.strerror(error.errno or errno.EIO)}")
            self._lost += len(data)
            self._writer.close()


class Recorder:
    """All peers of one team."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._bell = os.open(directory / "bell", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._peers: dict[str, Peer] = {}
        self._is_ending = False

    def end(self) -> None:
        """Have `run` return soon; may be called by a signal."""
        self._is_ending = True
        with suppress(BlockingIOError):
            os.write(self._bell, END)

    def run(self) -> None:
        """Record until told to end, or until the directory is gone."""
        self._hear()
        while not self._is_ending and self._directory.is_dir():
            ready = self._selector.select(IDLE_S)
            if any(key.data is None for key, _ in ready):
                self._hear()
            most = max((key.data.take() for key, _ in ready if key.data is not None), default=0)
            if most < MUCH_BYTES and not self._is_ending:
                time.sleep(GATHER_S)
        self._drain()
        for peer in self._peers.values():
            peer.close()

    def _hear(self) -> None:
        """Take what the bell says; a peer that was started anew is marked so, though it may print nothing."""
        with suppress(BlockingIOError):
            self._is_ending |= END in os.read(self._bell, READ_BYTES)
        self._take_in()
        for peer in self._peers.values():
            peer.take()

    def _take_in(self) -> None:
        """Open the pipes that are new."""
        with suppress(OSError):
            for name in os.listdir(self._directory):
                if name.endswith(".pipe") and name not in self._peers:
                    peer = self._peers[name] = Peer(self._directory / name)
                    self._selector.register(peer.descriptor, selectors.EVENT_READ, peer)

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_S
        self._take_in()
        while time.monotonic() < deadline:
            if sum(peer.take() for peer in self._peers.values()) == 0:
                time.sleep(QUIET_S)
                if sum(peer.take() for peer in self._peers.values()) == 0:
                    return


def main() -> None:
    """Record until told to end; the lock was inherited."""
    directory, keep_days, lock = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    os.umask(0o077)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    try:
        recorder = Recorder(directory)
    except FileNotFoundError:
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: recorder.end())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with suppress(OSError):
        keeping.sweep(keep_days)
    recorder.run()


def _now() -> int:
    return time.time_ns() // 1_000_000


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} recorder: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
