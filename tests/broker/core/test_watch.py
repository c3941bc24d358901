"""What handles hear that asked for events, and who watches a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.broker.core.bench import Bench


def test_a_handle_that_asks_hears_of_others(bench: Bench) -> None:
    """Presence and leaving reach it, one that did not ask hears nothing, and it is forgotten when it hangs up."""
    worker, shell = bench.peer("worker-1"), bench.shell()
    ear = bench.register(None, "ear", {"version": 1, "as": "shell-1", "shell": True, "events": True})
    ear.frames.clear()
    shell.frames.clear()
    worker.post(type="presence", status="blocked:permission")
    told = ear.one("presence_update")["session"]
    assert told["status"] == "blocked:permission"
    assert told["mux"]["statusSince"] > 0
    worker.close()
    assert ear.one("session_left")["sessionId"] == "blue-worker-1"
    assert shell.frames == []
    ear.close()
    assert not bench.core.state.listeners


def test_who_registers_says_since_when_it_is_as_it_is(bench: Bench) -> None:
    """A new broker cannot know that; the future is not believed, and the same again is no change."""
    shell = bench.shell()

    def since(session_id: str, told: int) -> int:
        mux = {"version": 1, "token": "t", "statusSince": told}
        bench.register(session_id, session_id, mux, session={"status": "idle"})
        shell.post(type="list", requestId="r")
        rows = shell.one("sessions")["sessions"]
        return next(int(row["mux"]["statusSince"]) for row in rows if row["id"] == session_id)

    assert since("a", bench.now - 5_000) == bench.now - 5_000
    assert since("a", bench.now - 1_000) == bench.now - 5_000
    assert since("b", bench.now + 5_000) == bench.now


def test_who_watches_a_message_hears_its_receipts_and_its_end(bench: Bench) -> None:
    """The end comes once, also to one that asks when it is over."""
    worker, shell = bench.peer("worker-1"), bench.shell()
    message = {"id": "m1", "timestamp": 1, "content": {"text": "hi"}}
    shell.post(type="send", to="worker-1", message=message, watch=True)
    receipt = {"messageId": "m1", "status": "queued", "timestamp": 1, "detail": "a draft"}
    worker.post(type="message_receipt", receipt=receipt)
    assert shell.one("message_receipt")["receipt"]["detail"] == "a draft"
    worker.post(type="message_receipt", receipt={**receipt, "status": "injected", "detail": "submitted"})
    end = {"type": "mux_event", "event": "message_ended", "messageId": "m1", "state": "done", "note": "submitted"}
    assert shell.one("mux_event") == end
    shell.take()
    shell.frames.clear()
    shell.post(type="send", to="worker-1", message=message, watch=True)
    assert shell.frames[-1] == end


def test_waits_lists_the_asks_of_the_scope_and_the_mail(bench: Bench) -> None:
    """Everybody sees who waits for whom, and nobody the texts."""
    worker, scout, shell = bench.peer("worker-1"), bench.pi("scout"), bench.shell()
    scout.ask("blue/worker-1", "secret?")
    seen = shell.op("waits")
    (row,) = seen["asks"]
    assert (row["from"], row["to"], row["to_id"]) == ("scout", "blue/worker-1", "blue-worker-1")
    assert "secret" not in str(seen)
    assert seen["mail"] == {"blue-worker-1": 1}
    assert worker.texts() == ["secret?"]
