"""How fast a v1 client may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.broker.core.bench import Bench


def test_v1_clients_are_cut_at_their_rate_and_ours_are_not(bench: Bench) -> None:
    """240 at once, 120 a second; the reason comes before the end, and the mail waits."""
    pi, ours, planner = bench.pi("scout"), bench.peer("worker-1"), bench.pi("planner")
    for _ in range(239):
        pi.post(type="health", requestId="h")
        ours.post(type="health", requestId="h")
    assert not pi.is_closed
    pi.take()
    pi.post(type="health", requestId="h").post(type="health", requestId="h")
    assert pi.frames == [{"type": "error", "error": "Intercom broker rate limit exceeded"}]
    assert pi.is_closed
    for _ in range(1000):
        ours.post(type="health", requestId="h")
    assert not ours.is_closed
    bench.wait(1000)
    assert planner.send("scout")["delivery"] == "queued"


def test_the_rate_recovers(bench: Bench) -> None:
    """120 frames a second go on for ever."""
    pi = bench.pi("scout")
    for _ in range(100):
        for _ in range(12):
            pi.post(type="health", requestId="h")
        bench.wait(100)
    assert not pi.is_closed


def test_the_receipts_that_a_v1_client_owes_are_beyond_its_rate(bench: Bench) -> None:
    """However many messages waited for it, each may be confirmed as pi does, and it is neither cut nor parked."""
    planner = bench.peer("planner")
    bench.pi("scout").close()
    for _ in range(400):
        planner.send("scout")
    pi = bench.pi("scout")
    for message in pi.messages():
        for status in ("receiver_received", "acknowledged", "injected"):
            pi.confirm(message["id"], status)
    assert not pi.is_closed
    assert bench.mailbox("id-scout") == []
    for _ in range(240):
        pi.confirm("unasked")
    assert pi.is_closed
