"""Cost of an update of the board with 40 peers: `python -m tests.bench.board`. In ms, median and 95th percentile.

"model" makes head, rows and timeline of a look; "one" shows a look in which one status changed, "all" one in which
every status did, until the screen is drawn; "none" one in which nothing did.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from intercom_mux.watch import model
from intercom_mux.watch.app import Board
from tests.watch.views import HandFeed, message, session, snapshot, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.watch.model import Snapshot

ROUNDS = 100
PEERS = 40


def main() -> None:
    """Measure, and print a line per kind of look."""
    told = [message(str(n), f"worker-{n % PEERS + 1}", "worker-1", f"message {n} " * 5) for n in range(200)]
    base = snapshot(PEERS, messages=told, tasks=[task(f"t{n}", f"worker-{n + 1}", n) for n in range(PEERS)])
    _report("model", [_timed(lambda: _model(base)) for _ in range(ROUNDS)])
    asyncio.run(_board(base))


def _model(seen: Snapshot) -> None:
    model.head(seen)
    model.rows(seen)
    model.timeline(seen)
    model.tasks(seen)


async def _board(base: Snapshot) -> None:
    board = Board(HandFeed(), "bench")
    async with board.run_test(size=(120, 50)) as pilot:
        for name, count in (("none", 0), ("one", 1), ("all", PEERS)):
            spent = []
            for turn in range(ROUNDS):
                status = "thinking" if turn % 2 else "idle"
                rows = [session(peer, status if n < count else "idle") for n, peer in enumerate(base.peers)]
                began = time.perf_counter()
                board.post_message(Board.Seen(replace(base, sessions=rows)))
                await pilot._wait_for_screen()
                spent.append(time.perf_counter() - began)
            _report(name, spent)
    board.wait(5)


def _timed(what: Callable[[], None]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def _report(name: str, seconds: list[float]) -> None:
    worst = statistics.quantiles(seconds, n=20)[-1]
    print(f"{name:6} {statistics.median(seconds) * 1000:7.2f} ms  {worst * 1000:7.2f} ms")


if __name__ == "__main__":
    main()
