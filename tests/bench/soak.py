"""Memory of a broker under steady traffic among 100 sessions, and idle: `python -m tests.bench.soak [--seconds N]`.

Every message is confirmed. Flat means: from the second quarter on, the resident size does not grow with the messages.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from tests.bench.load import Session, broker

if TYPE_CHECKING:
    from collections.abc import Callable

SESSIONS = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    for kind, is_foreign in (("of ours", False), ("of v1", True)):
        with broker() as ours:
            empty = ours.rss_mb()
            crowd = [Session(ours.path, f"s{number:03d}", is_foreign=is_foreign) for number in range(SESSIONS)]
            print(f"idle: {empty:.1f} MB alone, {ours.rss_mb():.1f} MB with {SESSIONS} sessions {kind}")
            if not is_foreign:
                _soak(crowd, seconds, ours.rss_mb)
            for session in crowd:
                session.sock.close()


def _soak(crowd: list[Session], seconds: float, rss_mb: Callable[[], float]) -> None:
    begun = time.monotonic()
    samples: list[tuple[int, float]] = []
    count = 0
    while (spent := time.monotonic() - begun) < seconds:
        step = 1 + count // len(crowd) % (len(crowd) - 1)
        for number, session in enumerate(crowd):
            session.put(session.letter(crowd[(number + step) % len(crowd)].id, f"m{count}-{number}"))
        for session in crowd:
            session.take()
        count += len(crowd)
        if spent >= len(samples) * seconds / 20:
            samples.append((count, rss_mb()))
    print("messages: MB  " + ", ".join(f"{sent}: {size:.1f}" for sent, size in samples))
    quarter, end = samples[len(samples) // 4], samples[-1]
    grown = (end[1] - quarter[1]) * 1e6 / max(1, end[0] - quarter[0])
    print(f"soak: {count} messages in {seconds:.0f} s, {count / seconds:.0f}/s")
    print(f"  from {quarter[1]:.1f} to {end[1]:.1f} MB, {grown:.1f} bytes per message (budget: flat)")


if __name__ == "__main__":
    main()
