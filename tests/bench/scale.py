"""Cost per message as sessions and waiting messages grow: `python -m tests.bench.scale`.

One pair talks, the rest is connected or waits. The cost is the broker's processor time; ratios to the smallest case are
what means anything.
"""

from __future__ import annotations

import time

from tests.bench.load import Broker, Session, broker

MESSAGES = 4_000
WAITING = 100_000
MAILBOXES = 100
BATCH = 100


def cost_us(ours: Broker, prefix: str) -> tuple[float, float]:
    """Return microseconds per message of one pair: the broker's processor time, and wall time."""
    sender, receiver = Session(ours.path, f"{prefix}-sender"), Session(ours.path, f"{prefix}-receiver")
    _talk(sender, receiver, f"{prefix}-warm", 500)
    cpu, wall = ours.cpu_s(), time.perf_counter()
    _talk(sender, receiver, prefix, MESSAGES)
    spent = (ours.cpu_s() - cpu) * 1e6 / MESSAGES, (time.perf_counter() - wall) * 1e6 / MESSAGES
    sender.sock.close()
    receiver.sock.close()
    return spent


def _talk(sender: Session, receiver: Session, prefix: str, count: int) -> None:
    for number in range(count):
        sender.put(sender.letter(receiver.id, f"{prefix}-{number}"))
        receiver.take()
        sender.until("delivered")


def _report(cost: tuple[float, float], what: str, base: float) -> float:
    """Print a cost and return what further ones are compared with: `base`, or this one if that is 0."""
    cpu, wall = cost
    base = base or cpu
    print(f"{what}: {cpu:.0f} µs processor, {wall:.0f} µs wall; ratio {cpu / base:.2f}", flush=True)
    return base


def _fill(ours: Broker) -> None:
    """Have `WAITING` messages wait, spread over `MAILBOXES` sessions that have left."""
    for number in range(MAILBOXES):
        Session(ours.path, f"away-{number}").sock.close()
    sender = Session(ours.path, "writer")
    for start in range(0, WAITING, BATCH):
        numbers = range(start, start + BATCH)
        sender.put(*(sender.letter(f"away-{number % MAILBOXES}", f"w{number}") for number in numbers))
        for _ in numbers:
            assert sender.until("delivered", "delivery_failed")["type"] == "delivered"
    sender.sock.close()


def main() -> None:
    """Measure and print."""
    base = 0.0
    with broker() as ours:
        crowd: list[Session] = []
        for size in (10, 100, 1_000):
            crowd += [Session(ours.path, f"s{number}") for number in range(len(crowd), size - 2)]
            base = _report(cost_us(ours, f"p{size}"), f"{size} sessions", base)
    with broker() as ours:
        crowd = [Session(ours.path, f"s{number}") for number in range(8)]
        _fill(ours)
        _report(cost_us(ours, "w"), f"10 sessions, {WAITING} messages waiting", base)
        print(f"  {ours.rss_mb():.0f} MB resident then")


if __name__ == "__main__":
    main()
