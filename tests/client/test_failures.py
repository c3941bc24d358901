"""The words for what failed."""

from __future__ import annotations

import pytest

from intercom_mux.client import failures


@pytest.mark.parametrize(
    ("status", "detail", "words"),
    [
        ("receiver_received", None, "received"),
        ("queued", "blocked:permission", "blocked:permission"),
        ("queued", None, "queued"),
        ("injected", "submitted", "taken up"),
        ("acknowledged", None, "taken up"),
        ("acknowledged", "outcome unknown: it is gone", "outcome unknown: it is gone"),
    ],
)
def test_a_receipt_in_words(status: str, detail: str | None, words: str) -> None:
    """Its reason if it has one; an unknown outcome is not called taken up."""
    assert failures.heard({"messageId": "m", "status": status, "detail": detail}) == words


def test_a_time_out_tells_what_was_last_heard() -> None:
    """In words and as `last`; without a receipt nothing is added."""
    error = failures.timed_out("w", 5, "ask-1", "blocked:permission")
    assert error.message == 'no reply from "w" within 5 s; the ask is withdrawn; last heard: blocked:permission'
    assert error.fields == {"ask_id": "ask-1", "last": "blocked:permission"}
    silent = failures.timed_out("w", 5, "ask-1")
    assert (silent.message.endswith("withdrawn"), silent.fields) == (True, {"ask_id": "ask-1"})


def test_the_hint_for_a_name_is_what_was_meant() -> None:
    """A close name, the role that was taken for one, or, for a name that several bear, where their ids stand."""

    def hint(to: str, code: str = "E_TARGET_NOT_FOUND") -> str:
        return failures.refused("No", code, ["planner", "worker-1", "worker-2", "worker-3"], to).hint or ""

    assert hint("planer").startswith("did you mean planner? known: planner, ")
    assert hint("worker").startswith("did you mean worker-1 or worker-2, or `--role worker`? known: ")
    assert "--role" not in hint("blue/worker")
    assert "list --json" in hint("planner", "E_AMBIGUOUS_TARGET")
    two = failures.refused("No", "E_AMBIGUOUS_TARGET", ["a/w", "b/W", "x"], "w")
    assert two.hint == "say which: a/w, b/W"


@pytest.mark.parametrize(
    ("code", "hint"), [("E_ALREADY_WAITING", "ask --async"), ("E_TARGET_EXITED", "intercom-mux up")]
)
def test_a_refusal_has_its_next_step(code: str, hint: str) -> None:
    """Where the code alone tells what to do."""
    assert hint in (failures.refused("No", code, None).hint or "")
